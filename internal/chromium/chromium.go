// Package chromium starts a headless Chromium for tests.
package chromium

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// How long a browser may take to start and to answer on a busy machine, and how long it lives at most.
const (
	maxAnswer = 4 * time.Minute
	maxStart  = 4 * time.Minute
	maxTime   = 20 * time.Minute
)

// Start starts a browser with an empty profile, and returns the context of its first tab for chromedp. The browser ends with the test. Start
// skips the test if no Chromium is installed.
func Start(t *testing.T) context.Context {
	t.Helper()
	path := findProgram()
	if path == "" {
		t.Skip("there is no Chromium here: apt-get install chromium")
	}
	profile, err := os.MkdirTemp("", "landfall-chromium")
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.WindowSize(1280, 900), chromedp.WSURLReadTimeout(maxStart))
	ctx, cancel := context.WithTimeout(context.Background(), maxTime)
	ctx, endProcess := chromedp.NewExecAllocator(ctx, options...)
	ctx, end := chromedp.NewContext(ctx, chromedp.WithErrorf(t.Logf))
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits until it has closed
		end()
		endProcess()
		cancel()
		_ = os.RemoveAll(profile)
	})
	if err := chromedp.Do(ctx); err != nil { // starts it
		t.Fatal(err)
	}
	return ctx
}

// NewVisitor opens a tab of a browser with cookies and storage of its own. Tests of several visitors may run in parallel. The tab is closed
// when the test ends.
func NewVisitor(t *testing.T, browser context.Context) context.Context {
	t.Helper()
	return openTab(t, browser, chromedp.WithNewBrowserContext())
}

// NewTab opens another tab of a visitor.
func NewTab(t *testing.T, visitor context.Context) context.Context {
	t.Helper()
	return openTab(t, visitor)
}

func openTab(t *testing.T, parent context.Context, options ...chromedp.ContextOption) context.Context {
	t.Helper()
	ctx, end := chromedp.NewContext(parent, options...)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits until it has closed
		end()
	})
	if err := chromedp.Do(ctx); err != nil { // opens it
		t.Fatal(err)
	}
	return ctx
}

// findProgram returns the path of a Chromium; "" if none is installed.
func findProgram() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Ask evaluates an expression on the page and returns its value. A promise is awaited.
func Ask[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, maxAnswer)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%v in %s", err, expression)
	}
	return v
}
