package config_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// TestKeysOfSubscriptions checks that unknown keys are mistakes if they resemble a known key, and otherwise warnings, except for those of exports.
func TestKeysOfSubscriptions(t *testing.T) {
	for keys, want := range map[string]struct{ problem, warning string }{
		`enable: false`:     {problem: `f:1:96: /destinations/0/subscriptions/0/enable is not a known key (did you mean "enabled"?)`},
		`subscibe: 'a = 1'`: {problem: `f:1:98: /destinations/0/subscriptions/0/subscibe is not a known key (did you mean "subscribe"?)`},
		`Mapping: {}`:       {problem: `f:1:97: /destinations/0/subscriptions/0/Mapping is not a known key (did you mean "mapping"?)`},
		`disabled: true`:    {warning: `f:1:98: /destinations/0/subscriptions/0/disabled is not a known key and has no effect: write enabled: false`},
		`trigger: 'a = 1'`:  {warning: `f:1:97: /destinations/0/subscriptions/0/trigger is not a known key and has no effect: write subscribe`},
		`color: red`:        {warning: `f:1:95: /destinations/0/subscriptions/0/color is not a known key and has no effect`},
		`actionId: a, modelId: b, destinationSlug: c, createdAt: 2026-01-02`: {},
	} {
		c, problems := config.Parse("f", []byte(`destinations: [{id: a, destination: webhook, settings: {}, subscriptions: [{action: s, `+keys+`}]}]`), env)
		if want.problem != "" {
			assert.Equal(t, want.problem, problems.Error(), keys)
			continue
		}
		require.Empty(t, problems, keys)
		assert.Equal(t, want.warning, c.Warnings().Error(), keys)
	}
}
