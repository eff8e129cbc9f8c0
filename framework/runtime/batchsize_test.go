package runtime_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations/webhook"
	"github.com/landfall-dev/landfall/framework/config"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
)

func TestBatchSizes(t *testing.T) {
	for size, want := range map[string]struct {
		items   int
		warning string
	}{
		`0`: {1000, ""}, `-1`: {1000, ""}, `7`: {7, ""}, `"8"`: {8, ""}, `1.9`: {1, ""}, `1000`: {1000, ""},
		`5000`: {1000, "batch_size is 5000, but send takes 1000 at most: batches have 1000"}, `1e30`: {1000, "takes 1000 at most"},
		`{"@path": "$.n"}`: {3, ""},
	} {
		plugin := webhook.Plugin()
		definition, err := plugin.Load()
		require.NoError(t, err)
		in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{},"subscriptions":[{"name":"all","action":"send","subscribe":"type = \"track\"",
			"mapping":{"url":"https://x.example","enable_batching":true,"batch_size":` + size + `}}]}`))
		plan, err := runtime.New(plugin, definition, in, runtime.Host{})
		require.NoError(t, err, size)
		var warnings []string
		for _, w := range plan.Warnings() {
			warnings = append(warnings, w.String())
		}
		if want.warning == "" {
			assert.Empty(t, warnings, size)
		} else {
			assert.Contains(t, strings.Join(warnings, ";"), want.warning, size)
		}
		e, err := event.Parse([]byte(`{"type":"track","n":3}`))
		require.NoError(t, err)
		item, refused := plan.Prepare(plan.Subscriptions()[0], e, 0)
		require.Nil(t, refused, size)
		assert.Equal(t, want.items, item.BatchSize, size)
	}
}
