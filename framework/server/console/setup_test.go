package console_test

import (
	"html"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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

// TestLinksToInstancesWithAnyID checks that links lead to the instance if its id has characters with a meaning in URLs.
func TestLinksToInstancesWithAnyID(t *testing.T) {
	ids := []string{"a/b", "a?b", "a#b", "a%2Fb", "a b", "a&b", "ä", "...", `a"b`, "setup"}
	text := "destinations:\n"
	for _, id := range ids {
		text += "  - {id: " + strconv.Quote(id) + ", enabled: false, destination: webhook, subscriptions: []}\n"
	}
	p := newPage(t, text)
	links := regexp.MustCompile(`href="/console/((?:setup/edit|wizard/at)/[^"]+)"`).FindAllStringSubmatch(p.get("setup"), -1)
	found := map[string]int{}
	for _, link := range links {
		address := html.UnescapeString(link[1])
		body := p.get(address)
		for _, id := range ids {
			if strings.Contains(body, `name="original" value="`+html.EscapeString(id)+`"`) {
				found[id]++
			}
		}
		if strings.HasPrefix(address, "wizard") {
			name, err := url.PathUnescape(strings.Split(address, "/")[2])
			require.NoError(t, err)
			found[name]++
		}
	}
	for _, id := range ids {
		assert.Equal(t, 3, found[id], "%s in %v", id, links)
	}
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
		"a file":             {map[string]string{"set.client_secret": "file:/etc/hostname"}, "only in the config file itself"},
		"a credential":       {map[string]string{"set.endpoint": "credential:braze"}, "only in the config file itself"},
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
	assert.Contains(t, tried, "The credentials are valid.")
	assert.NotContains(t, tried, `"tried"`)
	wrong := p.post("setup/edit", form(map[string]string{"do": "credentials-sandbox", "try.client_secret": "mistyped-secret"}))
	assert.Contains(t, wrong, "The credentials are not valid.")
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
	for _, do := range []string{"remove:9", "remove:-1", "json:7", "json:1", "json:-1", "preset:99", "preset:1", "preset:-1", "preset:x", "nonsense"} {
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
	assert.Contains(t, offered, ">ana@example.com</option>", "choices come from the real endpoint")
	wrong := maps.Clone(q)
	wrong.Del("id")
	assert.Contains(t, p.post("setup/edit", wrong), "Fix the errors in the form before you load choices")
	q.Set("do", "review")
	review := p.post("setup/edit", q)
	assert.Contains(t, review, "accessToken: ${SECRET}")
	assert.NotContains(t, review, "secret-value")
	q.Set("auth.accessToken", "pasted-token")
	review = p.post("setup/edit", q)
	assert.Contains(t, review, "The secret itself is not written to the file")
	assert.NotContains(t, review, "pasted-token")
}
