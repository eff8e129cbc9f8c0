package console_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/server/console"
)

// TestSetupListsTheInstances checks the rows of the setup page, also of a config with errors and of a file that cannot be read.
func TestSetupListsTheInstances(t *testing.T) {
	text := strings.Replace(written, "literal-secret", "${SECRET}", 1)
	p := newPage(t, strings.Replace(text, "admin:", "  - {id: off, destination: webhook, enabled: false, subscriptions: []}\n  - {id: odd, destination: none}\nadmin:", 1))
	body := p.get("setup")
	for _, want := range []string{`href="/console/setup/edit/main"><bdi>main</bdi></a>`, "<td>Braze Cohorts</td>", `href="/console/setup/edit/off"`, "<td>Webhook", "<td>none</td>", "there is no destination", "disabled", ">enabled"} {
		assert.Contains(t, body, want)
	}
	assert.NotContains(t, p.get("setup"), "Written.")
	assert.Contains(t, p.get("setup?done=written"), "Written.")
	assert.NotContains(t, newPage(t, text).get("setup"), "there is no destination")

	broken := newPage(t, "destinations: [")
	body = broken.get("setup")
	assert.Contains(t, body, "this [ is not closed")
	assert.NotContains(t, body, "No config file yet")
	for _, path := range []string{"setup/edit/main", "setup/new/webhook"} {
		w := broken.do(http.MethodGet, path, nil, nil)
		assert.Equal(t, http.StatusConflict, w.Code, path)
		assert.Contains(t, w.Body.String(), "Cannot read the config file")
	}
	for _, path := range []string{"setup/edit", "setup/preview"} {
		assert.Equal(t, http.StatusConflict, broken.do(http.MethodPost, path, form(map[string]string{"do": "review"}), nil).Code, path)
	}
	directory := newPageOf(t, "", "", func(s *console.Config) { s.File = t.TempDir() })
	assert.Equal(t, http.StatusConflict, directory.do(http.MethodGet, "setup/new/webhook", nil, nil).Code, "a file that cannot be read is not an empty config")
	assert.Contains(t, directory.get("setup"), "directory")
	for _, path := range []string{"setup/edit/missing", "setup/new/nothing"} {
		assert.Equal(t, http.StatusNotFound, p.do(http.MethodGet, path, nil, nil).Code, path)
	}
	assert.Equal(t, http.StatusConflict, p.do(http.MethodPost, "setup/edit", url.Values{"slug": {"nothing"}}, nil).Code)
}

// TestNewInstances checks what a new instance starts with: a free id, references for required secrets, a source if there is none, and a
// preset.
func TestNewInstances(t *testing.T) {
	with, without := newPage(t, strings.Replace(written, "id: main", "id: braze-cohorts", 1)).get("setup/new/braze-cohorts"), newPage(t, "").get("setup/new/braze-cohorts")
	assert.Contains(t, with, `name="id" value="braze-cohorts-2"`)
	assert.Contains(t, without, `name="id" value="braze-cohorts"`)
	assert.Contains(t, with, `name="set.client_secret" value="${BRAZE_COHORTS_CLIENT_SECRET}"`)
	assert.Contains(t, with, `name="set.partner_api_key" value=""`, "a secret that is not required has no reference")
	assert.Contains(t, with, `name="src" value="web"`)
	assert.NotContains(t, with, `name="source.id"`)
	assert.Contains(t, without, `name="source.id" value="web"`)
	assert.Contains(t, without, `value="${WRITE_KEY}"`)
	assert.Contains(t, with, `name="subs" value="1"`)
	assert.NotContains(t, with, "Delete instance")
	assert.Contains(t, newPage(t, written).get("setup/edit/main"), "Delete instance")
}

// TestSamplesOfAForm checks which sample event a form shows: one that matches, the one that was picked, or the one that was typed.
func TestSamplesOfAForm(t *testing.T) {
	p := newPage(t, strings.Replace(written, `event = "Audience Entered"`, `type = "identify"`, 1))
	shown := func(body string) string {
		match := regexp.MustCompile(`(?s)<textarea id="sample"[^>]*>(.*?)</textarea>`).FindStringSubmatch(body)
		require.NotNil(t, match)
		return match[1]
	}
	assert.Contains(t, shown(p.get("setup/edit/main")), "sample-identify")
	assert.Contains(t, shown(p.post("setup/edit", form(map[string]string{"do": "check", "pick": "order"}))), "sample-order")
	typed := map[string]string{"do": "check", "pick": "order", "sample": `{"type":"page","messageId":"typed"}`}
	assert.Contains(t, shown(p.post("setup/edit", form(typed))), "typed")
	typed["do"] = "pick"
	assert.Contains(t, shown(p.post("setup/edit", form(typed))), "sample-order")
	typed["do"], typed["sample"] = "check", "{"
	assert.Contains(t, p.post("setup/edit", form(typed)), "The sample is not a valid event")
	tester := func(q url.Values) string {
		match := regexp.MustCompile(`(?s)<textarea id="event"[^>]*>(.*?)</textarea>`).FindStringSubmatch(p.post("test", q))
		require.NotNil(t, match)
		return match[1]
	}
	assert.Contains(t, tester(url.Values{"do": {"pick"}, "sample": {"order"}, "event": {"{}"}}), "sample-order")
	assert.Contains(t, tester(url.Values{"do": {"explain"}, "sample": {"order"}, "event": {`{"type":"page"}`}}), "page")
}

// TestPreviewOfTheForm checks the response to the script: the preview of each subscription on its own, the errors of each input, and which
// inputs are hidden.
func TestPreviewOfTheForm(t *testing.T) {
	p := newPage(t, written)
	q := form(map[string]string{"subs": "2", "sample": `{"type":"track","event":"Audience Entered","userId":"u1"}`, "s.1.of": "-1", "s.1.action": "syncAudiences", "s.1.as": "fields", "s.1.name": "Broken", "s.1.subscribe": "event = ", "s.0.enabled": "", "enabled": ""})
	w := p.do(http.MethodPost, "setup/preview", q, nil)
	assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
	body := strings.ReplaceAll(w.Body.String(), `\u003c`, "<")
	assert.Contains(t, body, "Matched: the event is", "an error of one subscription does not hide the others, nor does a subscription that is off")
	assert.Regexp(t, `"count-s-1":".{0,60}1 error`, body, "the list shows the errors of closed subscriptions")
	assert.Contains(t, body, `"e-s-0-subscribe":""`)
	assert.Contains(t, body, `"row-set-client_secret":false`)
	assert.Contains(t, body, `"chips-s-0-f-personas_audience_key":"`)
	q.Set("open", "1")
	body = strings.ReplaceAll(p.do(http.MethodPost, "setup/preview", q, nil).Body.String(), `\u003c`, "<")
	assert.Contains(t, body, "Fix the errors above")
	assert.Regexp(t, `"e-s-1-subscribe":"[^"]*class=\\"error`, body)
	for _, target := range p.targets {
		assert.Equal(t, console.DryRun, target, "a preview sends nothing")
	}
}

// TestDraftsKeepTheFormAndNotTheKeys checks that the form after a review is the one that was sent, without the values typed for a test.
func TestDraftsKeepTheFormAndNotTheKeys(t *testing.T) {
	p := newPage(t, written)
	review := p.post("setup/edit", form(map[string]string{"do": "review", "s.0.name": "Renamed", "try.client_secret": "typed-for-a-test", "set.region": "x"}))
	id := draftID.FindStringSubmatch(review)
	require.NotNil(t, id)
	back := p.post("setup/edit", url.Values{"draft": {id[1]}})
	assert.Contains(t, back, `value="Renamed"`)
	assert.NotContains(t, back, "typed-for-a-test")
	assert.NotContains(t, back, "Nothing was written", "going back reviews nothing")
	for name, draft := range map[string]string{"none": "", "an unknown one": "x"} {
		w := p.do(http.MethodPost, "setup/write", url.Values{"draft": {draft}}, nil)
		assert.Equal(t, http.StatusNotFound, w.Code, name)
	}
}

// TestProblemsAreCheckedAgainWhenWriting checks that a config whose variables are gone since the review is not written, and neither is one
// whose file cannot be written.
func TestProblemsAreCheckedAgainWhenWriting(t *testing.T) {
	set := true
	p := newPageOf(t, written, "", func(s *console.Config) {
		lookup := s.Lookup
		s.Lookup = func(name string) (string, bool) {
			if !set {
				return "", false
			}
			return lookup(name)
		}
	})
	id := draftID.FindStringSubmatch(p.post("setup/edit", form(map[string]string{"do": "review", "set.client_secret": "SECRET"})))
	set = false
	w := p.do(http.MethodPost, "setup/write", url.Values{"draft": {id[1]}}, nil)
	assert.Equal(t, http.StatusUnprocessableEntity, w.Code)
	assert.Contains(t, w.Body.String(), "SECRET")
	text, err := os.ReadFile(p.file)
	require.NoError(t, err)
	assert.Equal(t, written, string(text))
	assert.Empty(t, p.log.String())
	set = true
	require.NoError(t, os.Remove(p.file))
	assert.Equal(t, http.StatusConflict, p.do(http.MethodPost, "setup/write", url.Values{"draft": {id[1]}}, nil).Code, "the file is gone")
	require.NoError(t, os.Mkdir(p.file, 0o700))
	assert.Equal(t, http.StatusConflict, p.do(http.MethodPost, "setup/write", url.Values{"draft": {id[1]}}, nil).Code, "the file cannot be read")
}

// TestSealedSecretsStayWithTheirInstance checks that the form refuses a secret that was stored for another instance, and that an instance
// whose id changes keeps its own.
func TestSealedSecretsStayWithTheirInstance(t *testing.T) {
	p := newPage(t, strings.Replace(written, "literal-secret", "secret:main/client_secret", 1))
	const refused = "a secret of the instance other, which only that instance can use"
	for _, do := range []string{"review", "check", "credentials"} {
		assert.Contains(t, p.post("setup/edit", form(map[string]string{"do": do, "set.client_secret": "secret:other/client_secret"})), refused, do)
	}
	for _, id := range []string{"main", "renamed"} {
		assert.NotContains(t, p.post("setup/edit", form(map[string]string{"do": "review", "id": id, "set.client_secret": "secret:main/client_secret"})), "which only that instance can use", id)
	}
}

// TestDeletionsAreReviewed checks that deleting an instance is a change like any other.
func TestDeletionsAreReviewed(t *testing.T) {
	p := newPage(t, strings.Replace(strings.Replace(written, "literal-secret", "${SECRET}", 1), "admin:", "  - {id: hook, destination: webhook, subscriptions: []}\nadmin:", 1))
	id := draftID.FindStringSubmatch(p.post("setup/edit", url.Values{"original": {"hook"}, "slug": {"webhook"}, "id": {"hook"}, "do": {"delete"}}))
	require.NotNil(t, id)
	require.Equal(t, http.StatusSeeOther, p.do(http.MethodPost, "setup/write", url.Values{"draft": {id[1]}}, nil).Code)
	text, err := os.ReadFile(p.file)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "hook")
	assert.Contains(t, string(text), "id: main")
}

const hubspotConfig = `state: {key: "${STATE_KEY}"}
destinations:
  - id: crm
    destination: hubspot
    auth: {clientId: c, clientSecret: "${SECRET}"}
    subscriptions: [{name: Contacts, action: upsertContact, subscribe: 'type = "identify"'}]
  - {id: hook, destination: webhook, subscriptions: []}
`

// TestLoginStates checks what the setup page says of an instance's login, and who can start one.
func TestLoginStates(t *testing.T) {
	box, err := oauth.NewBox(oauth.NewKey())
	require.NoError(t, err)
	manager := oauth.NewManager(oauth.NewMemoryStore(), box)
	var broken error
	p := newPageOf(t, hubspotConfig, "", func(s *console.Config) {
		lookup := s.Lookup
		s.Lookup = func(name string) (string, bool) {
			if name == "STATE_KEY" {
				return oauth.NewKey(), true
			}
			return lookup(name)
		}
		s.Logins = func() (*oauth.Manager, error) { return manager, broken }
	})
	for _, c := range []struct {
		token oauth.Token
		err   error
		want  string
	}{
		{oauth.Token{}, nil, "not connected"},
		{oauth.Token{Access: "a", Expires: time.Now().Add(time.Hour)}, nil, "connected"},
		{oauth.Token{Access: "a", Refused: "revoked by the user"}, nil, "login needed"},
		{oauth.Token{}, errors.New("no key"), "token store unavailable"},
	} {
		require.NoError(t, manager.Put(t.Context(), "crm", c.token))
		broken = c.err
		body := p.get("setup")
		assert.Contains(t, body, ">"+c.want+"<", c.want)
		assert.Equal(t, 1, strings.Count(body, `name="instance"`), "only an instance with a login can be connected")
	}
	for _, c := range []struct {
		instance, port, from string
		want                 int
		says                 string
	}{
		{"crm", "x", "127.0.0.1:1", 400, "Invalid port"}, {"crm", "-1", "127.0.0.1:1", 400, "Invalid port"}, {"crm", "65536", "127.0.0.1:1", 400, "Invalid port"},
		{"hook", "", "127.0.0.1:1", 404, "no enabled instance hook that needs a login"}, {"none", "", "127.0.0.1:1", 404, "no enabled instance none"},
		{"crm", "", "127.0.0.1:1", 409, "Cannot store the login"},
	} {
		w := p.do(http.MethodPost, "setup/connect", url.Values{"instance": {c.instance}, "port": {c.port}}, func(r *http.Request) { r.RemoteAddr = c.from })
		assert.Equal(t, c.want, w.Code, "%+v", c)
		assert.Contains(t, w.Body.String(), c.says)
	}
	broken = nil
	w := p.do(http.MethodPost, "setup/connect", url.Values{"instance": {"crm"}, "port": {"0"}}, nil)
	require.Equal(t, http.StatusSeeOther, w.Code, w.Body.String())
	assert.Equal(t, http.StatusSeeOther, w.Code)
	assert.Empty(t, w.Body.String())
	work := strings.TrimPrefix(w.Header().Get("Location"), "/console/")
	require.Eventually(t, func() bool { return strings.Contains(p.get(work), "app.hubspot.com/oauth/authorize") }, time.Minute, 5*time.Millisecond, "the page says where to log in")
	assert.Contains(t, p.get(work), "Connect crm")
	second := p.do(http.MethodPost, "setup/connect", url.Values{"instance": {"crm"}}, nil)
	assert.Equal(t, http.StatusConflict, second.Code)
	assert.Contains(t, second.Body.String(), "Another job is already running")

	away := newPageWith(t, hubspotConfig, adminKey)
	cookie := away.do(http.MethodPost, "login", url.Values{"key": {adminKey}}, nil).Result().Cookies()[0]
	w = away.do(http.MethodPost, "setup/connect", url.Values{"instance": {"crm"}}, func(r *http.Request) { r.AddCookie(cookie) })
	assert.Equal(t, http.StatusConflict, w.Code, "a config with errors connects nothing")
}

// TestTesterOfAConfigWithErrors checks that an event is sent nowhere and that the errors are shown.
func TestTesterOfAConfigWithErrors(t *testing.T) {
	for name, text := range map[string]string{"a query": strings.Replace(written, "event = ", "event == ", 1), "no YAML": "destinations: [", "no file": ""} {
		p := newPage(t, text)
		for _, do := range []string{"explain", "sandbox", "real"} {
			body := p.post("test", url.Values{"do": {do}, "event": {`{"type":"track","event":"Audience Entered","userId":"u"}`}})
			assert.NotContains(t, body, "Sent to", name)
			assert.NotContains(t, body, "would be delivered", name)
			assert.Contains(t, body, "Go to Setup", name)
		}
		assert.Equal(t, 1, strings.Count(p.log.String(), "outcome=failed"), "the attempt to send for real is recorded")
	}
}

// TestComparisonListsUsers checks which users a comparison names, and how many it lists.
func TestComparisonListsUsers(t *testing.T) {
	p, _ := newAudiencePage(t)
	body := p.post("audiences/main/aud_1", url.Values{"do": {"diff"}, "users": {"u2\nu7\nu8\n"}})
	assert.Contains(t, body, "1 in both")
	for _, user := range []string{"external_id:u1", "external_id:u7", "external_id:u8"} {
		assert.Contains(t, body, user)
	}
	assert.NotContains(t, body, "external_id:u2")
	var many strings.Builder
	for i := range 150 {
		fmt.Fprintf(&many, "x%03d\n", i)
	}
	body = p.post("audiences/main/aud_1", url.Values{"do": {"diff"}, "users": {many.String()}})
	assert.Equal(t, 100, strings.Count(body, "external_id:x"))
	assert.Contains(t, body, "150 only in the list")
}

// TestJobsHaveTheirPages checks the page of a job while it runs and afterwards, and that the page of an audience lists its jobs.
func TestJobsHaveTheirPages(t *testing.T) {
	p, _, sent := newAudiencePageWithRemote(t)
	sent.mu.Lock()
	sent.let = make(chan struct{})
	sent.mu.Unlock()
	w := p.do(http.MethodPost, "audiences/main/aud_1", url.Values{"do": {"resync"}}, nil)
	work := strings.TrimPrefix(w.Header().Get("Location"), "/console/")
	body := p.get(work)
	assert.Contains(t, body, "Send vip again")
	assert.Contains(t, body, "started")
	assert.NotContains(t, body, "<dt>Exits</dt>")
	assert.Contains(t, p.get("audiences/main/aud_1"), work)
	close(sent.let)
	require.Eventually(t, func() bool { return strings.Contains(p.get(work+"?part=1"), "<dt>Exits</dt>") }, time.Minute, 5*time.Millisecond)
	body = p.get(work + "?part=1")
	assert.NotContains(t, body, "<html")
	assert.Contains(t, body, "Done in")
	assert.Contains(t, body, "<dt>Entries</dt><dd>2</dd>")
}
