package console_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/server/console"
)

// lastTarget returns where the plan that was built last sends its requests.
func (p *page) lastTarget() console.Target {
	p.t.Helper()
	require.NotEmpty(p.t, p.targets)
	return p.targets[len(p.targets)-1]
}

// hubspotForm returns the form of a new HubSpot instance.
func hubspotForm(do string) url.Values {
	return url.Values{
		"slug": {"hubspot"}, "id": {"crm"}, "enabled": {"1"}, "subs": {"1"}, "auth.accessToken": {"SECRET"}, "do": {do},
		"s.0.of": {"-1"}, "s.0.action": {"upsertContact"}, "s.0.as": {"fields"}, "s.0.name": {"Contacts"}, "s.0.enabled": {"1"},
	}
}

func TestCredentialsAreTestedWhereTheFormSays(t *testing.T) {
	for _, c := range []struct {
		name, do    string
		sandboxOnly bool
		want        console.Target
	}{
		{"the real endpoint", "credentials", false, console.Real},
		{"the sandbox", "credentials-sandbox", false, console.Sandbox},
		{"the real endpoint of a sandbox server", "credentials", true, console.Sandbox},
		{"choices", "choices:s.0.f.hubspot_owner_id", false, console.Real},
		{"choices of a sandbox server", "choices:s.0.f.hubspot_owner_id", true, console.Sandbox},
	} {
		p := newPageOf(t, written, "", func(s *console.Config) { s.SandboxOnly = c.sandboxOnly })
		p.post("setup/edit", hubspotForm(c.do))
		assert.Equal(t, c.want, p.lastTarget(), c.name)
	}
	p := newPage(t, written)
	p.post("setup/edit", hubspotForm("check"))
	assert.NotContains(t, p.targets, console.Real, "editing a form asks no remote")
	assert.NotContains(t, p.targets, console.Sandbox)
}

func TestEventsAreSentWhereTheFormSays(t *testing.T) {
	event := `{"type":"track","event":"Audience Entered","userId":"u1","messageId":"m"}`
	for _, c := range []struct {
		name, do    string
		sandboxOnly bool
		want        console.Target
		audited     bool
	}{
		{"explain", "", false, console.DryRun, false},
		{"ask first", "ask", false, console.DryRun, false},
		{"the sandbox", "sandbox", false, console.Sandbox, false},
		{"the real endpoint", "real", false, console.Real, true},
		{"an unknown target", "reality", false, console.DryRun, false},
		{"the sandboxes of a sandbox server", "sandbox", true, console.Real, false},
		{"the real endpoint of a sandbox server", "real", true, console.DryRun, false},
	} {
		p := newPageOf(t, written, "", func(s *console.Config) { s.SandboxOnly = c.sandboxOnly })
		body := p.post("test", url.Values{"event": {event}, "do": {c.do}})
		assert.Equal(t, c.want, p.lastTarget(), c.name)
		assert.Equal(t, c.audited, p.log.Len() > 0, c.name)
		if c.do == "ask" {
			assert.Contains(t, body, `value="real"`, "the confirmation has a button that sends")
		} else {
			assert.NotContains(t, body, `value="real"`, c.name)
		}
	}
	p := newPage(t, written)
	assert.Contains(t, p.post("test", url.Values{"event": {`{"type"`}, "do": {"real"}}), "{&#34;type&#34;")
	assert.Empty(t, p.targets, "an event that cannot be read is sent nowhere")
	assert.Empty(t, p.log.String())
}

func TestUntestedCredentialsAreNotCalledGood(t *testing.T) {
	p := newPage(t, written)
	q := url.Values{"slug": {"webhook"}, "id": {"hook"}, "enabled": {"1"}, "subs": {"0"}, "do": {"credentials-sandbox"}}
	body := p.post("setup/edit", q)
	assert.Contains(t, body, "The credentials were not tested.")
	assert.NotContains(t, body, "The credentials are valid.")
}

func TestUnreadableRegistryHidesNothingElse(t *testing.T) {
	p := newPageOf(t, written, "", func(s *console.Config) {
		s.Registry = func() (*destination.Registry, error) { return nil, errors.New("broken") }
		s.Running = func() ([]console.Instance, error) { return nil, errors.New("the config is broken") }
	})
	assert.Equal(t, http.StatusOK, p.do(http.MethodGet, "catalogue", nil, nil).Code)
	assert.Equal(t, http.StatusNotFound, p.do(http.MethodGet, "catalogue/webhook", nil, nil).Code)
	w := p.do(http.MethodGet, "audiences/main/vip", nil, nil)
	assert.Equal(t, http.StatusInternalServerError, w.Code)
	assert.Contains(t, w.Body.String(), "the config is broken")
}

func TestConsoleWithoutQueue(t *testing.T) {
	p := newPage(t, written)
	home := p.do(http.MethodGet, "", nil, nil)
	assert.Equal(t, "/console/catalogue", home.Header().Get("Location"))
	for path, want := range map[string]int{"events/1/0": 404, "letters/1-0-a": 404, "events": 200, "letters": 200, "deliveries?window=hour": 200} {
		assert.Equal(t, want, p.do(http.MethodGet, path, nil, nil).Code, path)
	}
	assert.Equal(t, http.StatusNotFound, p.do(http.MethodPost, "letters", url.Values{"do": {"drop"}}, nil).Code)
}
