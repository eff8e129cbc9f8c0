package runtime_test

import (
	"context"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// batchPlan returns a plan whose action performs batches with a function. Its settings are secrets.
func batchPlan(t *testing.T, subscription string, perform func(context.Context, destination.BatchCall[empty, empty]) (*destination.MultiStatus, error)) *runtime.Plan {
	t.Helper()
	plugin := destination.Plugin{
		Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(`
name: A
slug: a
mode: cloud
authentication: {scheme: custom, fields: {key: {label: Key, type: password}, login: {label: Login, type: object, properties: {pin: {label: Pin, type: password}}}}}
actions:
  send:
    title: Send
    defaultSubscription: type = "track"
    fields: {n: {label: N, type: integer, default: {"@path": $.properties.n}}}
`)}},
		Actions: map[string]destination.Action{"send": destination.Handle(destination.Handler[empty, empty]{PerformBatch: perform})},
	}
	d, err := plugin.Load()
	require.NoError(t, err)
	plan, err := runtime.New(plugin, d, instanceOf(`{"id":"i","settings":{"key":"s3cret-key","login":{"pin":"n3sted-pin"}},"subscriptions":[`+subscription+`]}`), runtime.Host{})
	require.NoError(t, err)
	return plan
}

// TestVerdictsShowNoSecrets checks that what was sent, what the remote answered and each reason are shown without the secrets of the
// settings, whatever the result is.
func TestVerdictsShowNoSecrets(t *testing.T) {
	says := event.MustParse(`{"said":"the key s3cret-key, it is, with n3sted-pin"}`)
	shown := `{"said":"the key [hidden], it is, with [hidden]"}`
	results := []destination.Result{
		{Outcome: destination.Delivered, Status: 200, Sent: says, Body: says},
		{Outcome: destination.Skipped, Status: 200, Reason: "the key s3cret-key is unknown", Sent: says, Body: says},
		{Outcome: destination.Failed, Sent: says, Body: says, Err: &fault.Error{Code: fault.CodeInvalidPayload, Status: 400, Message: "the key s3cret-key is unknown"}},
		{Outcome: destination.Delivered, Status: 200, Body: event.MustParse(`{"ok":true}`)},
		{Outcome: destination.Delivered, Status: 200, Body: event.NewInt(7)},
	}
	plan := batchPlan(t, `{"action":"send"}`, func(_ context.Context, call destination.BatchCall[empty, empty]) (*destination.MultiStatus, error) {
		status := destination.NewMultiStatus(len(call.Payloads))
		for i, r := range results {
			status.Set(i, r)
		}
		return status, nil
	})
	var list []string
	for range results {
		list = append(list, `{"type":"track","properties":{"n":5}}`)
	}
	got := plan.RunBatch(t.Context(), events(t, list...))
	for i := range 3 {
		assert.Equal(t, shown, got[i][0].Sent.JSON(), i)
		assert.Equal(t, shown, got[i][0].Body.JSON(), i)
		assert.NotContains(t, got[i][0].Reason, "s3cret-key", i)
	}
	for _, i := range []int{1, 2} {
		assert.Equal(t, "the key [hidden] is unknown", got[i][0].Reason)
	}
	assert.Equal(t, `{"n":5}`, got[3][0].Sent.JSON(), "the payload, if the handler says nothing else")
	assert.Equal(t, `{"ok":true}`, got[3][0].Body.JSON())
	assert.Equal(t, "7", got[4][0].Body.JSON())
}

// TestSubscriptionsWithoutAMapping checks that the default mapping is used if a subscription has none, even if it does not ask for it.
func TestSubscriptionsWithoutAMapping(t *testing.T) {
	for subscription, want := range map[string]string{
		`{"action":"send"}`:                                         `{"n":5}`,
		`{"action":"send","useDefaultMappings":false}`:              `{"n":5}`,
		`{"action":"send","useDefaultMappings":false,"mapping":{}}`: `{}`,
		`{"action":"send","mapping":{}}`:                            `{"n":5}`,
		`{"action":"send","mapping":{"n":6}}`:                       `{"n":6}`,
	} {
		plan := batchPlan(t, subscription, func(_ context.Context, call destination.BatchCall[empty, empty]) (*destination.MultiStatus, error) {
			return nil, nil
		})
		v := plan.RunBatch(t.Context(), events(t, `{"type":"track","properties":{"n":5}}`))[0][0]
		assert.Equal(t, want, v.Sent.JSON(), subscription)
	}
}
