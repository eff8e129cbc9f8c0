package console_test

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/console"
)

// TestServerKnowsOfASave checks that the server learns who writes a config before it can notice the change, and that the page waits until the
// server uses it, but not for one that could not be written.
func TestServerKnowsOfASave(t *testing.T) {
	var told []string
	file := ""
	p := newPageOf(t, written, "", func(s *console.Config) {
		s.ConfigWritten = func(_ context.Context, text []byte, how string) {
			now, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.NotEqual(t, string(text), string(now))
			told = append(told, how)
		}
		s.WaitForConfig = func(context.Context) { told = append(told, "waits") }
	})
	file = p.file
	review := func() string {
		t.Helper()
		id := draftID.FindStringSubmatch(p.post("setup/edit", form(map[string]string{"do": "review", "set.client_secret": "SECRET"})))
		require.NotNil(t, id)
		return id[1]
	}
	draft := review()
	require.Equal(t, http.StatusSeeOther, p.do(http.MethodPost, "setup/write", url.Values{"draft": {draft}}, nil).Code)
	require.Len(t, told, 2)
	assert.Equal(t, "waits", told[1])

	require.NoError(t, os.WriteFile(p.file, []byte(written), 0o600))
	draft, told = review(), nil
	link := filepath.Join(filepath.Dir(p.file), "none", "landfall.yaml")
	require.NoError(t, os.Remove(p.file))
	require.NoError(t, os.Symlink(link, p.file))
	w := p.do(http.MethodPost, "setup/write", url.Values{"draft": {draft}}, nil)
	assert.NotEqual(t, http.StatusSeeOther, w.Code)
	assert.Contains(t, w.Body.String(), "Nothing was written")
	assert.NotContains(t, told, "waits")
}

// TestReadOnlyConfigsStay checks that a config that was made read-only is not replaced, although its directory allows it.
func TestReadOnlyConfigsStay(t *testing.T) {
	p := newPageOf(t, written, "", func(*console.Config) {})
	require.NoError(t, os.Chmod(p.file, 0o440))
	id := draftID.FindStringSubmatch(p.post("setup/edit", form(map[string]string{"do": "review", "set.client_secret": "SECRET"})))
	require.NotNil(t, id)
	w := p.do(http.MethodPost, "setup/write", url.Values{"draft": {id[1]}}, nil)
	assert.Equal(t, http.StatusInternalServerError, w.Code)
	assert.Contains(t, w.Body.String(), "is read-only: allow its owner to write it with chmod u&#43;w, or change it where it comes from")
	text, err := os.ReadFile(p.file)
	require.NoError(t, err)
	assert.Equal(t, written, string(text))
	require.NoError(t, os.Chmod(p.file, 0o600))
	assert.Equal(t, http.StatusSeeOther, p.do(http.MethodPost, "setup/write", url.Values{"draft": {id[1]}}, nil).Code)
}

// TestFormsOfChangedInstances checks that the review of a form says when its instance was changed in the file since the form was opened, as by
// another tab, and only then.
func TestFormsOfChangedInstances(t *testing.T) {
	p := newPageOf(t, written, "", func(*console.Config) {})
	const warning = "was changed or removed in the file after you opened its form"
	base := regexp.MustCompile(`name="base" value="([0-9a-f]{16})"`).FindStringSubmatch(p.get("setup/edit/main"))
	require.NotNil(t, base)
	for name, c := range map[string]struct {
		was, is string
		want    bool
	}{
		"nothing":          {"", "", false},
		"another part":     {"admin:", "delivery: {retention: 24h}\nadmin:", false},
		"a comment":        {"# the first", "# the only one", false},
		"a secret":         {"literal-secret", "another-secret", false},
		"a setting":        {"partner_api_key: ${PARTNER}", "partner_api_key: ${OTHER}", true},
		"a subscription":   {"Audience Entered", "Audience Exited", true},
		"it has gone away": {"id: main", "id: other", true},
	} {
		require.NoError(t, os.WriteFile(p.file, []byte(strings.Replace(written, c.was, c.is, 1)), 0o600), name)
		page := p.post("setup/edit", form(map[string]string{"do": "review", "base": base[1], "set.client_secret": "SECRET"}))
		assert.Equal(t, c.want, strings.Contains(page, warning), name)
	}
}

// TestWhatCanBeTried checks that a sandbox is offered for destinations that have one only, and that live events can be filtered by each instance.
func TestWhatCanBeTried(t *testing.T) {
	p := newPage(t, written+"\n")
	assert.Contains(t, p.get("wizard/at/main/test"), "Send to the sandbox")
	acme := destination.Plugin{Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte("name: Acme\nslug: acme\nmode: cloud\nauthentication: {scheme: none}\nactions: {send: {title: Send, fields: {}, request: {url: \"https://acme.example/in\"}}}\n")}}}
	registry, err := destination.NewRegistry([]destination.Plugin{acme})
	require.NoError(t, err)
	without := newPageOf(t, "destinations:\n  - {id: crm, destination: acme, subscriptions: []}\n", "", func(s *console.Config) {
		s.Registry = func() (*destination.Registry, error) { return registry, nil }
	})
	body := without.get("wizard/at/crm/test")
	assert.Contains(t, body, "Set up Acme")
	assert.NotContains(t, body, "Send to the sandbox")
	assert.Contains(t, newQueuePage(t, 0).get("live"), "<option>main</option>")
}

// TestLastPageOfTheWizard checks whose write key the last page shows: that of the first source from which the instance gets events, and no secret
// that the config refers to.
func TestLastPageOfTheWizard(t *testing.T) {
	const sources = "sources: [{id: web, writeKey: key-of-web}, {id: app, writeKey: key-of-app}, {id: shop, writeKey: \"${SHOP_KEY}\"}]\ndestinations:\n  - {id: hook, destination: webhook, subscriptions: []"
	for chosen, want := range map[string]string{"": "key-of-web", ", sources: [app]": "key-of-app", ", sources: [app, web]": "key-of-web", ", sources: [shop]": "SHOP_KEY"} {
		body := newPage(t, sources+chosen+"}\n").get("wizard/at/hook/done")
		for _, key := range []string{"key-of-web", "key-of-app", "SHOP_KEY"} {
			assert.Equal(t, key == want, strings.Contains(body, key), "%s: %s", chosen, key)
		}
		assert.Equal(t, want == "SHOP_KEY", strings.Contains(body, "the value of <code>${SHOP_KEY}</code>"), chosen)
	}
}

// TestInstancesInPages checks that the overview lists the instances whose actions pages perform.
func TestInstancesInPages(t *testing.T) {
	cfg, problems := config.Parse("landfall.yaml", []byte(`destinations: [{id: in-the-page, destination: braze-web, settings: {api_key: k, endpoint: sdk.iad-01.braze.com, sdkVersion: "5.4"}, subscriptions: []}]`), config.Env{})
	require.Empty(t, problems)
	list, err := instances.Load(cfg, nil, instances.Options{Target: &instances.Target{DryRun: true}, Catalog: instances.Catalog{Plugins: destinations.All()}})
	require.NoError(t, err)
	q := newQueuePageOf(t, 0, func(s *console.Config) {
		s.Running = func() ([]console.Instance, error) {
			return []console.Instance{{Plan: list[0].Plan, Plugin: list[0].Plugin}}, nil
		}
	})
	assert.Contains(t, q.get("deliveries"), "in-the-page")
}

// TestLinksSignIn checks that a link with the token signs in, and that any other one does not.
func TestLinksSignIn(t *testing.T) {
	p := newPageWith(t, written, adminKey)
	for token, status := range map[string]int{adminKey: http.StatusSeeOther, "wrong": http.StatusUnauthorized, "": http.StatusOK} {
		w := p.do(http.MethodGet, "login?"+url.Values{"token": {token}}.Encode(), nil, nil)
		assert.Equal(t, status, w.Code, token)
		assert.Equal(t, status == http.StatusSeeOther, len(w.Result().Cookies()) == 1, token)
	}
}

// TestConsoleWithoutAGuardIsClosed checks that a console without a Guard asks for a key and accepts none.
func TestConsoleWithoutAGuardIsClosed(t *testing.T) {
	p := newPageOf(t, written, "", func(s *console.Config) { s.Guard = nil })
	w := p.do(http.MethodGet, "setup", nil, nil)
	assert.Equal(t, http.StatusSeeOther, w.Code)
	assert.Equal(t, "/console/login", w.Header().Get("Location"))
	assert.Equal(t, http.StatusUnauthorized, p.do(http.MethodPost, "login", url.Values{"key": {""}}, nil).Code)
}

// TestSavedSecretsHaveAKey checks that a secret that was typed is saved with the key of the config, or with a new one.
func TestSavedSecretsHaveAKey(t *testing.T) {
	const sources = "sources: [{id: web, writeKey: wk}]\ndestinations: []\n"
	for name, text := range map[string]string{"its own key": "state: {key: \"" + strings.Repeat("A", 43) + "=\"}\n" + sources, "a new key": sources} {
		var key string
		p := newPageOf(t, text, "", func(s *console.Config) {
			s.SaveSecrets = func(_ context.Context, cfg *config.Config, secrets map[string]string) error {
				key = cfg.StateKey
				assert.Equal(t, map[string]string{"braze/client_secret": "typed"}, secrets)
				return nil
			}
		})
		w := p.do(http.MethodPost, "wizard/connect", url.Values{"slug": {"braze-cohorts"}, "name": {"Braze"}, "do": {"save"}, "try.client_secret": {"typed"}, "set.partner_api_key": {"PARTNER"}}, nil)
		require.Equal(t, http.StatusSeeOther, w.Code, name)
		made, err := os.ReadFile(filepath.Join(filepath.Dir(p.file), console.KeyFile))
		if name == "a new key" {
			require.NoError(t, err)
			assert.Equal(t, strings.TrimSpace(string(made)), key)
			assert.Contains(t, p.text(), "key: file:"+console.KeyFile)
			continue
		}
		assert.ErrorIs(t, err, os.ErrNotExist)
		assert.Equal(t, strings.Repeat("A", 43)+"=", key)
	}
}
