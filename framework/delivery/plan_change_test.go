package delivery_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

// A subscription is renamed while some of its events are parked and others wait. Waiting events use the new name. Parked ones
// report the missing subscription, are kept, and are delivered in order when the name is back.
func TestSubscriptionRenamedWhileEventsWait(t *testing.T) {
	q := openQueue(t, t.TempDir())
	defer q.Close()
	remote := newRemote(t)
	const poison, down, well = 0, 1, 2
	now := poison
	set := func(to int) {
		remote.mu.Lock()
		defer remote.mu.Unlock()
		now = to
	}
	remote.answer = func(changes []change) (*destination.MultiStatus, error) {
		remote.mu.Lock()
		defer remote.mu.Unlock()
		if now == down {
			return nil, fault.FromStatus(503, "down")
		}
		ms := destination.NewMultiStatus(len(changes))
		for i, c := range changes {
			ms.Deliver(i)
			if now == poison && c.id == "s" {
				ms.Fail(i, fault.FromStatus(500, "not this one"))
			}
		}
		return ms, nil
	}
	old := delivery.Instance{Plan: remote.planFor(`type = "track"`), Version: "1"}
	renamed := delivery.Instance{Plan: remote.planNamed("other", remote.perform, `type = "track"`), Version: "2"}
	runner := startRunner(t, q, quick, old)
	same, n := `,"group":"g"`, 0
	fine := func() {
		require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("fine", n, same)}))
		n++
	}
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("s", 0, same), newEvent("s", 1, same)}))
	require.Eventually(t, func() bool { fine(); return countsOf(runner)["parked"] == 2 }, time.Minute, 20*time.Millisecond)
	set(down)
	for range 20 {
		fine()
	}
	require.NoError(t, runner.SetInstances(t.Context(), []delivery.Instance{renamed}))
	_, err := q.ReplayDeadLetters(t.Context(), delivery.DeadLetterFilter{Parked: true})
	require.NoError(t, err)
	set(well)
	waitForCounts(t, runner, map[string]int64{"events": int64(n + 2), "delivered": int64(n), "dead": 2, "parked": 0})
	require.NoError(t, q.DeadLetters(t.Context(), delivery.DeadLetterFilter{}, func(l *delivery.DeadLetter) error {
		assert.Equal(t, `the subscription "all" no longer exists`, l.Reason)
		return nil
	}))
	require.NoError(t, runner.SetInstances(t.Context(), []delivery.Instance{old}))
	_, err = q.ReplayDeadLetters(t.Context(), delivery.DeadLetterFilter{})
	require.NoError(t, err)
	waitForCounts(t, runner, map[string]int64{"events": int64(n + 2), "delivered": int64(n + 2), "dead": 0, "parked": 0})
	stopRunner(t, runner)
	assert.Equal(t, []int{0, 1}, remote.taken["s"])
	requireInOrder(t, "fine", remote.taken["fine"])
}

// An instance that is removed from the config and added again continues where it stopped, in order and with the events accepted
// in the meantime.
func TestInstanceRemovedAndAddedAgain(t *testing.T) {
	q := openQueue(t, t.TempDir())
	defer q.Close()
	remote := newRemote(t)
	in := delivery.Instance{Plan: remote.planFor(`type = "track"`)}
	runner := startRunner(t, q, quick, in)
	n := 0
	more := func() {
		for range 30 {
			require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("u", n), newEvent(fmt.Sprintf("v%d", n), n)}))
			n++
		}
	}
	for range 4 {
		more()
		require.NoError(t, runner.SetInstances(t.Context(), nil))
		more()
		require.NoError(t, runner.SetInstances(t.Context(), []delivery.Instance{in}))
	}
	waitForCounts(t, runner, map[string]int64{"events": int64(2 * n), "delivered": int64(2 * n)})
	stopRunner(t, runner)
	require.Len(t, remote.taken["u"], n)
	requireInOrder(t, "u", remote.taken["u"])
}

// A replay that is requested several times runs once: dead letters in flight are not replayed again.
func TestRepeatedReplayRequestRunsOnce(t *testing.T) {
	q := openQueue(t, t.TempDir())
	defer q.Close()
	remote := newRemote(t)
	const never, held, well = 0, 1, 2
	now, going := never, make(chan struct{})
	remote.answer = func(changes []change) (*destination.MultiStatus, error) {
		remote.mu.Lock()
		at := now
		remote.mu.Unlock()
		if at == never {
			return nil, fault.FromStatus(400, "never")
		}
		if at == held {
			<-going
		}
		return nil, nil
	}
	runner := startRunner(t, q, quick, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	for n := range 3 {
		require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("u", n, `,"group":"g"`)}))
	}
	waitForCounts(t, runner, map[string]int64{"events": 3, "dead": 3})
	remote.mu.Lock()
	now = held
	remote.mu.Unlock()
	for range 3 {
		_, err := q.ReplayDeadLetters(t.Context(), delivery.DeadLetterFilter{})
		require.NoError(t, err)
	}
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("last", 0, `,"group":"other"`)}))
	require.Eventually(t, func() bool { return runner.Status()[0].Waiting >= 4 }, time.Minute, 5*time.Millisecond)
	remote.mu.Lock()
	now = well
	remote.mu.Unlock()
	close(going)
	waitForCounts(t, runner, map[string]int64{"events": 4, "delivered": 4, "dead": 0})
	stopRunner(t, runner)
	assert.Equal(t, []int{0, 1, 2}, remote.taken["u"])
}
