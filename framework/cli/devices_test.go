package cli

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
)

const deviceDefinition = `
name: Probe
slug: probe
mode: device
browser: browser.js
description: Runs in the browser.
authentication: {scheme: custom, fields: {site: {label: Site, description: x., type: string, public: true, default: main}}}
actions:
  record: {title: Record, description: x., defaultSubscription: type = "track", fields: {name: {label: Name, description: x., type: string, default: {"@path": $.event}}}}
`

// fetch returns the status and the body of a response.
func fetch(t *testing.T, r *http.Response, err error) (int, string) {
	t.Helper()
	require.NoError(t, err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r.StatusCode, string(text)
}

// TestServerWithDestinationsOfTheBrowser serves a device-mode instance beside one of the cloud: it is handed out to pages and gets no events
// of the queue, and publicURL changes without a restart.
func TestServerWithDestinationsOfTheBrowser(t *testing.T) {
	sandbox := newBrazeSandbox(t)
	const instance = "  - {id: probe-web, destination: probe, sources: [web], subscriptions: [{action: record}]}\n"
	s := newServed(t, serveConfig+instance+"definitions: more\n", "--sandbox-url", sandbox.URL)
	dir := filepath.Join(s.dir, "more", "probe")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "destination.yaml"), []byte(deviceDefinition), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "browser.js"), []byte("export default { async load() {}, actions: { record() {} } };\n"), 0o600))
	s.start()
	get := func(path string) (int, string) {
		answer, err := http.Get(s.url + path)
		return fetch(t, answer, err)
	}
	status, text := get("/v1/projects/wk/settings")
	assert.Equal(t, 503, status)
	assert.Contains(t, text, "ingest.publicURL")
	s.logs("cannot load it without ingest.publicURL")
	s.logs("without ingest.origins")

	s.rewrite("definitions: more", "definitions: more\ningest: {publicURL: \"https://events.example\"}")
	s.logs("config reloaded")
	status, text = get("/v1/projects/wk/settings")
	require.Equal(t, 200, status, text)
	assert.Contains(t, text, `"apiHost":"events.example/v1"`)
	assert.NotContains(t, text, "braze-main")
	_, script, found := strings.Cut(text, "https://events.example/device/")
	require.True(t, found, text)
	script, _, _ = strings.Cut(script, `"`)
	status, _ = get("/device/" + script)
	assert.Equal(t, 200, status)

	answer, err := http.Post(s.url+"/v1/device/map", "text/plain", strings.NewReader(`{"writeKey":"wk","type":"track","event":"A","userId":"u"}`))
	status, text = fetch(t, answer, err)
	assert.Equal(t, 200, status)
	assert.JSONEq(t, `{"results":[{"instance":"probe-web","action":"record","payload":{"name":"A"}}]}`, text)

	s.post(entered("u1", "vip"))
	assert.Equal(t, int64(1), s.waitSettled(1)["delivered"])
	list, _ := s.status()
	require.Len(t, list, 2)
	assert.Equal(t, "braze-main", list[0].Instance)
	assert.Equal(t, delivery.Status{Instance: "probe-web", Counts: map[string]int64{}, InBrowser: true}, list[1], "an instance of the browser has no queue")
	assert.Contains(t, s.mustRun("status", "--config", "landfall.yaml"), "probe-web\n  runs in the browser: the server maps the events of pages for it, and delivers none\n")
	answer, err = http.Get(s.admin.URL + "/console/deliveries")
	_, page := fetch(t, answer, err)
	assert.Regexp(t, `(?s)In the browser.*/console/setup/edit/probe-web"`, page)
}

// TestValidateNamesWhatPagesNeed checks the warnings for instances that run in pages.
func TestValidateNamesWhatPagesNeed(t *testing.T) {
	config := func(ingest string) string {
		path := filepath.Join(t.TempDir(), "landfall.yaml")
		require.NoError(t, os.WriteFile(path, []byte("sources: [{id: web, writeKey: wk}]\n"+ingest+`
destinations:
  - id: web-main
    destination: braze-web
    settings: {api_key: k}
    subscriptions: [{name: Events, action: trackEvent}]
  - id: cloud
    destination: braze-cohorts
    settings: {endpoint: "https://rest.iad-01.braze.com", client_secret: s, partner_api_key: p}
    subscriptions: [{name: A, action: syncAudiences, mapping: {personas_audience_key: {"@path": $.properties.audience_key}}}]
`), 0o600))
		return path
	}
	for ingest, want := range map[string][]string{
		"": {"ingest.publicURL", "ingest.origins"},
		`ingest: {publicURL: "https://events.example"}`:                                 {"ingest.origins"},
		`ingest: {publicURL: "https://events.example", origins: ["https://a.example"]}`: nil,
	} {
		exit, out := command(t, "validate", config(ingest))
		require.Equal(t, exitOK, exit, out)
		for _, text := range []string{"ingest.publicURL", "ingest.origins"} {
			assert.Equal(t, slices.Contains(want, text), strings.Contains(out, text), "%s: %s", ingest, out)
		}
	}
}
