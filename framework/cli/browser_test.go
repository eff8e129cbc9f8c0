package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/chromium"
)

// maxStep is how long a step on a page may take: the first page after a start is slow on a busy machine.
const maxStep = 2 * time.Minute

// browser is a headless Chromium process.
type browser struct {
	t     *testing.T
	ctx   context.Context
	url   string       // of what is looked at
	asked atomic.Int32 // how often a page has asked whether to leave it
}

// newBrowser starts a browser, which leaves a page that asks. It skips the test if none is installed.
func newBrowser(t *testing.T) *browser {
	var answers sync.WaitGroup
	t.Cleanup(answers.Wait) // when the browser has ended
	b := &browser{t: t, ctx: chromium.Start(t)}
	dialogs := make(chan struct{}, 10)
	require.NoError(t, chromedp.Listen(b.ctx, func(event any) {
		if _, ok := event.(*page.EventJavascriptDialogOpening); ok {
			dialogs <- struct{}{}
		}
	}))
	answers.Go(func() {
		for {
			select {
			case <-dialogs:
				b.asked.Add(1)
				_, err := chromedp.Call(b.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
				assert.NoError(t, err)
			case <-b.ctx.Done():
				return
			}
		}
	})
	return b
}

func (b *browser) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, maxStep)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Logf("the page says: %s", b.words())
		require.NoError(b.t, err, what)
	}
}

func (b *browser) open(path string) {
	b.t.Helper()
	b.do("opening "+path, chromedp.Navigate(b.url+path), chromedp.WaitReady(chromedp.CSS("main")))
}

// press clicks the button or link with a text, and waits for the next page.
func (b *browser) press(words string) {
	b.t.Helper()
	selector := fmt.Sprintf(`//main//*[self::button or self::a][normalize-space(.)=%q]`, words)
	b.do("pressing "+words, chromedp.WaitVisible(chromedp.Search(selector)))
	ctx, cancel := context.WithTimeout(b.ctx, maxStep)
	defer cancel()
	_, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.Search(selector)))
	require.NoError(b.t, err, words)
	b.do("waiting", chromedp.WaitReady(chromedp.CSS("main")))
}

// fill enters a text into an input as if it were typed.
func (b *browser) fill(selector, text string) {
	b.t.Helper()
	b.do("filling "+selector, chromedp.Focus(chromedp.CSS(selector)), chromedp.Evaluate[chromedp.Void](`document.activeElement.select()`), chromedp.SendKeys(chromedp.CSS(selector), text))
}

// words returns the visible text of the page.
func (b *browser) words() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`)) // a page that is being left says nothing
	return text
}

// ask evaluates an expression on the page.
func ask[T any](b *browser, expression string) T {
	b.t.Helper()
	return chromium.Ask[T](b.t, b.ctx, expression)
}

// waitFor waits until the page shows a text. If path is not "", it reloads that path from time to time.
func (b *browser) waitFor(path, text string) {
	b.t.Helper()
	for range 240 {
		if path != "" {
			b.open(path)
		}
		if strings.Contains(b.words(), text) {
			return
		}
		time.Sleep(250 * time.Millisecond)
	}
	require.Fail(b.t, "the page does not show "+text, "%s", b.words())
}

// axe returns the path of the accessibility checker; "" if it is not installed.
func axe(t *testing.T) string {
	script, err := os.ReadFile(filepath.Join("..", "..", "framework", "server", "console", "testdata", "axe", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Log("axe-core is not installed, so pages are not looked at with it: npm ci in framework/server/console/testdata/axe")
		return ""
	}
	return string(script)
}

// checkPage checks that a page has no serious accessibility problem on a desktop (light) and a phone (dark), and does not scroll sideways. For
// pictures it is opened all four ways.
func (b *browser) checkPage(path, name, script string) {
	b.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		require.NoError(b.t, err)
		for _, width := range []int64{1280, 390} {
			looked := (scheme == "light") == (width == 1280)
			if !looked && os.Getenv("LANDFALL_SHOTS") == "" {
				continue
			}
			b.do("sizing", chromedp.EmulateViewport(width, 900))
			b.open(path)
			b.saveScreenshot(fmt.Sprintf("%s-%s-%d", name, scheme, width))
			wide := ask[bool](b, `document.documentElement.scrollWidth > document.documentElement.clientWidth`)
			assert.False(b.t, wide, "%s scrolls sideways at %d", path, width)
			if looked && script != "" {
				b.runAxe(path+" in "+scheme, script)
			}
		}
	}
}

// runAxe runs axe on the page.
func (b *browser) runAxe(what, script string) {
	b.t.Helper()
	found := ask[string](b, script+"; "+
		`axe.run(document, {resultTypes: ["violations"]}).then((r) => JSON.stringify(r.violations.map((v) => ({id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.slice(0, 3).map((n) => n.html + " " + n.failureSummary)}))))`)
	var violations []struct {
		ID, Impact, Help string
		Nodes            []string
	}
	require.NoError(b.t, json.Unmarshal([]byte(found), &violations))
	for _, v := range violations {
		if v.Impact == "serious" || v.Impact == "critical" {
			assert.Fail(b.t, what+": "+v.ID+": "+v.Help, "%s", strings.Join(v.Nodes, "\n"))
		}
	}
}

// saveScreenshot saves a picture of the whole page in the directory LANDFALL_SHOTS, if that is set.
func (b *browser) saveScreenshot(name string) {
	dir := os.Getenv("LANDFALL_SHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600))
}
