package runtime_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/internal/author/sample"
)

func TestPendingPayloadsArePolledAndNotSentAgain(t *testing.T) {
	remote, state := sample.NewRemote(), destination.NewMemoryState()
	remote.SetPolls(1)
	list := events(t, `{"type":"track","userId":"a","n":1}`, `{"type":"track","userId":"bad","n":1}`)
	const subscription = `{"name":"s","action":"importUser"}`
	plan := hooked(t, remote, state, subscription)
	got := plan.RunBatch(t.Context(), list)
	assert.Equal(t, []string{"pending 202  the destination is processing it; its operation is imp1/a", "pending 202  the destination is processing it; its operation is imp1/bad"}, outcomes(got))
	assert.Equal(t, "imp1/a", got[0][0].Operation)

	restarted := hooked(t, remote, state, subscription)
	assert.Equal(t, []string{
		"pending 202  the destination is processing it; its operation is imp1/a", "refused 400 PAYLOAD_VALIDATION_FAILED the import has refused the user",
	}, outcomes(restarted.RunBatch(t.Context(), list)))
	remote.FailNext(1)
	assert.Equal(t, []string{"retry 503 SERVICE_UNAVAILABLE down"}, outcomes(restarted.RunBatch(t.Context(), list[:1])), "its result is not known")
	assert.Equal(t, []string{"delivered 200"}, outcomes(restarted.RunBatch(t.Context(), list[:1])))
	assert.Equal(t, []string{"import a 1", "import bad 1", "done a 1"}, remote.Log())

	restarted.RunBatch(t.Context(), list[:1])
	assert.Equal(t, "import a 1", remote.Log()[3], "an operation that has ended is forgotten: a replay sends again")
}

// TestAPayloadWithAnUnknownOperationIsNotSent checks that a payload which may be in progress is not sent again while the state cannot say
// so, and that the others of its batch are.
func TestAPayloadWithAnUnknownOperationIsNotSent(t *testing.T) {
	remote, state := sample.NewRemote(), &faultyState{State: destination.NewMemoryState(), failGet: errors.New("the disk is gone")}
	plan := hooked(t, remote, state, `{"name":"s","action":"importUser"}`)
	got := plan.RunBatch(t.Context(), events(t, `{"type":"track","userId":"a","n":1}`))
	assert.NotEqual(t, runtime.Delivered, got[0][0].Outcome)
	assert.Contains(t, got[0][0].Reason, "the disk is gone")
	assert.Empty(t, remote.Log())
}

func TestPendingWithoutPollIsAnInternalError(t *testing.T) {
	a := &acme{answer: func(ids []string) (*destination.MultiStatus, error) {
		ms := destination.NewMultiStatus(len(ids))
		ms.Pend(0, "op")
		return ms, nil
	}}
	got := a.plan(t, oneBatch).Run(t.Context(), events(t, `{"type":"track","userId":"1"}`)[0])
	assert.Equal(t, runtime.Refused, got[0].Outcome)
	assert.Contains(t, got[0].Reason, "has no Poll")
}

func TestPerformMayReturnPending(t *testing.T) {
	var asked []string
	action := destination.Handle(destination.Handler[settings, payload]{
		Perform: func(context.Context, destination.Call[settings, payload]) (*destination.Response, error) {
			return &destination.Response{Status: 202, Operation: "op"}, nil
		},
		Poll: func(_ context.Context, call destination.PollCall[settings]) (*destination.MultiStatus, error) {
			asked = append(asked, call.Operations...)
			return nil, nil
		},
	})
	p := (&acme{}).plugin()
	p.Actions["single"] = action
	d, err := p.Load()
	require.NoError(t, err)
	plan, err := runtime.New(p, d, sampleInstance(`[{"action":"single","subscribe":"type = \"track\""}]`), runtime.Host{})
	require.NoError(t, err)
	e := events(t, `{"type":"track","userId":"1"}`)[0]
	assert.Equal(t, runtime.Pending, plan.Run(t.Context(), e)[0].Outcome)
	assert.Equal(t, runtime.Delivered, plan.Run(t.Context(), e)[0].Outcome)
	assert.Equal(t, []string{"op"}, asked)
}
