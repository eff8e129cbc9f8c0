package webhook_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations/webhook"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// TestURLsOfEventsAreGuarded checks that a URL from an event reaches public addresses only, unless the config allows the host or
// contains the URL.
func TestURLsOfEventsAreGuarded(t *testing.T) {
	var authorization atomic.Value
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		authorization.Store(r.Header.Get("Authorization"))
	}))
	defer server.Close()
	registry, err := destination.NewRegistry([]destination.Plugin{webhook.Plugin()})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		mapping, egress string
		delivered       bool
	}{
		"from the event":              {`{"@path": $.properties.url}`, "", false},
		"from a template":             {`{"@template": "{{properties.url}}"}`, "", false},
		"the host from a template":    {`{"@template": "http://{{properties.host}}/in"}`, "", false},
		"in one case from the event":  {`{"@if": {exists: {"@path": $.properties.none}, then: "http://127.0.0.1:1/", else: {"@path": $.properties.url}}}`, "", false},
		"allowed by network":          {`{"@path": $.properties.url}`, `egress: {allow: [127.0.0.0/8]}`, true},
		"another is allowed":          {`{"@path": $.properties.url}`, `egress: {allow: [10.0.0.0/8, hooks.example.com]}`, false},
		"written in the config":       {`"` + server.URL + `/in"`, "", true},
		"a path from the event":       {`{"@template": "` + server.URL + `/in/{{properties.n}}"}`, "", true},
		"as a template of the config": {`{"@template": "` + server.URL + `/in?n={{properties.n}}"}`, "", true},
	} {
		text := fmt.Sprintf(`{destinations: [{id: hook, destination: webhook, settings: {bearer_token: very-secret}, subscriptions: [{name: all, action: send, subscribe: 'type = "track"', mapping: {url: %s}}]}], %s}`, c.mapping, c.egress)
		file := filepath.Join(t.TempDir(), "landfall.yaml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		cfg, problems := config.Load(file, config.Env{})
		require.Empty(t, problems, name)
		plans, err := runtime.Load(cfg, problems, registry, nil)
		require.NoError(t, err, name)
		e, err := event.Parse(fmt.Appendf(nil, `{"type":"track","userId":"u","properties":{"url":%q,"host":%q,"n":7}}`, server.URL+"/in", server.Listener.Addr()))
		require.NoError(t, err)
		before := requests.Load()
		v := plans[0].Run(t.Context(), e)[0]
		if c.delivered {
			assert.Equal(t, runtime.Delivered, v.Outcome, "%s: %s", name, v.Reason)
			assert.Equal(t, "Bearer very-secret", authorization.Load(), name)
			continue
		}
		assert.Equal(t, runtime.Refused, v.Outcome, name)
		assert.Equal(t, fault.CodeEgress, v.Code, name)
		assert.Contains(t, v.Reason, "egress: {allow:", name)
		assert.Equal(t, before, requests.Load(), name)
	}
}

func TestEgressInAConfigIsChecked(t *testing.T) {
	_, problems := config.Parse("landfall.yaml", []byte("destinations: [{id: a, destination: webhook, subscriptions: []}]\negress: {allow: [10.0.0.0/8, \"https://x.example/\"]}\n"), config.Env{})
	require.Len(t, problems, 1)
	assert.Contains(t, problems[0].String(), "2:")
	assert.Contains(t, problems[0].String(), "should be a network such as 10.1.0.0/16")
}
