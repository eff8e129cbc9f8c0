package delivery_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// sessions counts what a destination opens, and checks that nothing is sent after a session was closed.
type sessions struct {
	t  *testing.T
	mu sync.Mutex

	opened, closed, sent int
}

// session is what sessions opens.
type session struct {
	of     *sessions
	closed bool
}

// Close counts.
func (s *session) Close(context.Context) error {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	assert.False(s.of.t, s.closed, "closed twice")
	s.closed = true
	s.of.closed++
	return nil
}

func (s *sessions) counts() [3]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return [3]int{s.opened, s.closed, s.sent}
}

func (s *sessions) instance(version string) delivery.Instance {
	p := destination.Plugin{
		Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(definition)}},
		Open: func(context.Context, destination.OpenInput) (destination.Opened, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.opened++
			return &session{of: s}, nil
		},
		Actions: map[string]destination.Action{"send": destination.Handle(destination.Handler[change, change]{
			PerformBatch: func(_ context.Context, call destination.BatchCall[change, change]) (*destination.MultiStatus, error) {
				s.mu.Lock()
				defer s.mu.Unlock()
				assert.False(s.t, call.Opened.(*session).closed, "sent after the session was closed")
				s.sent += len(call.Payloads)
				return nil, nil
			},
		})},
	}
	d, err := p.Load()
	require.NoError(s.t, err)
	in := config.InstanceOf(event.MustParse(`{"id":"main","subscriptions":[{"name":"all","action":"send","subscribe":"type = \"track\""}]}`))
	plan, err := runtime.New(p, d, in, runtime.Host{})
	require.NoError(s.t, err)
	return delivery.Instance{Plan: plan, Version: version}
}

// TestInstancesAreClosed checks that an instance is closed after its last batch when it is changed, removed or the runner stops, and not when
// a reload leaves it as it is.
func TestInstancesAreClosed(t *testing.T) {
	q := openQueue(t, t.TempDir())
	defer q.Close()
	s, sent := &sessions{t: t}, 0
	first := s.instance("1")
	runner := startRunner(t, q, quick, first)
	deliver := func() {
		for range 20 {
			require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent(fmt.Sprintf("u%d", sent%7), sent)}))
			sent++
		}
		require.Eventually(t, func() bool { return s.counts()[2] == sent }, waiting, tick)
	}
	assert.Equal(t, [3]int{}, s.counts(), "nothing is opened before the first batch")
	deliver()
	assert.Equal(t, [3]int{1, 0, sent}, s.counts())
	require.NoError(t, runner.SetInstances(t.Context(), []delivery.Instance{s.instance("1")}))
	deliver()
	assert.Equal(t, [3]int{1, 0, sent}, s.counts(), "the instance has not changed")
	assert.True(t, runner.Runs(first.Plan))
	changed := s.instance("2")
	require.NoError(t, runner.SetInstances(t.Context(), []delivery.Instance{changed}))
	assert.Equal(t, 1, s.counts()[1])
	assert.False(t, runner.Runs(first.Plan))
	deliver()
	assert.Equal(t, [3]int{2, 1, sent}, s.counts())
	require.NoError(t, runner.SetInstances(t.Context(), nil))
	assert.Equal(t, [3]int{2, 2, sent}, s.counts(), "the instance was removed")
	require.NoError(t, runner.SetInstances(t.Context(), []delivery.Instance{s.instance("3")}))
	deliver()
	stopRunner(t, runner)
	assert.Equal(t, [3]int{3, 3, sent}, s.counts())
}
