package runtime_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/internal/author/sample"
)

// hooked returns a plan of the sample destination with one subscription.
func hooked(t testing.TB, remote *sample.Remote, state destination.State, subscription string) *runtime.Plan {
	plan, err := runtime.New(sample.Plugin(), sampleDefinition(t), sampleInstance(`[`+subscription+`]`), runtime.Host{State: state, Transport: sandbox.Transport(remote)})
	require.NoError(t, err)
	return plan
}

func runHooks(t testing.TB, plan *runtime.Plan, again bool) runtime.HookReport {
	reports, err := plan.RunHooks(t.Context(), plan.Subscriptions()[0], again)
	require.NoError(t, err)
	require.Len(t, reports, 1)
	return reports[0]
}

func TestHooksRunOnceForTheirInputs(t *testing.T) {
	remote, state := sample.NewRemote(), destination.NewMemoryState()
	identify := events(t, `{"type":"identify","userId":"a"}`)[0]
	plan := hooked(t, remote, state, `{"name":"s","action":"upsertUser","hooks":{"onMappingSave":{"name":"Fans"}}}`)
	due, err := plan.DueHooks(t.Context(), plan.Subscriptions()[0])
	require.NoError(t, err)
	assert.Equal(t, []string{"onMappingSave"}, due)
	plan.Run(t.Context(), identify)
	got := runHooks(t, plan, false)
	assert.True(t, got.Ran)
	assert.Equal(t, "the list is l4", got.Message)
	assert.Equal(t, `{"list":"l4"}`, got.Outputs.JSON())
	plan.Run(t.Context(), identify)
	assert.Equal(t, []string{"upsert a", "make l4 Fans", "upsert a in l4"}, remote.Log(), "a plan that runs has the outputs at once")

	same := hooked(t, remote, state, `{"name":"s","action":"upsertUser","hooks":{"onMappingSave":{"public":false,"name":"Fans"}},"mapping":{"address":{}}}`)
	assert.True(t, runHooks(t, same, true).Ran)
	assert.False(t, runHooks(t, same, false).Ran)
	changed := hooked(t, remote, state, `{"name":"s","action":"upsertUser","hooks":{"onMappingSave":{"name":"Friends"}}}`)
	assert.True(t, runHooks(t, changed, false).Ran)
	due, err = changed.DueHooks(t.Context(), changed.Subscriptions()[0])
	require.NoError(t, err)
	assert.Empty(t, due)
	assert.Equal(t, []string{"rename l4 Fans", "rename l4 Friends"}, remote.Log()[3:], "a hook sees what it has given before")
}

func TestAHookThatFailsChangesNothing(t *testing.T) {
	remote, state := sample.NewRemote(), destination.NewMemoryState()
	runHooks(t, hooked(t, remote, state, `{"name":"s","action":"upsertUser","hooks":{"onMappingSave":{"name":"Fans"}}}`), false)
	p := sample.Plugin()
	for message, run := range map[string]destination.HookFunc{
		"the hook onMappingSave of s: no": func(context.Context, destination.HookInput) (destination.HookOutput, error) {
			return destination.HookOutput{}, errors.New("no")
		},
		"the hook onMappingSave of s: the handler panicked: oh": func(context.Context, destination.HookInput) (destination.HookOutput, error) {
			panic("oh")
		},
		"the hook onMappingSave of s: its outputs are invalid: List is required but missing": func(context.Context, destination.HookInput) (destination.HookOutput, error) {
			return destination.HookOutput{Outputs: event.MustParse(`{"lst":"x"}`)}, nil
		},
	} {
		p.Hooks = map[string]map[string]destination.HookFunc{"upsertUser": {destination.OnMappingSave: run}}
		plan, err := runtime.New(p, sampleDefinition(t), sampleInstance(`[{"name":"s","action":"upsertUser","hooks":{"onMappingSave":{"name":"Other"}}}]`), runtime.Host{State: state, Transport: sandbox.Transport(remote)})
		require.NoError(t, err)
		_, err = plan.RunHooks(t.Context(), plan.Subscriptions()[0], false)
		assert.EqualError(t, err, message)
		plan.Run(t.Context(), events(t, `{"type":"identify","userId":"a"}`)[0])
	}
	assert.Equal(t, []string{"make l4 Fans", "upsert a in l4", "upsert a in l4", "upsert a in l4"}, remote.Log())
}

// TestHooksOfASegmentExport checks that hooks of an export, whose inputs and outputs are in the mapping, work.
func TestHooksOfASegmentExport(t *testing.T) {
	remote := sample.NewRemote()
	plan := hooked(t, remote, nil, `{"action":"upsertUser","mapping":{"onMappingSave":{"inputs":{"name":"Old"},"outputs":{"list":"l9"}}}}`)
	assert.Empty(t, plan.Warnings())
	plan.Run(t.Context(), events(t, `{"type":"identify","userId":"a"}`)[0])
	assert.Equal(t, []string{"upsert a in l9"}, remote.Log())
	assert.True(t, plan.Subscriptions()[0].HasHooks())
}

func TestHooksAreChecked(t *testing.T) {
	_, err := runtime.New(sample.Plugin(), sampleDefinition(t), sampleInstance(`[
		{"name":"a","action":"upsertUser","hooks":{"onMapingSave":{},"onMappingSave":{"nam":"x"}}},
		{"name":"b","action":"syncAudience","hooks":{"onMappingSave":{"name":"x"}}}]`), runtime.Host{})
	assert.Equal(t, []string{
		`/subscriptions/0/hooks/onMapingSave is not a hook of upsertUser (did you mean "onMappingSave"?)`,
		`/subscriptions/0/hooks/onMappingSave/nam is not an input of onMappingSave (did you mean "name"?)`,
		`/subscriptions/0/hooks/onMappingSave/name Name is required but missing`,
		`/subscriptions/1/hooks/onMappingSave is not a hook of syncAudience`,
	}, problemLines(err))
	p := sample.Plugin()
	p.Hooks = nil
	_, err = p.Load()
	assert.ErrorContains(t, err, "has neither a request nor a handler")
	p.Hooks = map[string]map[string]destination.HookFunc{"syncAudience": {"onMappingSave": nil}}
	_, err = p.Load()
	assert.ErrorContains(t, err, `Plugin.Hooks has a handler for the hook "onMappingSave" of syncAudience`)
}
