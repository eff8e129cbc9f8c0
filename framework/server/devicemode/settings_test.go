package devicemode_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/server/devicemode"
	"github.com/landfall-dev/landfall/framework/server/ingest"
)

// newHandler returns a handler of a site for pages of https://shop.example.
func newHandler(t *testing.T, site devicemode.Site) *devicemode.Handler {
	t.Helper()
	h := devicemode.New(ingest.New(ingest.Config{Origins: []string{"https://shop.example"}}).AllowOrigin)
	require.NoError(t, h.SetSite(site))
	return h
}

func ask(h http.Handler, method, path string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Origin", "https://shop.example")
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

var oneSource = []devicemode.Source{{ID: "web", WriteKey: "wk"}}

func TestSettingsPointAnalyticsAtTheServer(t *testing.T) {
	for publicURL, want := range map[string][2]string{
		"https://events.example":    {"https", "events.example/v1"},
		"http://127.0.0.1:8080":     {"http", "127.0.0.1:8080/v1"},
		"https://shop.example/in/a": {"https", "shop.example/in/a/v1"},
	} {
		h := newHandler(t, devicemode.Site{PublicURL: publicURL, Sources: oneSource})
		w := ask(h, "GET", "/v1/projects/wk/settings", func(r *http.Request) { r.Host = "evil.example" })
		require.Equal(t, 200, w.Code, w.Body)
		assert.NotContains(t, w.Body.String(), "evil")
		segment := event.MustParse(w.Body.String()).Get("integrations").Get("Segment.io")
		assert.Equal(t, want, [2]string{segment.Get("protocol").Str(), segment.Get("apiHost").Str()})
		assert.Equal(t, "wk", segment.Get("apiKey").Str())
	}
}

func TestSettingsAreCachedAndReadableByPages(t *testing.T) {
	h := newHandler(t, devicemode.Site{PublicURL: "https://events.example", Sources: oneSource})
	const path = "/v1/projects/wk/settings"
	w := ask(h, "GET", path)
	assert.Equal(t, "public, max-age=60", w.Header().Get("Cache-Control"))
	assert.Equal(t, "https://shop.example", w.Header().Get("Access-Control-Allow-Origin"))
	assert.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"))
	assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	tag := w.Header().Get("ETag")
	require.NotEmpty(t, tag)
	again := ask(h, "GET", path, func(r *http.Request) { r.Header.Set("If-None-Match", tag) })
	assert.Equal(t, 304, again.Code)
	assert.Empty(t, again.Body.String())

	head := ask(h, "HEAD", path)
	assert.Equal(t, 200, head.Code)
	assert.Empty(t, head.Body.String())
	preflight := ask(h, "OPTIONS", path)
	assert.Equal(t, 204, preflight.Code)
	assert.Equal(t, "GET, HEAD, OPTIONS", preflight.Header().Get("Access-Control-Allow-Methods"))
	assert.Equal(t, 405, ask(h, "POST", path).Code)
	other := ask(h, "GET", path, func(r *http.Request) { r.Header.Set("Origin", "https://other.example") })
	assert.Empty(t, other.Header().Get("Access-Control-Allow-Origin"))

	require.NoError(t, h.SetSite(devicemode.Site{PublicURL: "https://moved.example", Sources: oneSource}))
	assert.Equal(t, 200, ask(h, "GET", path, func(r *http.Request) { r.Header.Set("If-None-Match", tag) }).Code, "the tag follows the settings")
}

func TestSettingsSayWhatIsMissing(t *testing.T) {
	h := newHandler(t, devicemode.Site{Sources: append(oneSource, devicemode.Source{ID: "files"})})
	w := ask(h, "GET", "/v1/projects/wk/settings")
	assert.Equal(t, 503, w.Code)
	assert.Contains(t, w.Body.String(), "ingest.publicURL")
	assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	for _, path := range []string{"/v1/projects/other/settings", "/v1/projects//settings", "/v1/projects/wk", "/v1/projects/wk/settings/more"} {
		assert.Equal(t, 404, ask(h, "GET", path).Code, path)
	}
}

func TestCopyOfAnalyticsJS(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secret.js"), []byte("outside"), 0o600))
	umd := filepath.Join(dir, "umd")
	require.NoError(t, os.Mkdir(umd, 0o700))
	for name, text := range map[string]string{"standalone.js": "let everything", "a.bundle.1.js": "a chunk", "index.js.map": "a map"} {
		require.NoError(t, os.WriteFile(filepath.Join(umd, name), []byte(text), 0o600))
	}
	require.NoError(t, os.Symlink(filepath.Join(dir, "secret.js"), filepath.Join(umd, "link.js")))
	h := newHandler(t, devicemode.Site{PublicURL: "https://events.example", Sources: oneSource, AnalyticsJS: umd})
	for path, want := range map[string]string{"/analytics.js/v1/wk/analytics.min.js": "let everything", "/analytics.js/v1/wk/analytics.js": "let everything", "/analytics-next/bundles/a.bundle.1.js": "a chunk"} {
		w := ask(h, "GET", path)
		assert.Equal(t, []any{200, want, "text/javascript; charset=utf-8"}, []any{w.Code, w.Body.String(), w.Header().Get("Content-Type")}, path)
	}
	for _, path := range []string{"analytics.js/v1/no/analytics.min.js", "analytics.js/v1/wk/a.bundle.1.js", "analytics-next/bundles/index.js.map",
		"analytics-next/bundles/link.js", "analytics-next/bundles/none.js", "analytics-next/bundles/..%2Fsecret.js", "analytics-next/bundles/.js"} {
		w := ask(h, "GET", "/"+path)
		assert.Equal(t, 404, w.Code, path)
		for _, text := range []string{"let everything", "a chunk", "a map", "outside"} {
			assert.NotContains(t, w.Body.String(), text, path)
		}
	}
	none := newHandler(t, devicemode.Site{PublicURL: "https://events.example", Sources: oneSource})
	assert.Contains(t, ask(none, "GET", "/analytics.js/v1/wk/analytics.min.js").Body.String(), "ingest.analyticsJS")
}
