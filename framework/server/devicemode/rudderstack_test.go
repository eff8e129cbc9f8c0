package devicemode_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/server/devicemode"
	"github.com/landfall-dev/landfall/internal/chromium"
)

func TestSettingsForRudderStack(t *testing.T) {
	h := newHandler(t, devicemode.Site{Sources: append(oneSource, devicemode.Source{ID: "files"})})
	for _, path := range []string{"/sourceConfig/?p=npm&writeKey=wk", "/sourceConfig?writeKey=wk"} {
		w := ask(h, "GET", path)
		require.Equal(t, 200, w.Code, path)
		assert.JSONEq(t, `{"source":{"id":"web","name":"web","writeKey":"wk","enabled":true,"workspaceId":"","destinations":[],
			"config":{"statsCollection":{"errors":{"enabled":false},"metrics":{"enabled":false}}}}}`, w.Body.String())
		assert.Equal(t, "https://shop.example", w.Header().Get("Access-Control-Allow-Origin"))
		assert.Equal(t, "public, max-age=60", w.Header().Get("Cache-Control"))
	}
	authorized := ask(h, "GET", "/sourceConfig/", func(r *http.Request) { r.SetBasicAuth("wk", "") })
	assert.Equal(t, 200, authorized.Code)
	assert.Contains(t, authorized.Header().Values("Vary"), "Authorization", "a cache must not give it to others")
	for _, path := range []string{"/sourceConfig/", "/sourceConfig/?writeKey=", "/sourceConfig/?writeKey=no", "/sourceConfig/more?writeKey=wk"} {
		w := ask(h, "GET", path)
		assert.Equal(t, 404, w.Code, path)
		assert.Equal(t, "no-store", w.Header().Get("Cache-Control"), path)
		assert.NotContains(t, w.Body.String(), "{", path)
	}
}

// rudderPage is a page with RudderStack's SDK as a bundler includes it.
const rudderPage = `<!doctype html><title>Shop</title>
<script>
	window.logs = [];
	for (const level of ["error", "warn"]) { const say = console[level]; console[level] = (...words) => { logs.push(words.map(String).join(" ")); say(...words); }; }
</script>
<script type="module">
	import { RudderAnalytics } from "/npm/@rudderstack/analytics-js/dist/npm/modern/%s/esm/index.mjs";
	window.rudder = new RudderAnalytics();
	rudder.load("wk", %q, {configUrl: %q});
	window.ready = new Promise((resolve) => rudder.ready(() => resolve("ready")));
</script>`

// TestPagesWithRudderStack sends events with both builds of RudderStack's SDK whose plugins are part of the file.
func TestPagesWithRudderStack(t *testing.T) {
	if _, err := os.Stat(filepath.Join(clients, "@rudderstack")); err != nil {
		t.Skip("RudderStack's SDK is not installed: npm ci in framework/server/devicemode/testdata/sdk")
	}
	browser := chromium.Start(t)
	for _, build := range []string{"bundled", "lite"} {
		t.Run(build, func(t *testing.T) {
			t.Parallel()
			testRudderStack(t, browser, build)
		})
	}
}

func testRudderStack(t *testing.T, browser context.Context, build string) {
	s := startProbe(t, "site: a")
	mux := http.NewServeMux()
	mux.Handle("/npm/", http.StripPrefix("/npm/", http.FileServer(http.Dir(clients))))
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, rudderPage, build, s.URL, s.URL)
	})
	site := httptest.NewServer(mux)
	t.Cleanup(site.Close)
	p := &page{t: t, browser: chromium.NewVisitor(t, browser), server: s}
	require.NoError(t, chromedp.Do(p.browser, chromedp.Navigate(site.URL+"/")))
	require.Equal(t, "ready", chromium.Ask[string](t, p.browser, `ready`), p.logs())
	p.run(`rudder.page("Home"); rudder.track("A", {total: 5}); rudder.identify("u1", {plan: "pro"}); rudder.group("g1"); rudder.alias("u2", "u1")`)
	require.Eventually(t, func() bool { return len(s.received()) == 5 }, patience, 50*time.Millisecond, "%v %s", s.received(), p.logs())
	assert.ElementsMatch(t, []string{"page", "track A", "identify", "group", "alias"}, s.received())
	assert.Empty(t, p.logs())
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		assert.NotEmpty(t, e.Value.Get("anonymousId").Str())
		assert.Equal(t, "RudderLabs JavaScript SDK", e.Value.Get("context").Get("library").Get("name").Str())
		if e.Value.Get("type").Str() == "identify" {
			assert.Equal(t, "u1", e.Value.Get("userId").Str())
			assert.Equal(t, "pro", e.Value.Get("context").Get("traits").Get("plan").Str(), e.Value.JSON())
		}
	}
}
