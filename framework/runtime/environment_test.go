package runtime_test

import (
	"net/http"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// TestSettingsFromTheEnvironment sends with a key that the environment has. The config replaces it, it replaces the default, and no
// verdict shows it.
func TestSettingsFromTheEnvironment(t *testing.T) {
	const definition = `name: Shop
slug: shop
mode: cloud
authentication:
  scheme: custom
  fields: {key: {label: Key, type: password, required: true, default: usual, environment: SHOP_KEY}}
actions:
  put:
    title: Put
    fields: {}
    request: {url: "https://shop.example.com/{{settings.key}}"}
`
	for _, c := range []struct{ name, settings, environment, sends string }{
		{"environment", `{}`, "from-environment", "/from-environment"},
		{"config", `{"key":"from-config"}`, "from-environment", "/from-config"},
		{"empty variable", `{}`, "", "/usual"},
	} {
		t.Run(c.name, func(t *testing.T) {
			plugin := destination.Plugin{Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(definition)}}}
			d, err := plugin.Load()
			require.NoError(t, err)
			sent := ""
			host := runtime.Host{
				Env: func(name string) (string, bool) { return c.environment, name == "SHOP_KEY" },
				Transport: answers(func(r *http.Request, _ string) (int, string) {
					sent = r.URL.Path
					return 400, "unknown key " + r.URL.Path[1:]
				}),
			}
			instance := event.MustParse(`{"id":"a","destination":"shop","settings":` + c.settings + `,"subscriptions":[{"name":"s","action":"put","subscribe":"type = \"track\""}]}`)
			plan, err := runtime.New(plugin, d, config.InstanceOf(instance), host)
			require.NoError(t, err)
			e, err := event.Parse([]byte(`{"type":"track","event":"x"}`))
			require.NoError(t, err)
			verdicts := plan.Run(t.Context(), e)
			assert.Equal(t, c.sends, sent)
			assert.NotContains(t, verdicts[0].Reason, "from-")
		})
	}
}
