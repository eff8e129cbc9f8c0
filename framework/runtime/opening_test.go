package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
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

// connection is what connector opens. It fails the test if it is used after it was closed.
type connection struct {
	t      *testing.T
	of     *connector
	closed atomic.Bool
}

func (c *connection) use() { assert.False(c.t, c.closed.Load(), "used after it was closed") }

// Close counts.
func (c *connection) Close(context.Context) error {
	assert.False(c.t, c.closed.Swap(true), "closed twice")
	c.of.open.Add(-1)
	return c.of.closeError
}

// connector is a destination that opens a connection for its instance.
type connector struct {
	t            *testing.T
	opened, open atomic.Int32
	openError    func() (destination.Opened, error) // nil to open
	closeError   error
	perform      func() // in the handler; may be nil
}

func (c *connector) plan() *runtime.Plan {
	p := destination.Plugin{
		Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(`
name: A
slug: a
mode: cloud
authentication: {scheme: none, test: handler}
actions: {send: {title: Send, defaultSubscription: type = "track", fields: {id: {label: ID, type: string, default: {"@path": $.userId}}}}}
`)}},
		Open: func(_ context.Context, in destination.OpenInput) (destination.Opened, error) {
			assert.Nil(c.t, in.Opened)
			if c.openError != nil {
				return c.openError()
			}
			c.opened.Add(1)
			assert.Equal(c.t, int32(1), c.open.Add(1), "one at a time")
			return &connection{t: c.t, of: c}, nil
		},
		Test: func(_ context.Context, _ event.Value, deps destination.Deps) error {
			deps.Opened.(*connection).use()
			return nil
		},
		Actions: map[string]destination.Action{"send": destination.Handle(destination.Handler[empty, empty]{
			Perform: func(_ context.Context, call destination.Call[empty, empty]) (*destination.Response, error) {
				call.Opened.(*connection).use()
				if c.perform != nil {
					c.perform()
				}
				call.Opened.(*connection).use()
				return nil, nil
			},
		})},
	}
	registry, err := destination.NewRegistry([]destination.Plugin{p})
	require.NoError(c.t, err)
	cfg, problems := config.Parse("landfall.yaml", []byte("destinations: [{id: i, destination: a, subscriptions: [{action: send}]}]"), config.Env{})
	plans, err := runtime.Load(cfg, problems, registry, nil)
	require.NoError(c.t, err)
	return plans[0]
}

// TestInstancesAreOpenedOnceAndClosedAfterTheLastCall follows an instance through calls, a failure and its end.
func TestInstancesAreOpenedOnceAndClosedAfterTheLastCall(t *testing.T) {
	c := &connector{t: t}
	plan := c.plan()
	assert.Zero(t, c.opened.Load(), "loading a config opens nothing")
	require.NoError(t, plan.Close(t.Context()), "nothing was opened")

	plan = c.plan()
	track := `{"type":"track","userId":"u1"}`
	c.openError = func() (destination.Opened, error) { return nil, fault.FromStatus(503, "not reachable") }
	v := plan.RunBatch(t.Context(), events(t, track))[0][0]
	assert.Equal(t, "retry not reachable", fmt.Sprint(v.Outcome, " ", v.Reason))
	assert.ErrorContains(t, plan.Test(t.Context()), "not reachable")
	c.openError = func() (destination.Opened, error) { panic("oh") }
	assert.Contains(t, plan.RunBatch(t.Context(), events(t, track))[0][0].Reason, "opening the instance panicked: oh")
	c.openError = func() (destination.Opened, error) { return nil, nil }
	assert.Contains(t, plan.RunBatch(t.Context(), events(t, track))[0][0].Reason, "Plugin.Open returned nothing and no error")
	c.openError = nil
	for range 3 {
		assert.Equal(t, runtime.Delivered, plan.RunBatch(t.Context(), events(t, track, track))[0][0].Outcome)
		require.NoError(t, plan.Test(t.Context()))
	}
	assert.Equal(t, int32(1), c.opened.Load())
	assert.Equal(t, int32(1), c.open.Load())
	c.closeError = errors.New("line busy")
	assert.ErrorContains(t, plan.Close(t.Context()), "line busy")
	assert.Zero(t, c.open.Load())
	require.NoError(t, plan.Close(t.Context()), "it is closed already")

	c.closeError = nil
	assert.Equal(t, runtime.Delivered, plan.RunBatch(t.Context(), events(t, track))[0][0].Outcome, "a late call opens for itself")
	assert.Zero(t, c.open.Load(), "and closes")
}

// TestClosingWaitsForCalls closes an instance while calls run, and gives up waiting.
func TestClosingWaitsForCalls(t *testing.T) {
	started, end := make(chan struct{}), make(chan struct{})
	c := &connector{t: t, perform: func() { started <- struct{}{}; <-end }}
	plan := c.plan()
	var calls sync.WaitGroup
	list := events(t, `{"type":"track","userId":"u1"}`)
	for range 2 {
		calls.Go(func() { plan.RunBatch(t.Context(), list) })
	}
	<-started
	<-started
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, plan.Close(ctx), context.Canceled)
	assert.Equal(t, int32(1), c.open.Load(), "calls use it")
	closed := make(chan error)
	go func() { closed <- plan.Close(t.Context()) }()
	end <- struct{}{}
	end <- struct{}{}
	require.NoError(t, <-closed)
	calls.Wait()
	assert.Zero(t, c.open.Load())
	c.perform = nil
	assert.Equal(t, runtime.Delivered, plan.RunBatch(t.Context(), list)[0][0].Outcome, "a late call opens for itself")
	assert.Zero(t, c.open.Load())
}

// TestOpeningIsSafeForConcurrentUse calls, tests and closes a plan at the same time.
func TestOpeningIsSafeForConcurrentUse(t *testing.T) {
	c := &connector{t: t}
	plan := c.plan()
	list := events(t, `{"type":"track","userId":"u1"}`)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 50 {
				plan.RunBatch(t.Context(), list)
				_ = plan.Test(t.Context())
				if i == 0 {
					assert.NoError(t, plan.Close(t.Context()))
				}
			}
		})
	}
	all.Wait()
	require.NoError(t, plan.Close(t.Context()))
	assert.Zero(t, c.open.Load())
}
