package console_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/console"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const adminKey = "the-admin-key"

const written = `# by hand
sources: [{id: web, writeKey: literal-write-key}]
destinations:
  - id: main
    destination: braze-cohorts
    settings:
      client_secret: literal-secret # to be moved
      partner_api_key: ${PARTNER}
    subscriptions:
      # the first
      - name: VIP
        action: syncAudiences
        subscribe: event = "Audience Entered"
        mapping: {personas_audience_key: vip}
admin: {key: "${ADMIN_KEY}"}
`

// page is a console for a config file, without a queue.
type page struct {
	t    *testing.T
	http http.Handler
	file string
	log  *bytes.Buffer // the audit log

	targets []console.Target // of the plans that were built
}

func newPage(t *testing.T, text string) *page { return newPageWith(t, text, "") }

// newPageWith is newPage with an admin key.
func newPageWith(t *testing.T, text, key string) *page {
	return newPageOf(t, text, key, func(*console.Config) {})
}

// builtIn returns the destinations of this repository, which are loaded once for all tests.
var builtIn = sync.OnceValues(func() (*destination.Registry, error) { return destinations.Registry() })

// newPageOf is newPageWith with changes to the console's configuration.
func newPageOf(t *testing.T, text, key string, change func(*console.Config)) *page {
	file := filepath.Join(t.TempDir(), "landfall.yaml")
	if text != "" {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o640))
	}
	registry, err := builtIn()
	require.NoError(t, err)
	log, began := &bytes.Buffer{}, time.Now() // wrong keys stay blocked however long the test takes
	p := &page{t: t, file: file, log: log}
	settings := console.Config{
		Registry: func() (*destination.Registry, error) { return registry, nil }, File: file, BuildPlans: p.planBuilder(registry), Running: func() ([]console.Instance, error) { return nil, nil },
		Guard: access.NewGuard(access.Config{Key: func() string { return key }, AllowLocal: true, Log: slog.New(slog.NewTextHandler(log, nil)), Now: func() time.Time { return began }}),
		Lookup: func(name string) (string, bool) {
			v, ok := map[string]string{"PARTNER": "partner-value", "ADMIN_KEY": adminKey, "SECRET": "secret-value", "WRITE_KEY": "wk"}[name]
			return v, ok
		},
	}
	change(&settings)
	c, err := console.New(settings)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	p.http = c.Handler()
	return p
}

// planBuilder builds plans whose requests go to sandboxes, or nowhere in a dry run. The real target and the sandbox have the same secrets, but
// different owners.
func (p *page) planBuilder(registry *destination.Registry) func(*config.Config, fault.Problems, console.Target, func(httpx.Exchange)) ([]console.Instance, error) {
	return func(cfg *config.Config, problems fault.Problems, to console.Target, observe func(httpx.Exchange)) ([]console.Instance, error) {
		p.targets = append(p.targets, to)
		owner := map[console.Target]string{console.Real: "ana@example.com", console.Sandbox: "sandbox@example.com"}[to]
		plugins := map[string]destination.Plugin{}
		plans, err := runtime.Load(cfg, problems, registry, func(in config.Instance, of destination.Entry) (runtime.Host, error) {
			plugins[in.ID] = of.Plugin
			base := http.RoundTripper(okTransport{})
			if to != console.DryRun {
				base = sandbox.Transport(of.Plugin.Sandbox.New(map[string][]string{"client-secret": {"secret-value", "tried"}, "owner": {owner}}))
			}
			return runtime.Host{Transport: base, Observe: observe}, nil
		})
		list := make([]console.Instance, len(plans))
		for i, p := range plans {
			list[i] = console.Instance{Plan: p, Plugin: plugins[p.ID()]}
		}
		return list, err
	}
}

// okTransport answers every request with status 200.
type okTransport struct{}

func (okTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

// do makes a request like a browser on this machine. f can change the request.
func (p *page) do(method, path string, form url.Values, f func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://localhost:8080/console/"+path, strings.NewReader(form.Encode()))
	r.RemoteAddr = "127.0.0.1:4711"
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if f != nil {
		f(r)
	}
	w := httptest.NewRecorder()
	p.http.ServeHTTP(w, r)
	return w
}

func (p *page) get(path string) string {
	p.t.Helper()
	w := p.do(http.MethodGet, path, nil, nil)
	require.Equal(p.t, 200, w.Code, w.Body.String())
	return w.Body.String()
}

func (p *page) post(path string, form url.Values) string {
	p.t.Helper()
	return p.do(http.MethodPost, path, form, nil).Body.String()
}

func TestEveryPageHasAPolicyAndNothingInline(t *testing.T) {
	p := newPage(t, written)
	for _, path := range []string{"catalogue", "catalogue/braze-cohorts", "test", "deliveries", "events", "letters", "audiences", "syncs", "setup", "setup/new/braze-cohorts", "setup/edit/main", "live", "history", "verdicts", "changes", "changes/config", "erasures", "wizard", "wizard/new/braze-cohorts", "wizard/at/main/test", "login", "catalogue/nope"} {
		w := p.do(http.MethodGet, path, nil, nil)
		policy := w.Header().Get("Content-Security-Policy")
		assert.Contains(t, policy, "default-src 'none'; script-src 'self'", path)
		assert.NotContains(t, policy, "unsafe", path)
		assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		body := w.Body.String()
		assert.NotRegexp(t, regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script(?: defer)?>|javascript:`), body, path)
		assert.NotRegexp(t, regexp.MustCompile(`(?:src|href|action)="(?:https?:)?//`), body, path)
		assert.Equal(t, 1, strings.Count(body, "<h1"), path)
	}
}

func TestEveryDestinationHasCatalogueAndSetupPages(t *testing.T) {
	p := newPage(t, written)
	registry, err := builtIn()
	require.NoError(t, err)
	entries, err := registry.Entries()
	require.NoError(t, err)
	for _, e := range entries {
		assert.Contains(t, p.get("catalogue/"+e.Definition.Slug), "<code>"+e.Definition.Slug+"</code>")
		form := p.get("setup/new/" + e.Definition.Slug)
		for _, f := range e.Definition.Settings {
			assert.Contains(t, form, `name="set.`+f.Key+`"`, e.Definition.Slug)
		}
	}
}

func TestEventValuesAreEscaped(t *testing.T) {
	p := newPage(t, written)
	plain := strings.Count(p.post("test", url.Values{"do": {"explain"}, "event": {`{"event":"Audience Entered","userId":"u"}`}}), "<script")
	for _, text := range hostile {
		for _, do := range []string{"explain", "sandbox", "ask"} {
			event := `{"type":"track","event":"Audience Entered","userId":` + quoted(text) + `,"timestamp":"2026-01-02T03:04:05Z","properties":{"vip":true,` + quoted(text) + `:` + quoted(text) +
				`},"context":{"personas":{"computation_class":"audience","computation_id":` + quoted(text) + `,"computation_key":"vip"}}}`
			body := p.post("test", url.Values{"do": {do}, "event": {event}})
			assert.Equal(t, plain, strings.Count(body, "<script"), "%s: %s", do, text)
			for _, tag := range []string{"<img src=x", "<svg/", " onmouseover=", "href=\"javascript:"} {
				assert.NotContains(t, strings.ReplaceAll(body, "&#39; onmouseover=", ""), tag, text)
			}
		}
	}
}

func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

func TestTesterExplainsAndSends(t *testing.T) {
	p := newPage(t, strings.Replace(written, "literal-secret", "${SECRET}", 1))
	event := `{"type":"track","event":"Audience Entered","userId":"ana","timestamp":"2026-01-02T03:04:05Z","properties":{"vip":true},"context":{"personas":{"computation_class":"audience","computation_id":"aud_1","computation_key":"vip"}}}`
	explained := p.post("test", url.Values{"do": {"explain"}, "event": {event}})
	assert.Contains(t, explained, "would be delivered")
	assert.Contains(t, explained, "@path $.userId")
	assert.Contains(t, explained, "https://rest.iad-01.braze.com/partners/segment/cohorts/users")
	assert.NotContains(t, explained, "Response")
	for _, secret := range []string{"secret-value", "partner-value"} {
		assert.NotContains(t, explained, secret)
	}
	sent := p.post("test", url.Values{"do": {"sandbox"}, "event": {event}})
	assert.Contains(t, sent, "nothing left this machine")
	assert.Contains(t, sent, "Response <b>201</b>")
	asked := p.post("test", url.Values{"do": {"ask"}, "event": {event}})
	assert.Contains(t, asked, "Send this event for real?")
	assert.Contains(t, asked, "<code>rest.iad-01.braze.com</code>")
	assert.NotContains(t, asked, "Response")
	assert.Contains(t, p.post("test", url.Values{"do": {"real"}, "event": {event}}), "Sent to the real endpoint.")
	assert.Contains(t, p.post("test", url.Values{"do": {"explain"}, "event": {"[1]"}}), "This is not a valid event")
	assert.Contains(t, p.post("test", url.Values{"do": {"explain"}, "event": {`{"event":"Other"}`}}), "Not matched")
}

// TestSamplesOfTheTester checks which event the tester shows: the one that was sent, the one that was picked, or else the first sample.
func TestSamplesOfTheTester(t *testing.T) {
	p := newPage(t, written)
	for want, body := range map[string]string{
		"sample-entered": p.get("test"), "sample-order": p.get("test?sample=order"), "my-own": p.post("test", url.Values{"do": {"explain"}, "event": {`{"type":"page","messageId":"my-own"}`}}),
		"sample-identify": p.post("test", url.Values{"do": {"pick"}, "sample": {"identify"}, "event": {`{"type":"page","messageId":"other"}`}}),
	} {
		text := body[strings.Index(body, "<textarea"):]
		text = text[:strings.Index(text, "</textarea>")]
		assert.Contains(t, text, want)
	}
}

func TestLargeRequestsAreRejected(t *testing.T) {
	p := newPage(t, written)
	w := p.do(http.MethodPost, "test", url.Values{"do": {"explain"}, "event": {strings.Repeat("x", 5<<20)}}, nil)
	assert.NotContains(t, w.Body.String(), strings.Repeat("x", 1<<20))
}

func TestAssetsAreServed(t *testing.T) {
	p := newPage(t, written)
	server := httptest.NewServer(p.http)
	defer server.Close()
	answer, err := (&http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}).Get(server.URL + "/console/assets/console.css")
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	assert.Contains(t, answer.Header.Get("Content-Type"), "text/css")
	assert.NotContains(t, string(text), "url(")
}
