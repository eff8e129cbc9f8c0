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

// askToWait returns a remote that asks to wait until then is closed, and accepts everything afterwards.
func askToWait(wait time.Duration, then <-chan struct{}) func([]change) (*destination.MultiStatus, error) {
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

// However long a remote asks to wait, the pause is limited.
func TestPausesAreBounded(t *testing.T) {
	for name, wait := range map[string]time.Duration{"a day": 24 * time.Hour, "the longest duration": 1<<63 - 1} {
		t.Run(name, func(t *testing.T) {
			q := openQueue(t, t.TempDir())
			defer q.Close()
			remote, then := newRemote(t), make(chan struct{})
			remote.answer = askToWait(wait, then)
			s := quick
			s.MaxPause = 300 * time.Millisecond
			runner := startRunner(t, q, s, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
			defer stopRunner(t, runner)
			require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("u", 0)}))
			require.Eventually(t, func() bool { return runner.Status()[0].Paused }, time.Minute, time.Millisecond)
			close(then)
			waitForCounts(t, runner, map[string]int64{"events": 1, "delivered": 1})
		})
	}
}

// A pause is reported, leaves the server ready, and is ended by Resume.
func TestPauseIsReportedAndResumed(t *testing.T) {
	q := openQueue(t, t.TempDir())
	defer q.Close()
	remote, then := newRemote(t), make(chan struct{})
	remote.answer = askToWait(24*time.Hour, then)
	runner := startRunner(t, q, quick, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	defer stopRunner(t, runner)
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("u", 0)})) // two could come in two requests, which pause one after the other
	require.Eventually(t, func() bool { return runner.Status()[0].Paused }, time.Minute, time.Millisecond)
	status, health := runner.Status()[0], runner.Health(t.Context())
	assert.InDelta(t, time.Hour, time.Until(status.Until), float64(time.Minute), "the default bound")
	assert.True(t, health.Ready)
	require.Equal(t, []delivery.Code{delivery.CodePaused}, findingCodes(runner))
	assert.Contains(t, health.Findings[0].Text(), "landfall resume main")
	assert.Equal(t, health.Findings, status.Findings)
	_, err := runner.Resume("other")
	require.ErrorIs(t, err, delivery.ErrUnknownInstance)
	close(then)
	waited, err := runner.Resume("main")
	require.NoError(t, err)
	assert.True(t, waited)
	waitForCounts(t, runner, map[string]int64{"events": 1, "delivered": 1})
	assert.Empty(t, findingCodes(runner))
	waited, err = runner.Resume("main")
	require.NoError(t, err)
	assert.False(t, waited, "nothing is paused")
}

// A request that never ends and has no timeout blocks accepted events although nothing is paused. That is detected.
func TestStalledEventsAreDetected(t *testing.T) {
	q := openQueue(t, t.TempDir())
	defer q.Close()
	remote, then := newRemote(t), make(chan struct{})
	remote.answer = func([]change) (*destination.MultiStatus, error) { <-then; return nil, nil }
	s := quick
	s.StallAfter = time.Second
	runner := startRunner(t, q, s, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	defer stopRunner(t, runner)
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("u", 0)}))
	require.Eventually(t, func() bool { return !runner.Health(t.Context()).Ready }, time.Minute, 20*time.Millisecond)
	health := runner.Health(t.Context())
	require.Len(t, health.Findings, 1)
	assert.Equal(t, delivery.CodeStalled, health.Findings[0].Code)
	assert.Len(t, health.Findings[0].Partitions, 1)
	assert.False(t, health.Delivering)
	assert.True(t, health.Ingesting)
	assert.False(t, runner.Status()[0].Delivering)
	close(then)
	require.Eventually(t, func() bool { return runner.Health(t.Context()).Ready }, time.Minute, 20*time.Millisecond)
}

// An additional check that fails becomes a finding with its effect.
func TestAdditionalChecks(t *testing.T) {
	q := openQueue(t, t.TempDir())
	defer q.Close()
	s := quick
	s.Checks = []delivery.Check{{Code: delivery.CodeState, Stops: delivery.StopsDelivery, Next: "start it", Run: func(context.Context) error { return errors.New("gone") }}}
	runner := startRunner(t, q, s, delivery.Instance{Plan: newRemote(t).planFor(`type = "track"`)})
	defer stopRunner(t, runner)
	health := runner.Health(t.Context())
	require.Len(t, health.Findings, 1)
	assert.Equal(t, "no delivery: gone: start it", health.Findings[0].Text())
	assert.False(t, health.Ready)
	assert.True(t, health.Ingesting)
}
