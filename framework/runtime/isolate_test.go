package runtime_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// isolating returns a plan whose action has isolate and whose batches get answer, or nil, as their error.
func isolating(t *testing.T, a *acme) *runtime.Plan { return isolatingBy(t, a, "true") }

func isolatingBy(t *testing.T, a *acme, isolate string) *runtime.Plan {
	plugin := a.plugin()
	text := strings.Replace(definition, "  batch:\n", "  batch:\n    isolate: "+isolate+"\n", 1)
	require.NotEqual(t, definition, text)
	plugin.Definition = fstest.MapFS{destination.DefinitionFile: {Data: []byte(text)}}
	d, err := plugin.Load()
	require.NoError(t, err)
	plan, err := runtime.New(plugin, d, config.InstanceOf(event.MustParse(oneBatch)), runtime.Host{})
	require.NoError(t, err)
	return plan
}

func fourUsers(t *testing.T) []event.Event {
	return events(t, `{"type":"track","userId":"1"}`, `{"type":"track","userId":"2"}`, `{"type":"track","userId":"3"}`, `{"type":"track","userId":"4"}`)
}

func TestARefusedBatchIsDividedUntilTheInvalidItemsAreAlone(t *testing.T) {
	a := &acme{answer: func(ids []string) (*destination.MultiStatus, error) {
		if strings.Contains(strings.Join(ids, ""), "3") {
			return nil, fault.FromStatus(400, "no such user")
		}
		return nil, nil
	}}
	got := isolating(t, a).RunBatch(t.Context(), fourUsers(t))
	assert.Equal(t, []string{"delivered 200", "delivered 200", "refused 400 BAD_REQUEST no such user", "delivered 200"}, outcomes(got))
	assert.Equal(t, []string{"eu:1,2,3,4", "eu:1,2", "eu:3,4", "eu:3", "eu:4"}, a.batches)
}

func TestStatusesAndSettingsDecideWhetherABatchIsDivided(t *testing.T) {
	for isolate, statuses := range map[string][]int{
		"true":                              {400},
		"false":                             nil,
		"{}":                                {400},
		"{statuses: [413, 422]}":            {413, 422},
		`{when: {"@path": $.settings.key}}`: {400},
		`{when: {"@expr": "settings.key == 'other'"}}`:     nil,
		`{when: "{{settings.key}}", statuses: [400, 409]}`: {400, 409},
		`{when: {"@expr": "settings.key + 1"}}`:            nil, // it cannot be evaluated
	} {
		for _, status := range []int{400, 401, 404, 409, 413, 422, 429} {
			a := &acme{answer: func([]string) (*destination.MultiStatus, error) { return nil, fault.FromStatus(status, "no") }}
			isolatingBy(t, a, isolate).RunBatch(t.Context(), fourUsers(t))
			assert.Equal(t, slices.Contains(statuses, status), len(a.batches) == 7, "%s %d", isolate, status)
		}
	}
}

func TestABatchThatEndsWhileItIsDividedIsRetried(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a := &acme{}
	a.answer = func([]string) (*destination.MultiStatus, error) {
		if len(a.batches) == 2 {
			cancel()
		}
		return nil, fault.FromStatus(400, "no such user")
	}
	for _, line := range outcomes(isolating(t, a).RunBatch(ctx, fourUsers(t))) {
		assert.Contains(t, line, "retry")
	}
	assert.Equal(t, []string{"eu:1,2,3,4", "eu:1,2"}, a.batches)
}
