package delivery_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

// asking answers as a remote that asks to wait, until it is told to take everything.
func asking(wait time.Duration, then <-chan struct{}) func([]change) (*destination.MultiStatus, error) {
	return func([]change) (*destination.MultiStatus, error) {
		select {
		case <-then:
			return nil, nil
		default:
		}
		e := fault.FromStatus(429, "slow down")
		e.RetryAfter = wait
		return nil, e
	}
}

// However long a remote asks to wait, the pause is bounded.
func TestPausesAreBounded(t *testing.T) {
	for name, wait := range map[string]time.Duration{"a day": 24 * time.Hour, "the longest duration": 1<<63 - 1} {
		t.Run(name, func(t *testing.T) {
			q := open(t, t.TempDir())
			defer q.Close()
			remote, then := newRemote(t), make(chan struct{})
			remote.answer = asking(wait, then)
			s := quick
			s.MaxPause = 300 * time.Millisecond
			runner := start(t, q, s, delivery.Instance{Plan: remote.plan(`type = "track"`)})
			defer stop(t, runner)
			require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("u", 0)}))
			require.Eventually(t, func() bool { return runner.Status()[0].Paused }, 10*time.Second, time.Millisecond)
			close(then)
			eventually(t, runner, map[string]int64{"events": 1, "delivered": 1})
		})
	}
}

// A pause is shown, does no harm to readiness, and is ended by Resume.
func TestAPauseIsShownAndEnded(t *testing.T) {
	q := open(t, t.TempDir())
	defer q.Close()
	remote, then := newRemote(t), make(chan struct{})
	remote.answer = asking(24*time.Hour, then)
	runner := start(t, q, quick, delivery.Instance{Plan: remote.plan(`type = "track"`)})
	defer stop(t, runner)
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("u", 0), line("v", 0)}))
	require.Eventually(t, func() bool { return runner.Status()[0].Paused }, 10*time.Second, time.Millisecond)
	status, health := runner.Status()[0], runner.Health(t.Context())
	assert.InDelta(t, time.Hour, time.Until(status.Until), float64(time.Minute), "the default bound")
	assert.True(t, health.Ready)
	require.Equal(t, []delivery.Code{delivery.CodePaused}, codes(runner))
	assert.Contains(t, health.Findings[0].Text(), "landfall resume main")
	assert.Equal(t, health.Findings, status.Findings)
	require.ErrorIs(t, runner.Resume("other"), delivery.ErrUnknownInstance)
	close(then)
	require.NoError(t, runner.Resume("main"))
	eventually(t, runner, map[string]int64{"events": 2, "delivered": 2})
	assert.Empty(t, codes(runner))
}

// A request that never ends and is not bounded holds up accepted events though nothing is paused: that is noticed.
func TestEventsWithoutProgressAreNoticed(t *testing.T) {
	q := open(t, t.TempDir())
	defer q.Close()
	remote, then := newRemote(t), make(chan struct{})
	remote.answer = func([]change) (*destination.MultiStatus, error) { <-then; return nil, nil }
	s := quick
	s.StallAfter = time.Second
	runner := start(t, q, s, delivery.Instance{Plan: remote.plan(`type = "track"`)})
	defer stop(t, runner)
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("u", 0)}))
	require.Eventually(t, func() bool { return !runner.Health(t.Context()).Ready }, 20*time.Second, 20*time.Millisecond)
	health := runner.Health(t.Context())
	require.Len(t, health.Findings, 1)
	assert.Equal(t, delivery.CodeStalled, health.Findings[0].Code)
	assert.Len(t, health.Findings[0].Partitions, 1)
	assert.False(t, health.Delivering)
	assert.True(t, health.Ingesting)
	assert.False(t, runner.Status()[0].Delivering)
	close(then)
	require.Eventually(t, func() bool { return runner.Health(t.Context()).Ready }, 20*time.Second, 20*time.Millisecond)
}

// A further check that fails is a finding, and what it stops is not done.
func TestFurtherChecks(t *testing.T) {
	q := open(t, t.TempDir())
	defer q.Close()
	s := quick
	s.Checks = []delivery.Check{{Code: delivery.CodeState, Stops: delivery.StopsDelivery, Next: "start it", Run: func(context.Context) error { return errors.New("gone") }}}
	runner := start(t, q, s, delivery.Instance{Plan: newRemote(t).plan(`type = "track"`)})
	defer stop(t, runner)
	health := runner.Health(t.Context())
	require.Len(t, health.Findings, 1)
	assert.Equal(t, "no delivery: gone: start it", health.Findings[0].Text())
	assert.False(t, health.Ready)
	assert.True(t, health.Ingesting)
}
