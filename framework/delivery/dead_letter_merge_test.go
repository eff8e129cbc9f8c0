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

// allLetters returns the letters of a queue by their IDs: the queue gives them as they were written.
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

// switchable is a remote that refuses the user "bad" with a status until the status is 0.
func switchable(t *testing.T, status int64) (*remote, *atomic.Int64) {
	remote, now := newRemote(t), &atomic.Int64{}
	now.Store(status)
	remote.answer = func(changes []change) (*destination.MultiStatus, error) {
		ms := destination.NewMultiStatus(len(changes))
		for i, c := range changes {
			ms.Deliver(i)
			if code := now.Load(); code != 0 && c.id == "bad" {
				ms.Fail(i, fault.FromStatus(int(code), "not this one"))
			}
		}
		return ms, nil
	}
	return remote, now
}

// A replayed event that is refused again stays one letter under its name, and its attempts add up: for replays of letters and of kept
// events, several in a row, and with restarts between. The letter goes once the event is delivered.
func TestAReplayThatFailsAgainStaysOneLetter(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir)
	remote, status := switchable(t, 400)
	plan := remote.plan(`type = "track"`)
	runner := start(t, q, quick, delivery.Instance{Plan: plan})
	same := `,"group":"g"`
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("bad", 0, same), line("fine", 0, same), line("bad", 1, same)}))
	eventually(t, runner, map[string]int64{"events": 3, "delivered": 1, "dead": 2})
	first := allLetters(t, q)
	require.Len(t, first, 2)

	_, err := q.ReplayDeadLetters(t.Context(), delivery.DeadLetterFilter{Dead: true})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return attemptsOf(t, q) == 4 }, waiting, tick)
	for range 3 {
		replayAll(t, q, 3)
	}
	eventually(t, runner, map[string]int64{"events": 3, "replayed": 9, "delivered": 4, "dead": 8})
	for round := range 2 {
		stop(t, runner)
		q.Close()
		q = open(t, dir)
		runner = start(t, q, quick, delivery.Instance{Plan: plan})
		replayAll(t, q, 3)
		more := int64(round + 1)
		eventually(t, runner, map[string]int64{"events": 3, "replayed": 9 + 3*more, "delivered": 4 + more, "dead": 8 + 2*more})
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
	eventually(t, runner, map[string]int64{"events": 3, "replayed": 18, "delivered": 21, "dead": 0})
	assert.Empty(t, allLetters(t, q), "a delivered event has no letter")
	stop(t, runner)
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

// A letter that is dropped after a replay is gone, as is one that waits behind a parked event.
func TestAReplayedLetterIsDroppedOnce(t *testing.T) {
	q := open(t, t.TempDir())
	defer q.Close()
	remote, status := switchable(t, 400)
	runner := start(t, q, quick, delivery.Instance{Plan: remote.plan(`type = "track"`)})
	defer stop(t, runner)
	same := `,"group":"g"`
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("bad", 0, same)}))
	eventually(t, runner, map[string]int64{"events": 1, "dead": 1})
	replayAll(t, q, 1)
	eventually(t, runner, map[string]int64{"events": 1, "replayed": 1, "dead": 2})
	n, err := q.DropDeadLetters(t.Context(), delivery.DeadLetterFilter{User: "bad"})
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Empty(t, allLetters(t, q))
	status.Store(0)
}

// Replays of parked events join the letters of those: unparked, each is delivered once, in order.
func TestReplaysOfParkedEventsAreOneLetterEach(t *testing.T) {
	for _, drop := range []bool{false, true} {
		q := open(t, t.TempDir())
		remote, status := switchable(t, 500)
		runner := start(t, q, quick, delivery.Instance{Plan: remote.plan(`type = "track"`)})
		same := `,"group":"g"`
		for n := range 3 {
			require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("bad", n, same), line("fine", n, same)}))
		}
		busy := 0
		keepBusy := func() { // a failure counts as the event's own while others of its batch succeed
			require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("busy", busy, same)}))
			busy++
		}
		require.Eventually(t, func() bool { keepBusy(); return counts(runner)["parked"] == 3 }, waiting, tick)
		reasons := reasonsByID(t, q)
		n, err := q.Replay(t.Context(), delivery.ReplayRequest{Instance: "main", Choose: userIs("bad")})
		require.NoError(t, err)
		require.Equal(t, 3, n)
		require.Eventually(t, func() bool { return counts(runner)["parked"] == 6 }, waiting, tick)
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
		require.Eventually(t, func() bool { return counts(runner)["parked"] == 0 }, waiting, tick)
		require.Eventually(t, func() bool {
			c := counts(runner)
			return c["events"]+c["replayed"] == c["delivered"]+c["dropped"] && c[outcome] >= 6
		}, waiting, tick, "%v", counts(runner))
		assert.Empty(t, allLetters(t, q))
		stop(t, runner)
		if drop {
			assert.Empty(t, remote.taken["bad"])
		} else {
			assert.Equal(t, []int{0, 1, 2}, remote.taken["bad"])
		}
		q.Close()
	}
}
