package audienceruns_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	facebook "github.com/landfall-dev/landfall/destinations/facebook-custom-audiences"
	"github.com/landfall-dev/landfall/destinations/webhook"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
)

// TestCheck finds the mistakes of syncs that depend on their destinations, each at its place.
func TestCheck(t *testing.T) {
	registry, err := destination.NewRegistry([]destination.Plugin{brazecohorts.Plugin(), facebook.Plugin(), webhook.Plugin()})
	require.NoError(t, err)
	const all = `braze: {id: braze, destination: braze-cohorts, settings: {client_secret: s, partner_api_key: p}, subscriptions: []}
hook: {id: hook, destination: webhook, subscriptions: []}
nope: {id: nope, destination: nope, subscriptions: []}
face: {id: face, destination: facebook-custom-audiences, settings: {retlAdAccountId: "1"}, subscriptions: []}`
	for name, c := range map[string]struct{ instances, sync, want string }{
		"valid":                    {"braze hook", `query: SELECT 1`, ""},
		"valid with keys":          {"braze", `query: SELECT 1, key: external_id`, ""},
		"no audiences":             {"hook", `query: SELECT 1`, "/audienceSyncs/0 there is no instance of a destination with audiences"},
		"an instance without":      {"braze hook", `query: SELECT 1, instances: [braze, hook]`, "/audienceSyncs/0/instances/1 hook is an instance of webhook, which has no audiences"},
		"only instances without":   {"braze hook", `query: SELECT 1, instances: [hook]`, "/audienceSyncs/0/instances/0 hook is an instance of webhook, which has no audiences"},
		"an unknown key":           {"braze", `query: SELECT 1, key: externalid`, `/audienceSyncs/0/key is no identifier of the destination (did you mean "external_id"?): it has external_id`},
		"an unknown column":        {"braze", `query: SELECT 1, columns: {externalid: id}`, `/audienceSyncs/0/columns/externalid is no identifier of the destination`},
		"a key of one destination": {"braze face", `query: SELECT 1, key: external_id`, "/audienceSyncs/0/key is no identifier of the destination"},
		"an unknown destination":   {"braze nope", `query: SELECT 1, instances: [braze, nope]`, ""}, // which is a mistake of the instance
		"an unfit database":        {"braze", `query: SELECT 1, from: "clickhouse://db.example/shop", incremental: {column: at}`, "/audienceSyncs/0 "},
	} {
		var list []string
		for _, id := range strings.Fields(c.instances) {
			_, rest, _ := strings.Cut(all, id+": ")
			text, _, _ := strings.Cut(rest, "\n")
			list = append(list, text)
		}
		sync := c.sync
		if !strings.Contains(sync, "from:") {
			sync += `, from: "sqlite:shop.db"`
		}
		cfg, problems := config.Parse("landfall.yaml", []byte(`{destinations: [`+strings.Join(list, ", ")+`], audienceSyncs: [{id: vips, every: 1h, `+sync+`}]}`), config.Env{})
		require.Empty(t, problems, name)
		found := audienceruns.Check(cfg, registry)
		if c.want == "" {
			assert.Empty(t, found, name)
			continue
		}
		if assert.Len(t, found, 1, name) {
			assert.Contains(t, found[0].String(), c.want, name)
			assert.NotZero(t, found[0].Line, name)
		}
	}
}
