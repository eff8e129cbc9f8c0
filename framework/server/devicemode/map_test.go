package devicemode_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
)

func startProbe(t testing.TB, settings string) *landfall {
	s := startLandfall(t)
	require.NoError(t, s.handler.SetSite(probeSite(t, s.URL, settings)))
	return s
}

// postMap posts an event as a page does, and returns the status and the body.
func postMap(t testing.TB, s *landfall, body string) (int, string) {
	t.Helper()
	answer, err := http.Post(s.URL+"/v1/device/map", "text/plain", strings.NewReader(body))
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(text)
}

func TestOnlyPublicSettingsReachPages(t *testing.T) {
	s := startProbe(t, "library: /a.js")
	w := ask(s.handler, "GET", "/v1/projects/wk/settings")
	for _, hidden := range []string{"tok-", "not-for-pages", "cloud-secret", "token", "note", "probe-shop", "cloud", "mail.example"} {
		assert.NotContains(t, w.Body.String(), hidden)
	}
	settings := event.MustParse(w.Body.String())
	plugins := settings.Get("remotePlugins")
	require.Equal(t, 1, plugins.Len())
	plugin := plugins.Index(0)
	assert.Equal(t, []string{"Probe (Actions)", "Probe (Actions)", "landfall_probe"},
		[]string{plugin.Get("name").Str(), plugin.Get("creationName").Str(), plugin.Get("libraryName").Str()})
	assert.JSONEq(t, fmt.Sprintf(`{"site":"main","library":"/a.js","_landfall":{"instance":"probe-web","writeKey":"wk","mapURL":%q,"hooks":{"guard":"before"},"asksConsent":true}}`, s.URL+"/v1/device/map"), plugin.Get("settings").JSON())
	assert.Equal(t, `{"allCategories":["ads","mail"],"hasUnmappedDestinations":false}`, settings.Get("consentSettings").JSON())
	assert.Equal(t, `["ads"]`, settings.Get("integrations").Get("Probe (Actions)").Get("consentSettings").Get("categories").JSON())

	assert.NotContains(t, plugin.Get("url").Str(), "probe", "extensions block addresses with the name of a vendor")
	script := ask(s.handler, "GET", strings.TrimPrefix(plugin.Get("url").Str(), s.URL))
	assert.Equal(t, 200, script.Code)
	assert.Equal(t, []string{"public, max-age=31536000, immutable", "text/javascript; charset=utf-8", "nosniff"},
		[]string{script.Header().Get("Cache-Control"), script.Header().Get("Content-Type"), script.Header().Get("X-Content-Type-Options")})
	assert.Equal(t, 304, ask(s.handler, "GET", strings.TrimPrefix(plugin.Get("url").Str(), s.URL), func(r *http.Request) { r.Header.Set("If-None-Match", script.Header().Get("ETag")) }).Code)
	unknown := ask(s.handler, "GET", "/device/0000000000000000.js")
	assert.Equal(t, []any{404, "no-store"}, []any{unknown.Code, unknown.Header().Get("Cache-Control")}, "browsers must not keep it")
	assert.Equal(t, 404, ask(s.handler, "GET", "/device/cloud.js").Code)
}

func TestWithoutTheRemotesNothingRunsInPages(t *testing.T) {
	s := startLandfall(t)
	site := probeSite(t, s.URL, "library: /a.js")
	site.Offline = true
	require.NoError(t, s.handler.SetSite(site))
	assert.Contains(t, ask(s.handler, "GET", "/v1/projects/wk/settings").Body.String(), `"remotePlugins":[]`)
	_, body := postMap(t, s, `{"type":"track","event":"A","userId":"u","writeKey":"wk"}`)
	assert.Equal(t, `{"results":[]}`, body)
}

func TestPagesGetPayloads(t *testing.T) {
	s := startProbe(t, "library: /a.js")
	for _, c := range []struct{ name, event, want string }{
		{"a track", `"type":"track","event":"A","properties":{"total":5}`, `[{"instance":"probe-web","action":"record","payload":{"name":"A","total":5}}]`},
		{"a time in any form", `"type":"track","event":"A","properties":{"at":"April 15, 1990 3:04 PM"}`, `[{"instance":"probe-web","action":"record","payload":{"name":"A","at":"1990-04-15T15:04:00.000Z"}}]`},
		{"a time as a number", `"type":"track","event":"A","properties":{"at":1767323045}`, `[{"instance":"probe-web","action":"record","payload":{"name":"A","at":"2026-01-02T03:04:05.000Z"}}]`},
		{"an identify", `"type":"identify"`, `[{"instance":"probe-web","action":"profile","payload":{"id":"u"}}]`},
		{"two actions, in the order of subscriptions", `"type":"track","event":"Secret"`, `[{"instance":"probe-web","action":"record","payload":{"name":"Secret"}},{"instance":"probe-web","action":"guard","payload":{}}]`},
		{"not subscribed", `"type":"track","event":"Other"`, `[]`},
		{"a disabled subscription", `"type":"page"`, `[]`},
		{"turned off by name", `"type":"track","event":"A","integrations":{"Probe (Actions)":false}`, `[]`},
		{"turned off by All", `"type":"track","event":"A","integrations":{"All":false}`, `[]`},
		{"turned on by name", `"type":"track","event":"A","integrations":{"All":false,"Probe (Actions)":true}`, `[{"instance":"probe-web","action":"record","payload":{"name":"A"}}]`},
		{"consent refused", `"type":"track","event":"A","context":{"consent":{"categoryPreferences":{"ads":false}}}`, `[]`},
		{"consent given", `"type":"track","event":"A","context":{"consent":{"categoryPreferences":{"ads":true,"mail":false}}}`, `[{"instance":"probe-web","action":"record","payload":{"name":"A"}}]`},
	} {
		status, body := postMap(t, s, `{"writeKey":"wk","userId":"u",`+c.event+`}`)
		assert.Equal(t, 200, status, c.name)
		assert.JSONEq(t, `{"results":`+c.want+`}`, body, c.name)
	}
	_, body := postMap(t, s, `{"writeKey":"wk","userId":"u","type":"track","event":"A","properties":{"total":"many"}}`)
	problem := event.MustParse(body).Get("results").Index(0)
	assert.Contains(t, problem.Get("error").Str(), "Total should be a number")
	assert.False(t, problem.Get("payload").Exists())
	_, body = postMap(t, s, `{"writeKey":"sk","userId":"u","type":"track","event":"A"}`)
	assert.Contains(t, body, "probe-shop")
	assert.NotContains(t, body, "probe-web")
	assert.Empty(t, s.received(), "nothing is stored")
}

func TestMappingIsRefusedAsEventsAre(t *testing.T) {
	s := startProbe(t, "library: /a.js")
	for _, c := range []struct {
		body   string
		status int
	}{
		{`{"writeKey":"no","type":"track","event":"A","userId":"u"}`, 401}, {`{"type":"track","event":"A","userId":"u"}`, 401}, {`[]`, 400}, {`{`, 400},
		{`{"writeKey":"wk","type":"track","event":"A"}`, 400}, {`{"writeKey":"wk","batch":[{"type":"track","event":"A","userId":"u"}]}`, 400},
		{`{"writeKey":"wk","type":"track","event":"` + strings.Repeat("a", 33<<10) + `","userId":"u"}`, 413},
		{`{"writeKey":"wk","type":"track","event":"A","userId":"u","more":"` + strings.Repeat("a", 501<<10) + `"}`, 413},
	} {
		status, body := postMap(t, s, c.body)
		assert.Equal(t, c.status, status, body)
	}
	answer, err := http.Get(s.URL + "/v1/device/map")
	require.NoError(t, err)
	_ = answer.Body.Close()
	assert.Equal(t, 405, answer.StatusCode)
}

// mapEvent is an event as a page posts it.
const mapEvent = `{"writeKey":"wk","userId":"u","type":"track","event":"A","properties":{"total":5,"products":[{"id":1,"price":2.5}]},"context":{"page":{"url":"https://shop.example/a","title":"A"},"userAgent":"Mozilla/5.0"}}`

func BenchmarkMap(b *testing.B) {
	s := startProbe(b, "library: /a.js")
	for b.Loop() {
		if status, text := postMap(b, s, mapEvent); status != 200 {
			b.Fatal(status, text)
		}
	}
}
