package console_test

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/console"
)

// newWizardPage returns a console without a config, and the secrets that it stores.
func newWizardPage(t *testing.T) (*page, map[string]string) {
	stored := map[string]string{}
	p := newPageOf(t, "", "", func(s *console.Config) {
		s.Starting = true
		s.SaveSecrets = func(_ context.Context, cfg *config.Config, secrets map[string]string) error {
			assert.NotEmpty(t, cfg.StateKey)
			for name, text := range secrets {
				stored[name] = text
			}
			return nil
		}
	})
	return p, stored
}

// text returns the config file without quotes, which depend on the characters of a value.
func (p *page) text() string {
	p.t.Helper()
	text, err := os.ReadFile(p.file)
	require.NoError(p.t, err)
	return strings.NewReplacer(`\"`, "", `"`, "").Replace(string(text))
}

func TestWizardStoresTypedSecretsEncrypted(t *testing.T) {
	p, stored := newWizardPage(t)
	assert.Equal(t, "/console/wizard", p.do(http.MethodGet, "", nil, nil).Header().Get("Location"))
	w := p.do(http.MethodPost, "wizard/connect", url.Values{
		"slug": {"braze-cohorts"}, "name": {"Größe S"}, "try.client_secret": {"typed-secret"}, "set.partner_api_key": {"PARTNER"}, "do": {"save"},
	}, nil)
	require.Equal(t, http.StatusSeeOther, w.Code, w.Body.String())
	assert.Equal(t, "/console/wizard/at/grosse-s/audiences", w.Header().Get("Location"))
	assert.Equal(t, map[string]string{"grosse-s/client_secret": "typed-secret"}, stored)
	key := filepath.Join(filepath.Dir(p.file), console.KeyFile)
	info, err := os.Stat(key)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	for _, want := range []string{"key: file:landfall.key", "client_secret: secret:grosse-s/client_secret", "partner_api_key: ${PARTNER}", "enabled: false", "name: Größe S"} {
		assert.Contains(t, p.text(), want)
	}
	assert.NotContains(t, p.text(), "typed-secret")
	assert.NotContains(t, p.get("wizard/at/grosse-s/connect"), "typed-secret")

	before, err := os.ReadFile(key)
	require.NoError(t, err)
	w = p.do(http.MethodPost, "wizard/connect", url.Values{"slug": {"braze-cohorts"}, "id": {"grosse-s"}, "name": {"Größe M"}, "set.partner_api_key": {"PARTNER"}, "do": {"save"}}, nil)
	require.Equal(t, http.StatusSeeOther, w.Code, w.Body.String())
	assert.Contains(t, p.text(), "id: grosse-s\n", "an id does not follow the name")
	assert.Contains(t, p.text(), "name: Größe M")
	assert.Contains(t, p.text(), "client_secret: secret:grosse-s/client_secret", "a secret that is not typed again stays")
	after, err := os.ReadFile(key)
	require.NoError(t, err)
	assert.Equal(t, string(before), string(after))
}

// TestWizardSavesNothingWithMistakes checks that a step with a mistake names it beside the field, and leaves the directory as it is.
func TestWizardSavesNothingWithMistakes(t *testing.T) {
	for name, c := range map[string]struct{ field, value, message string }{
		"missing secret":   {"try.client_secret", "", "is required"},
		"missing variable": {"set.client_secret", "NOT_SET", "NOT_SET"},
		"file":             {"set.client_secret", "file:/etc/passwd", "only in the config file itself"},
		"literal":          {"set.client_secret", "plain", "Enter ${NAME}"},
	} {
		t.Run(name, func(t *testing.T) {
			p, stored := newWizardPage(t)
			w := p.do(http.MethodPost, "wizard/connect", url.Values{"slug": {"braze-cohorts"}, "name": {"A"}, c.field: {c.value}, "set.partner_api_key": {"PARTNER"}, "do": {"save"}}, nil)
			assert.Equal(t, http.StatusUnprocessableEntity, w.Code)
			assert.Contains(t, w.Body.String(), c.message)
			assert.Contains(t, w.Body.String(), "Nothing was saved")
			assert.Empty(t, stored)
			list, err := os.ReadDir(filepath.Dir(p.file))
			require.NoError(t, err)
			assert.Empty(t, list)
		})
	}
}

// TestWizardTestsCredentialsWithoutSaving checks that the buttons that test what was typed reach the target they name, and save nothing.
func TestWizardTestsCredentialsWithoutSaving(t *testing.T) {
	for do, want := range map[string]console.Target{"credentials": console.Real, "credentials-sandbox": console.Sandbox} {
		p, stored := newWizardPage(t)
		w := p.do(http.MethodPost, "wizard/connect", url.Values{"slug": {"hubspot"}, "name": {"CRM"}, "auth.accessToken": {"SECRET"}, "do": {do}}, nil)
		assert.Equal(t, http.StatusOK, w.Code, w.Body.String())
		assert.Equal(t, want, p.lastTarget(), do)
		assert.Empty(t, stored)
		assert.NoFileExists(t, p.file)
	}
}

// TestWizardSendsWhereItsButtonsSay checks where the test event of the wizard goes, and that it goes nowhere without a choice.
func TestWizardSendsWhereItsButtonsSay(t *testing.T) {
	event := `{"type":"track","event":"Audience Entered","userId":"u1","messageId":"m"}`
	for do, want := range map[string][]console.Target{"": nil, "cancel": nil, "sandbox": {console.Sandbox}, "real": {console.Real}} {
		p := newPage(t, written)
		w := p.do(http.MethodPost, "wizard/at/main/test", url.Values{"event": {event}, "do": {do}}, nil)
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		var sent []console.Target
		for _, to := range p.targets {
			if to != console.DryRun {
				sent = append(sent, to)
			}
		}
		assert.Equal(t, want, sent, do)
		assert.Equal(t, do == "real", strings.Contains(p.log.String(), "action=event.send"), do)
	}
}

func TestWizardTurnsOnWhatCanDeliver(t *testing.T) {
	p, _ := newWizardPage(t)
	p.do(http.MethodPost, "wizard/connect", url.Values{"slug": {"braze-cohorts"}, "name": {"VIPs"}, "set.client_secret": {"SECRET"}, "set.partner_api_key": {"PARTNER"}, "do": {"save"}}, nil)
	assert.NoFileExists(t, filepath.Join(filepath.Dir(p.file), console.KeyFile), "a key is made only for typed secrets")
	assert.Equal(t, http.StatusUnprocessableEntity, p.do(http.MethodPost, "wizard/at/vips/on", nil, nil).Code, "without subscriptions nothing is delivered")
	choice := url.Values{"chosen": {"1"}, "all": {""}, "keys": {"vip"}, "option": {"preset:0"}}
	none := url.Values{"chosen": {"1"}, "all": {""}, "option": {"preset:0"}}
	assert.Equal(t, http.StatusUnprocessableEntity, p.do(http.MethodGet, "wizard/at/vips/identifiers?"+none.Encode(), nil, nil).Code)
	assert.Contains(t, p.get("wizard/at/vips/identifiers?"+choice.Encode()), "How are users identified?")
	w := p.do(http.MethodPost, "wizard/at/vips/identifiers", choice, nil)
	require.Equal(t, http.StatusSeeOther, w.Code, w.Body.String())
	assert.Contains(t, p.text(), `context.personas.computation_key = vip`)
	assert.Contains(t, p.post("wizard/at/vips/test", url.Values{"do": {"sandbox"}}), "Send to the real endpoint")
	w = p.do(http.MethodPost, "wizard/at/vips/on", nil, nil)
	require.Equal(t, http.StatusSeeOther, w.Code, w.Body.String())
	assert.NotContains(t, p.text(), "enabled")
	done := p.get(strings.TrimPrefix(w.Header().Get("Location"), "/console/"))
	assert.Contains(t, done, "curl -u ")
	assert.Contains(t, done, "http://127.0.0.1:8080/v1/track")
}

// TestNameOfAnInstance checks that the form with all settings keeps and changes the name, and leaves a config without names as it is.
func TestNameOfAnInstance(t *testing.T) {
	p := newPage(t, strings.Replace(written, "id: main", "id: main\n    name: For people", 1))
	assert.Contains(t, p.get("setup"), "For people")
	assert.Contains(t, p.get("setup/edit/main"), `name="name" value="For people"`)
	assert.NotContains(t, p.post("setup/edit", form(map[string]string{"do": "review", "id": "x"})), "-    name:", "a form without a name keeps it")
	changed := p.post("setup/edit", form(map[string]string{"do": "review", "name": "Another"}))
	assert.Contains(t, changed, "    name: Another")
}

// TestDataOfRenamedInstances checks that the console says before a change of an id what stays behind, and then moves or deletes it.
func TestDataOfRenamedInstances(t *testing.T) {
	var done []string
	q := newQueuePageOf(t, 2, func(s *console.Config) {
		s.MoveInstance = func(_ context.Context, from, to string) error { done = append(done, from+" to "+to); return nil }
		s.ForgetInstance = func(_ context.Context, id string) error { done = append(done, "forget "+id); return nil }
	})
	assert.NotContains(t, q.post("setup/edit", form(map[string]string{"do": "review"})), "stay stored")
	assert.Contains(t, q.post("setup/edit", form(map[string]string{"do": "review", "id": "renamed"})), "2 dead letters and 0 members stay stored under <code>main</code>")
	assert.Contains(t, q.post("setup/edit", form(map[string]string{"do": "delete"})), "The instance main is removed.")
	assert.NotContains(t, q.get("setup"), "no longer in the config")

	q.removed = []delivery.Status{{Instance: "old", Removed: true, Members: 3, Counts: map[string]int64{"dead": 1, "parked": 2}}}
	assert.Contains(t, q.get("setup"), "0 waiting events, 3 dead letters and 3 members are still stored.")
	assert.Contains(t, q.post("setup/removed", url.Values{"id": {"old"}, "do": {"ask"}}), "Delete the data of")
	assert.Empty(t, done)
	for _, change := range []url.Values{{"id": {"old"}, "to": {"main"}, "do": {"move"}}, {"id": {"old"}, "do": {"forget"}}} {
		assert.Equal(t, http.StatusSeeOther, q.do(http.MethodPost, "setup/removed", change, nil).Code)
	}
	assert.Equal(t, []string{"old to main", "forget old"}, done)
	assert.Equal(t, http.StatusNotFound, q.do(http.MethodPost, "setup/removed", url.Values{"id": {"main"}, "do": {"forget"}}, nil).Code, "the data of an instance in the config stays")
	assert.Equal(t, http.StatusConflict, q.do(http.MethodPost, "setup/removed", url.Values{"id": {"old"}, "do": {"x"}}, nil).Code)
	assert.Contains(t, q.log.String(), "instances.rename")
}

// TestWizardChecksTypedSecretsThemselves checks that a destination's rules see the secret that was typed, and not the reference that is written.
func TestWizardChecksTypedSecretsThemselves(t *testing.T) {
	var checked []string
	p := newPageOf(t, "", "", func(s *console.Config) {
		build := s.BuildPlans
		s.BuildPlans = func(cfg *config.Config, problems fault.Problems, to console.Target, observe func(httpx.Exchange)) ([]console.Instance, error) {
			for _, in := range cfg.Instances {
				checked = append(checked, in.Settings.Get("client_secret").Str())
			}
			return build(cfg, problems, to, observe)
		}
		s.SaveSecrets = func(context.Context, *config.Config, map[string]string) error { return nil }
	})
	p.post("wizard/connect", url.Values{"slug": {"braze-cohorts"}, "name": {"A"}, "try.client_secret": {"typed-secret"}, "set.partner_api_key": {"PARTNER"}, "do": {"save"}})
	require.NotEmpty(t, checked)
	assert.Equal(t, "typed-secret", checked[0])
	assert.NotContains(t, p.text(), "typed-secret")
}

// TestWizardOffersActions checks what a new instance of a destination without presets can start from.
func TestWizardOffersActions(t *testing.T) {
	p := newPage(t, "destinations: [{id: chat, destination: slack, settings: {}, subscriptions: []}, {id: hook, destination: webhook, settings: {}, subscriptions: []}]")
	body := p.get("wizard/at/chat/audiences")
	assert.Regexp(t, `name="option" value="action:\w+" checked`, body, "the first one is chosen")
	assert.Contains(t, body, "<strong>Post Message</strong>")
	assert.Contains(t, p.get("wizard/at/hook/audiences"), `value="action:send"`)
	assert.NotContains(t, p.get("wizard/at/hook/audiences?chosen=1&option=none"), "checked", "a choice of none stays")
	body = p.get("wizard/at/hook/identifiers?chosen=1&option=action:send")
	assert.Contains(t, body, `name="s.0.f.url.mode"`)
	wrong := newPage(t, `destinations: [{id: hook, destination: webhook, settings: {}, subscriptions: [{name: A, action: send, mapping: {url: {"@nope": 1}}}]}]`)
	assert.Regexp(t, `id="e-s-0-f-url"[^>]*>\s*<p[^>]*>[^<]*directive`, wrong.get("wizard/at/hook/identifiers"), "a mistake is shown before anything is saved")
}
