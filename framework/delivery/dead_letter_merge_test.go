package delivery_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

// allLetters returns the dead letters of a queue sorted by id.
func allLetters(t *testing.T, q *delivery.Queue) (list []*delivery.DeadLetter) {
	t.Helper()
	require.NoError(t, q.DeadLetters(t.Context(), delivery.DeadLetterFilter{}, func(l *delivery.DeadLetter) error { list = append(list, l); return nil }))
	slices.SortFunc(list, func(a, b *delivery.DeadLetter) int { return strings.Compare(a.ID, b.ID) })
	return list
}

func replayAll(t *testing.T, q *delivery.Queue, events int) {
	t.Helper()
	n, err := q.Replay(t.Context(), delivery.ReplayRequest{Instance: "main"})
	require.NoError(t, err)
	require.Equal(t, events, n)
}

// switchableRemote returns a remote that answers the user "bad" with a status until the status is set to 0.
func switchableRemote(t *testing.T, status int64) (*remote, *atomic.Int64) {
	remote, now := newRemote(t), &atomic.Int64{}
	now.Store(status)
	remote.answer = func(changes []change) (*destination.MultiStatus, error) {
		ms, code := destination.NewMultiStatus(len(changes)), now.Load()
		for i, c := range changes {
			ms.Deliver(i)
			if code != 0 && c.id == "bad" {
				ms.Fail(i, fault.FromStatus(int(code), "not this one"))
			}
		}
		return ms, nil
	}
	return remote, now
}

// A replayed event that is refused again keeps one dead letter with one id, whose attempts add up. This holds for replays of dead letters
// and of stored events, in a row and with restarts between. The dead letter is deleted once the event is delivered.
func TestFailedReplayUpdatesItsLetter(t *testing.T) {
	dir := t.TempDir()
	q := openQueue(t, dir)
	remote, status := switchableRemote(t, 400)
	plan := remote.planFor(`type = "track"`)
	runner := startRunner(t, q, quick, delivery.Instance{Plan: plan})
	same := `,"group":"g"`
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("bad", 0, same), newEvent("fine", 0, same), newEvent("bad", 1, same)}))
	waitForCounts(t, runner, map[string]int64{"events": 3, "delivered": 1, "dead": 2})
	first := allLetters(t, q)
	require.Len(t, first, 2)

	_, err := q.ReplayDeadLetters(t.Context(), delivery.DeadLetterFilter{Dead: true})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return attemptsOf(t, q) == 4 }, waiting, tick)
	for range 3 {
		replayAll(t, q, 3)
	}
	waitForCounts(t, runner, map[string]int64{"events": 3, "replayed": 9, "delivered": 4, "dead": 8})
	for round := range 2 {
		stopRunner(t, runner)
		q.Close()
		q = openQueue(t, dir)
		runner = startRunner(t, q, quick, delivery.Instance{Plan: plan})
		replayAll(t, q, 3)
		more := int64(round + 1)
		waitForCounts(t, runner, map[string]int64{"events": 3, "replayed": 9 + 3*more, "delivered": 4 + more, "dead": 8 + 2*more})
	}
	letters := allLetters(t, q)
	require.Len(t, letters, 2)
	for i, l := range letters {
		assert.Equal(t, first[i].ID, l.ID)
		assert.Equal(t, first[i].First, l.First)
		assert.Equal(t, 7, l.Attempts)
	}
	status.Store(0)
	replayAll(t, q, 3)
	waitForCounts(t, runner, map[string]int64{"events": 3, "replayed": 18, "delivered": 21, "dead": 0})
	assert.Empty(t, allLetters(t, q), "a delivered event has no letter")
	stopRunner(t, runner)
	q.Close()
}

func attemptsOf(t *testing.T, q *delivery.Queue) (sum int) {
	for _, l := range allLetters(t, q) {
		sum += l.Attempts
	}
	return sum
}

func reasonsByID(t *testing.T, q *delivery.Queue) map[string]string {
	reasons := map[string]string{}
	for _, l := range allLetters(t, q) {
		reasons[l.ID] = l.Reason
	}
	return reasons
}

// A dead letter that was replayed and then dropped is gone, and so is one that waits behind a parked event.
func TestReplayedLetterIsDroppedOnce(t *testing.T) {
	q := openQueue(t, t.TempDir())
	defer q.Close()
	remote, status := switchableRemote(t, 400)
	runner := startRunner(t, q, quick, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	defer stopRunner(t, runner)
	same := `,"group":"g"`
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("bad", 0, same)}))
	waitForCounts(t, runner, map[string]int64{"events": 1, "dead": 1})
	replayAll(t, q, 1)
	waitForCounts(t, runner, map[string]int64{"events": 1, "replayed": 1, "dead": 2})
	n, err := q.DropDeadLetters(t.Context(), delivery.DeadLetterFilter{User: "bad"})
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Empty(t, allLetters(t, q))
	status.Store(0)
}

// Replays of parked events are merged with their dead letters: once unparked, each is delivered once and in order.
func TestReplayedParkedEventsKeepOneLetterEach(t *testing.T) {
	for _, drop := range []bool{false, true} {
		q := openQueue(t, t.TempDir())
		remote, status := switchableRemote(t, 500)
		runner := startRunner(t, q, quick, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
		same := `,"group":"g"`
		for n := range 3 {
			require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("bad", n, same), newEvent("fine", n, same)}))
		}
		busy := 0
		keepBusy := func() { // a failure is the event's own while others of its batch succeed
			require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("busy", busy, same)}))
			busy++
		}
		require.Eventually(t, func() bool { keepBusy(); return countsOf(runner)["parked"] == 3 }, waiting, tick)
		reasons := reasonsByID(t, q)
		n, err := q.Replay(t.Context(), delivery.ReplayRequest{Instance: "main", Choose: userIs("bad")})
		require.NoError(t, err)
		require.Equal(t, 3, n)
		require.Eventually(t, func() bool { return countsOf(runner)["parked"] == 6 }, waiting, tick)
		require.Len(t, allLetters(t, q), 3)
		assert.Equal(t, reasons, reasonsByID(t, q), "why they were parked stays")
		status.Store(0)
		outcome := "delivered"
		if drop {
			outcome = "dropped"
			_, err = q.DropDeadLetters(t.Context(), delivery.DeadLetterFilter{User: "bad"})
		} else {
			_, err = q.ReplayDeadLetters(t.Context(), delivery.DeadLetterFilter{User: "bad"})
		}
		require.NoError(t, err)
		require.Eventually(t, func() bool { return countsOf(runner)["parked"] == 0 }, waiting, tick)
		require.Eventually(t, func() bool {
			c := countsOf(runner)
			return c["events"]+c["replayed"] == c["delivered"]+c["dropped"] && c[outcome] >= 6
		}, waiting, tick, "%v", countsOf(runner))
		assert.Empty(t, allLetters(t, q))
		stopRunner(t, runner)
		if drop {
			assert.Empty(t, remote.taken["bad"])
		} else {
			assert.Equal(t, []int{0, 1, 2}, remote.taken["bad"])
		}
		q.Close()
	}
}
