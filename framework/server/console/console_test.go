package console_test

import (
	"bytes"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
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
}

func newPage(t *testing.T, text string) *page { return newPageWith(t, text, "") }

// newPageWith is newPage with an admin key.
func newPageWith(t *testing.T, text, key string) *page {
	file := filepath.Join(t.TempDir(), "landfall.yaml")
	if text != "" {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o640))
	}
	registry, err := destinations.Registry()
	require.NoError(t, err)
	log := &bytes.Buffer{}
	c, err := console.New(console.Config{
		Registry: func() (*destination.Registry, error) { return registry, nil }, File: file, BuildPlans: planBuilder(registry), Running: func() ([]console.Instance, error) { return nil, nil },
		Guard: access.NewGuard(access.Config{Key: func() string { return key }, AllowLocal: true, Log: slog.New(slog.NewTextHandler(log, nil))}),
		Lookup: func(name string) (string, bool) {
			v, ok := map[string]string{"PARTNER": "partner-value", "ADMIN_KEY": adminKey, "SECRET": "secret-value", "WRITE_KEY": "wk"}[name]
			return v, ok
		},
	})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return &page{t, c.Handler(), file, log}
}

// planBuilder builds plans whose requests go to sandboxes, or nowhere in a dry run.
func planBuilder(registry *destination.Registry) func(*config.Config, fault.Problems, console.Target, func(httpx.Exchange)) ([]console.Instance, error) {
	return func(cfg *config.Config, problems fault.Problems, to console.Target, observe func(httpx.Exchange)) ([]console.Instance, error) {
		plugins := map[string]destination.Plugin{}
		plans, err := runtime.Load(cfg, problems, registry, func(in config.Instance, of destination.Entry) (runtime.Host, error) {
			plugins[in.ID] = of.Plugin
			base := http.RoundTripper(okTransport{})
			if to != console.DryRun {
				base = sandbox.Transport(of.Plugin.Sandbox.New(map[string][]string{"client-secret": {"secret-value", "tried"}, "owner": {"ana@example.com"}}))
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
	for _, path := range []string{"catalogue", "catalogue/braze-cohorts", "test", "deliveries", "events", "letters", "cohorts", "setup", "setup/new/braze-cohorts", "setup/edit/main", "login", "catalogue/nope"} {
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
	registry, err := destinations.Registry()
	require.NoError(t, err)
	for _, e := range registry.Entries() {
		assert.Contains(t, p.get("catalogue/"+e.Definition.Slug), "<code>"+e.Definition.Slug+"</code>")
		form := p.get("setup/new/" + e.Definition.Slug)
		for _, f := range e.Definition.Settings {
			assert.Contains(t, form, `name="set.`+f.Key+`"`, e.Definition.Slug)
		}
	}
}

func TestAccessWithoutKey(t *testing.T) {
	p := newPage(t, written)
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		in     bool
	}{
		{"this machine", func(*http.Request) {}, true},
		{"this machine by its address", func(r *http.Request) { r.Host = "[::1]:8080"; r.RemoteAddr = "[::1]:1" }, true},
		{"another machine", func(r *http.Request) { r.RemoteAddr = "192.0.2.7:1" }, false},
		{"a proxy on this machine", func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.7") }, false},
		{"a host name that resolves to this machine", func(r *http.Request) { r.Host = "evil.example:8080" }, false},
		{"a host name with the prefix localhost", func(r *http.Request) { r.Host = "localhost.evil.example" }, false},
		{"a made-up session", func(r *http.Request) {
			r.RemoteAddr = "192.0.2.7:1"
			r.AddCookie(&http.Cookie{Name: "landfall-console", Value: "x"})
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := p.do(http.MethodGet, "setup", nil, c.change)
			if c.in {
				assert.Equal(t, 200, w.Code)
				return
			}
			assert.Equal(t, http.StatusSeeOther, w.Code)
			assert.Equal(t, "/console/login", w.Header().Get("Location"))
			assert.NotContains(t, w.Body.String(), "main")
			assert.Equal(t, http.StatusUnauthorized, p.do(http.MethodPost, "test", url.Values{}, c.change).Code)
		})
	}
}

func TestSessionNeedsTheKeyAndEndsOnLogout(t *testing.T) {
	p := newPageWith(t, written, adminKey)
	away := func(r *http.Request) { r.RemoteAddr, r.Host = "192.0.2.7:1", "landfall.example" }
	wrong := p.do(http.MethodPost, "login", url.Values{"key": {"nope"}}, away)
	assert.Equal(t, http.StatusUnauthorized, wrong.Code)
	assert.Empty(t, wrong.Result().Cookies())
	right := p.do(http.MethodPost, "login", url.Values{"key": {adminKey}}, away)
	require.Len(t, right.Result().Cookies(), 1)
	cookie := right.Result().Cookies()[0]
	assert.True(t, cookie.HttpOnly)
	assert.Equal(t, http.SameSiteStrictMode, cookie.SameSite)
	assert.Equal(t, "/console/", cookie.Path)
	with := func(r *http.Request) { away(r); r.AddCookie(cookie) }
	assert.Equal(t, 200, p.do(http.MethodGet, "setup", nil, with).Code)
	p.do(http.MethodPost, "logout", nil, with)
	assert.Equal(t, http.StatusSeeOther, p.do(http.MethodGet, "setup", nil, with).Code)
	for range 12 {
		wrong = p.do(http.MethodPost, "login", url.Values{"key": {"nope"}}, away)
	}
	assert.Contains(t, wrong.Body.String(), "Too many attempts")
	assert.Equal(t, http.StatusTooManyRequests, wrong.Code)
	assert.NotEmpty(t, wrong.Header().Get("Retry-After"))
	elsewhere := p.do(http.MethodPost, "login", url.Values{"key": {adminKey}}, func(r *http.Request) { r.RemoteAddr = "192.0.2.8:1" })
	assert.Equal(t, http.StatusSeeOther, elsewhere.Code, "others are not locked out")
	with = func(r *http.Request) { away(r); r.AddCookie(elsewhere.Result().Cookies()[0]) }
	assert.Equal(t, 200, p.do(http.MethodGet, "setup", nil, with).Code, "sessions stay valid while logins are blocked")
	assert.Equal(t, 10, strings.Count(p.log.String(), "outcome=refused"))
	assert.Equal(t, 2, strings.Count(p.log.String(), "action=login who=\"admin key\""))
	assert.NotContains(t, p.log.String(), adminKey)
}

// With an admin key, this machine needs a session like any other.
func TestLocalAccessNeedsSessionWithKey(t *testing.T) {
	p := newPageWith(t, written, adminKey)
	for _, from := range []string{"127.0.0.1:4711", "[::1]:4711", "192.0.2.7:1"} {
		w := p.do(http.MethodGet, "setup", nil, func(r *http.Request) { r.RemoteAddr = from })
		assert.Equal(t, http.StatusSeeOther, w.Code)
		assert.Equal(t, http.StatusUnauthorized, p.do(http.MethodPost, "setup/write", url.Values{}, func(r *http.Request) { r.RemoteAddr = from }).Code)
	}
}

func TestCrossOriginChangesAreRejected(t *testing.T) {
	p := newPage(t, written)
	for name, change := range map[string]func(*http.Request){
		"another site":      func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"another subdomain": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"an old browser":    func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://evil.example") },
		"an opaque origin":  func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "null") },
		"no browser":        func(r *http.Request) { r.Header.Del("Sec-Fetch-Site") },
	} {
		for _, path := range []string{"test", "letters", "setup/edit", "setup/write", "setup/connect", "setup/preview", "cohorts/main/vip", "login", "logout"} {
			assert.Equal(t, http.StatusForbidden, p.do(http.MethodPost, path, url.Values{}, change).Code, "%s to %s", name, path)
		}
	}
	assert.Equal(t, 200, p.do(http.MethodPost, "test", url.Values{}, func(r *http.Request) {
		r.Header.Del("Sec-Fetch-Site")
		r.Header.Set("Origin", "http://localhost:8080")
	}).Code)
}

// hostile are event values that try to inject markup.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</textarea><script>alert(1)</script>`, `javascript:alert(1)`, `{{.}}`, "\u202e", `</pre><svg/onload=alert(1)>`, `&lt;script&gt;`,
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

// form returns the parameters that the unchanged form of the instance sends, with changes.
func form(changes map[string]string) url.Values {
	q := url.Values{
		"original": {"main"}, "slug": {"braze-cohorts"}, "id": {"main"}, "enabled": {"1"}, "subs": {"1"}, "set.partner_api_key": {"${PARTNER}"},
		"s.0.of": {"0"}, "s.0.action": {"syncAudiences"}, "s.0.as": {"fields"}, "s.0.name": {"VIP"}, "s.0.enabled": {"1"}, "s.0.subscribe": {`event = "Audience Entered"`},
		"s.0.f.personas_audience_key.mode": {"text"}, "s.0.f.personas_audience_key.text": {"vip"},
	}
	for name, text := range changes {
		q.Set(name, text)
	}
	return q
}

var draftID = regexp.MustCompile(`name="draft" value="([^"]+)"`)

func TestUnchangedFormMakesNoChanges(t *testing.T) {
	p := newPage(t, written)
	assert.Contains(t, p.post("setup/edit", form(map[string]string{"do": "review"})), "No changes.")
}

func TestReviewAndWrite(t *testing.T) {
	p := newPage(t, written)
	review := p.post("setup/edit", form(map[string]string{"do": "review", "set.client_secret": "SECRET", "s.0.f.device_id.mode": "path", "s.0.f.device_id.text": "$.context.device.id"}))
	assert.Contains(t, review, "client_secret: ${SECRET} # to be moved")
	assert.NotContains(t, review, "literal-secret")
	assert.NotContains(t, review, "literal-write-key")
	before, err := os.ReadFile(p.file)
	require.NoError(t, err)
	assert.Equal(t, written, string(before))
	id := draftID.FindStringSubmatch(review)
	require.NotNil(t, id, review)
	w := p.do(http.MethodPost, "setup/write", url.Values{"draft": {id[1]}}, nil)
	require.Equal(t, http.StatusSeeOther, w.Code, w.Body.String())
	after, err := os.ReadFile(p.file)
	require.NoError(t, err)
	want := strings.Replace(written, "literal-secret", "${SECRET}", 1)
	want = strings.Replace(want, "        mapping: {personas_audience_key: vip}\n", "        mapping:\n          personas_audience_key: vip\n          device_id: {\"@path\": $.context.device.id}\n", 1)
	assert.Equal(t, want, string(after))
	info, err := os.Stat(p.file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode().Perm())
	assert.Contains(t, p.log.String(), `action=config.write who="local program" from=127.0.0.1 outcome=ok file=`+p.file)
	assert.Equal(t, http.StatusNotFound, p.do(http.MethodPost, "setup/write", url.Values{"draft": {id[1]}}, nil).Code)
	left, err := filepath.Glob(filepath.Join(filepath.Dir(p.file), ".landfall-*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestChangedFileIsNotOverwritten(t *testing.T) {
	p := newPage(t, written)
	id := draftID.FindStringSubmatch(p.post("setup/edit", form(map[string]string{"do": "review", "id": "other"})))
	require.NoError(t, os.WriteFile(p.file, []byte(written+"# more\n"), 0o600))
	w := p.do(http.MethodPost, "setup/write", url.Values{"draft": {id[1]}}, nil)
	assert.Equal(t, http.StatusConflict, w.Code)
	assert.Contains(t, w.Body.String(), "The file has changed since")
	text, err := os.ReadFile(p.file)
	require.NoError(t, err)
	assert.Equal(t, written+"# more\n", string(text))
}

func TestConfigWithErrorsIsNotWritten(t *testing.T) {
	for name, c := range map[string]struct {
		changes map[string]string
		says    string
	}{
		"a query":            {map[string]string{"s.0.subscribe": `event = `}, "landfall.yaml:13:"},
		"a secret itself":    {map[string]string{"set.client_secret": "hunter2-hunter2"}, "The secret itself is not written to the file"},
		"a missing variable": {map[string]string{"set.client_secret": "${NOBODY_SET}"}, "NOBODY_SET, which is not set"},
		"a mapping":          {map[string]string{"s.0.f.device_id.mode": "json", "s.0.f.device_id.text": `{"@nope": 1}`}, "@nope"},
		"no JSON":            {map[string]string{"s.0.as": "json", "s.0.json": `{"a"`}, "This is not valid JSON"},
		"an endpoint":        {map[string]string{"set.endpoint": "not a url"}, "endpoint"},
		"no id":              {map[string]string{"id": ""}, "/destinations/0/id"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPage(t, written)
			changes := map[string]string{"do": "review"}
			maps.Copy(changes, c.changes)
			review := p.post("setup/edit", form(changes))
			assert.Contains(t, review, c.says)
			assert.NotContains(t, review, "hunter2")
			assert.Contains(t, review, "disabled>Write file")
		})
	}
}

func TestSubscriptionLimit(t *testing.T) {
	p := newPage(t, written)
	q := form(map[string]string{"do": "check", "subs": "51"})
	for i := range 51 {
		n := "s." + strconv.Itoa(i) + "."
		q.Set(n+"action", "syncAudiences")
		q.Set(n+"name", "n"+strconv.Itoa(i))
		q.Set(n+"enabled", "1")
		q.Set(n+"as", "json")
		q.Set(n+"json", `{"personas_audience_key":"k`+strconv.Itoa(i)+`"}`)
	}
	assert.Contains(t, p.post("setup/edit", q), "an instance of Braze Cohorts may have 50 at most")
}

func TestSecretsAreNeverShown(t *testing.T) {
	p := newPage(t, written)
	body := p.get("setup/edit/main")
	assert.NotContains(t, body, "literal-secret")
	assert.Contains(t, body, "set in the file; not shown")
	tried := p.post("setup/edit", form(map[string]string{"do": "credentials-sandbox", "try.client_secret": "tried"}))
	assert.Contains(t, tried, "The credentials work.")
	assert.NotContains(t, tried, `"tried"`)
	wrong := p.post("setup/edit", form(map[string]string{"do": "credentials-sandbox", "try.client_secret": "mistyped-secret"}))
	assert.Contains(t, wrong, "The credentials do not work.")
	assert.NotContains(t, wrong, "mistyped-secret")
	id := draftID.FindStringSubmatch(p.post("setup/edit", form(map[string]string{"do": "review", "id": "x", "try.client_secret": "mistyped-secret"})))
	assert.NotContains(t, p.post("setup/edit", url.Values{"draft": {id[1]}}), "mistyped-secret")
}

func TestErrorsAppearBelowTheirInputs(t *testing.T) {
	p := newPage(t, written)
	answer := p.post("setup/preview", form(map[string]string{"s.0.subscribe": `event = "A`, "sample": `{"event":"Audience Entered","userId":"u1"}`}))
	assert.Regexp(t, `"e-s-0-subscribe":"[^"]*class=\\"error`, strings.ReplaceAll(answer, `\u003c`, "<"))
	assert.Contains(t, answer, "Fix the errors above")
	answer = p.post("setup/preview", form(map[string]string{"sample": `{"event":"Audience Entered","userId":"u1"}`}))
	assert.Contains(t, answer, "Matched: the event is")
	assert.Contains(t, answer, `"e-s-0-subscribe":""`)
}

func TestSetupWithoutConfigFile(t *testing.T) {
	p := newPage(t, "")
	assert.Contains(t, p.get("setup"), "No config file yet")
	assert.Contains(t, p.get("setup/new/braze-cohorts"), "${BRAZE_COHORTS_CLIENT_SECRET}")
	q := form(map[string]string{"do": "review", "original": "", "s.0.of": "-1", "set.client_secret": "SECRET", "source.id": "web", "source.key": "${WRITE_KEY}"})
	id := draftID.FindStringSubmatch(p.post("setup/edit", q))
	require.NotNil(t, id)
	require.Equal(t, http.StatusSeeOther, p.do(http.MethodPost, "setup/write", url.Values{"draft": {id[1]}}, nil).Code)
	text, err := os.ReadFile(p.file)
	require.NoError(t, err)
	assert.Equal(t, `sources:
  - id: web
    writeKey: ${WRITE_KEY}
destinations:
  - id: main
    destination: braze-cohorts
    sources: [web]
    settings:
      client_secret: ${SECRET}
      partner_api_key: ${PARTNER}
    subscriptions:
      - name: VIP
        action: syncAudiences
        subscribe: event = "Audience Entered"
        mapping: {personas_audience_key: vip}
`, string(text))
	assert.Contains(t, p.post("setup/edit", form(map[string]string{"do": "delete"})), "disabled>Write file", "a config needs at least one destination")
}

func TestFormActions(t *testing.T) {
	p := newPage(t, written)
	assert.Contains(t, p.post("setup/edit", form(map[string]string{"do": "add", "add": "syncAudiences"})), `value="Sync Audience"`)
	assert.Contains(t, p.post("setup/edit", form(map[string]string{"do": "preset:0"})), `value="Sync Engage Audience"`)
	assert.NotContains(t, p.post("setup/edit", form(map[string]string{"do": "remove:0"})), `value="VIP"`)
	assert.Contains(t, p.post("setup/edit", form(map[string]string{"do": "json:0"})), `&#34;personas_audience_key&#34;: &#34;vip&#34;`)
	for _, do := range []string{"remove:9", "remove:-1", "json:7", "preset:99", "preset:x", "nonsense"} {
		assert.Equal(t, 200, p.do(http.MethodPost, "setup/edit", form(map[string]string{"do": do}), nil).Code, do)
	}
}

func TestLoginInputsAndDynamicChoices(t *testing.T) {
	p := newPage(t, written)
	body := p.get("setup/new/hubspot")
	assert.Contains(t, body, "OAuth Client ID")
	assert.Contains(t, body, "${LANDFALL_KEY}")
	q := url.Values{
		"slug": {"hubspot"}, "id": {"crm"}, "enabled": {"1"}, "subs": {"1"}, "auth.accessToken": {"SECRET"},
		"s.0.of": {"-1"}, "s.0.action": {"upsertContact"}, "s.0.as": {"fields"}, "s.0.name": {"Contacts"}, "s.0.enabled": {"1"},
	}
	for _, field := range regexp.MustCompile(`name="(s\.0\.f\.[a-z_]+\.mode)"`).FindAllStringSubmatch(body, -1) {
		q.Set(field[1], "default")
	}
	q.Set("do", "choices:s.0.f.hubspot_owner_id")
	offered := p.post("setup/edit", q)
	assert.Contains(t, offered, `list="offered-s-0-f-hubspot_owner_id"`)
	assert.Contains(t, offered, ">ana@example.com</option>")
	q.Set("do", "review")
	review := p.post("setup/edit", q)
	assert.Contains(t, review, "accessToken: ${SECRET}")
	assert.NotContains(t, review, "secret-value")
	q.Set("auth.accessToken", "pasted-token")
	review = p.post("setup/edit", q)
	assert.Contains(t, review, "The secret itself is not written to the file")
	assert.NotContains(t, review, "pasted-token")
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
	answer, err := (&http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Get(server.URL + "/console/assets/console.css")
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	assert.Contains(t, answer.Header.Get("Content-Type"), "text/css")
	assert.NotContains(t, string(text), "url(")
}
