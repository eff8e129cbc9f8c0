package console_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/internal/chromium"
)

// TestLivePartsUpdateWhileFocused checks that a page goes on to show what happens while the focus is in the part that is replaced, and that
// the focus stays at its link.
func TestLivePartsUpdateWhileFocused(t *testing.T) {
	q := newQueuePage(t, 1)
	server := httptest.NewServer(q.http)
	t.Cleanup(server.Close)
	ctx := chromium.Start(t)
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(server.URL+"/console/deliveries"), chromedp.WaitReady(chromedp.CSS("[data-live] a"))))
	focus := `(() => { const link = [...document.querySelectorAll("[data-live] a")].find((a) => a.textContent === "u1"); link.focus(); return document.activeElement === link; })()`
	require.True(t, chromium.Ask[bool](t, ctx, focus))
	require.NoError(t, q.queue.Append(t.Context(), []delivery.NewEvent{{Source: "web", Key: "u:late", Raw: []byte(`{"type":"track","event":"Bought","messageId":"m-late","userId":"late"}`)}}))
	shown := `document.querySelector("[data-live]").textContent.includes("late")`
	require.Eventually(t, func() bool { return chromium.Ask[bool](t, ctx, shown) }, time.Minute, 100*time.Millisecond)
	assert.Equal(t, "u1", chromium.Ask[string](t, ctx, `document.activeElement.textContent`))
}

// TestPreviewIsRetried checks that the form asks for one preview at a time, and asks again when a request fails.
func TestPreviewIsRetried(t *testing.T) {
	p := newPage(t, written)
	var asked, running, most atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/setup/preview") {
			p.http.ServeHTTP(w, r)
			return
		}
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		time.Sleep(600 * time.Millisecond) // longer than the pause after which the form asks
		if asked.Add(1) <= 2 {
			panic(http.ErrAbortHandler)
		}
		p.http.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	ctx := chromium.Start(t)
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(server.URL+"/console/setup/edit/main"), chromedp.WaitReady(chromedp.CSS("#s-0-subscribe"))))
	typing := `(() => { const e = document.querySelector("#s-0-subscribe"); e.value += "x"; e.dispatchEvent(new Event("input", { bubbles: true })); return true; })()`
	for range 4 {
		require.True(t, chromium.Ask[bool](t, ctx, typing))
		time.Sleep(300 * time.Millisecond)
	}
	shown := `document.querySelector("#e-s-0-subscribe .error") !== null`
	require.Eventually(t, func() bool { return chromium.Ask[bool](t, ctx, shown) }, time.Minute, 100*time.Millisecond)
	assert.Equal(t, int32(1), most.Load())
}

// TestTablesFitOnNarrowScreens checks that no column of a table is cut off, on a desktop and on a phone.
func TestTablesFitOnNarrowScreens(t *testing.T) {
	q := newQueuePage(t, 3)
	server := httptest.NewServer(q.http)
	t.Cleanup(server.Close)
	ctx := chromium.Start(t)
	for _, width := range []int64{1280, 390} {
		for _, path := range []string{"deliveries", "letters", "events"} {
			require.NoError(t, chromedp.Do(ctx, chromedp.EmulateViewport(width, 900), chromedp.Navigate(server.URL+"/console/"+path), chromedp.WaitReady(chromedp.CSS(".scroll table"))))
			cut := chromium.Ask[string](t, ctx, `[document.documentElement, ...document.querySelectorAll(".scroll")].filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.getAttribute("aria-label") || "the page").join(", ")`)
			assert.Empty(t, cut, "%s at %d", path, width)
			if dir := os.Getenv("LANDFALL_SHOTS"); dir != "" {
				picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("fits-%s-%d.png", path, width)), picture, 0o600))
			}
		}
	}
}
