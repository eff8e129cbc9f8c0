package brazecohorts_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// The keys are sent in the body. A token of the host is sent in a header, and is hidden in all output.
func TestATokenGoesBesideTheKeys(t *testing.T) {
	for name, c := range map[string]struct {
		inConfig string
		host     func(context.Context, string, string) (string, error)
		want     string
	}{
		"none":           {},
		"of the config":  {inConfig: "config-token", want: "Bearer config-token"},
		"of the host":    {host: func(_ context.Context, id, _ string) (string, error) { return "token-of-" + id, nil }, want: "Bearer token-of-main"},
		"none right now": {host: func(context.Context, string, string) (string, error) { return "", nil }},
	} {
		t.Run(name, func(t *testing.T) {
			plugin := brazecohorts.Plugin()
			definition, err := plugin.Load()
			require.NoError(t, err)
			base, seen, got := sandbox.Transport(plugin.Sandbox.New(nil)), bytes.Buffer{}, ""
			in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{"endpoint":"https://rest.iad-01.braze.com","client_secret":"very-secret","partner_api_key":"partner-key"}}`))
			in.AccessToken = c.inConfig
			plan, err := runtime.New(plugin, definition, in, runtime.Host{
				Token:   c.host,
				Observe: func(x httpx.Exchange) { _ = json.NewEncoder(&seen).Encode(x) },
				Transport: transport(func(r *http.Request) (*http.Response, error) {
					got = r.Header.Get("Authorization")
					return base.RoundTrip(r)
				}),
			})
			require.NoError(t, err)
			require.NoError(t, plan.Test(t.Context()))
			assert.Equal(t, c.want, got)
			assert.NotContains(t, seen.String(), "-token")
			assert.NotContains(t, seen.String(), "token-of")
		})
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
