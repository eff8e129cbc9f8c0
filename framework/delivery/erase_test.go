package delivery_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// TestErasedEventsAreGone erases a user with delivered, retrying, parked and dead events, while the delivery runs. Nothing of the user is sent or
// stored afterwards, and the events of another user with the same failures are kept and replayed.
func TestErasedEventsAreGone(t *testing.T) {
	q := openQueue(t, t.TempDir())
	defer q.Close()
	remote := newRemote(t)
	var works, erasing atomic.Bool
	remote.answer = func(changes []change) (*destination.MultiStatus, error) {
		ms, working := destination.NewMultiStatus(len(changes)), works.Load()
		for i, c := range changes {
			switch {
			case working || c.n == 0:
				ms.Deliver(i)
			case c.n == 1:
				ms.Fail(i, fault.FromStatus(400, "never"))
			default:
				ms.Fail(i, fault.FromStatus(http.StatusServiceUnavailable, "busy"))
			}
		}
		return ms, nil
	}
	isGone := func(v event.Value) bool { return v.Get("userId").Str() == "gone" }
	settings := quick
	settings.Erased = func(v event.Value) bool { return erasing.Load() && isGone(v) }
	settings.RetryFor = 300 * time.Millisecond
	runner := startRunner(t, q, settings, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	defer stopRunner(t, runner)
	var list []delivery.NewEvent
	for n := range 4 {
		list = append(list, newEvent("gone", n), newEvent("stays", n))
	}
	require.NoError(t, q.Append(t.Context(), list))
	waitForCounts(t, runner, map[string]int64{"events": 8, "delivered": 2, "dead": 2, "parked": 4})
	sentBefore := len(remote.takenOf("gone"))

	erasing.Store(true)
	require.Eventually(t, func() bool {
		found, err := q.EraseDeadLetters(t.Context(), isGone, func(string) bool { return false })
		require.NoError(t, err)
		return found == 0
	}, time.Minute, 20*time.Millisecond)
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("gone", 4), newEvent("stays", 4)}))
	erase := func() {
		_, err := q.Erase(t.Context(), delivery.EraseRequest{Match: isGone, HasUser: func(text string) bool { return strings.Contains(text, "gone") }})
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return countsOf(runner)["events"] == 10 }, time.Minute, 10*time.Millisecond)
	erase()
	erase()
	erasing.Store(false) // the erasure is done
	stored := map[string]int{}
	require.NoError(t, q.EachStored(t.Context(), func(raw []byte) {
		e, err := event.Parse(raw)
		require.NoError(t, err)
		stored[e.Value().Get("userId").Str()]++
	}))
	assert.Equal(t, 5, stored["stays"]-lettersOf(t, q))
	assert.Zero(t, stored["gone"])
	found, err := q.Find(t.Context(), delivery.FindRequest{Match: func([]byte) bool { return true }, Limit: 100, MaxBytes: 1 << 20})
	require.NoError(t, err)
	assert.Len(t, found.Events, 5)
	runner.ForgetVerdicts(func(text string) bool { return strings.Contains(text, "gone") })
	for _, v := range runner.Verdicts(100, func(*delivery.VerdictRecord) bool { return true }) {
		assert.NotContains(t, v.Key, "gone")
	}

	works.Store(true)
	_, err = q.ReplayDeadLetters(t.Context(), delivery.DeadLetterFilter{})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return countsOf(runner)["parked"] == 0 && lettersOf(t, q) == 0 }, time.Minute, 20*time.Millisecond)
	n, err := q.Replay(t.Context(), delivery.ReplayRequest{Instance: "main"})
	require.NoError(t, err)
	assert.Equal(t, 5, n)
	waitForCounts(t, runner, map[string]int64{"events": 10, "delivered": 11, "skipped": 3, "replayed": 5, "dead": 1, "parked": 0})
	assert.Len(t, remote.takenOf("gone"), sentBefore, "nothing more was sent")
}

// takenOf returns the events of a user that the remote has taken.
func (r *remote) takenOf(user string) []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]int(nil), r.taken[user]...)
}

// lettersOf returns the number of dead letters.
func lettersOf(t *testing.T, q *delivery.Queue) (n int) {
	require.NoError(t, q.DeadLetters(t.Context(), delivery.DeadLetterFilter{}, func(l *delivery.DeadLetter) error {
		assert.NotContains(t, string(l.Event), "gone")
		n++
		return nil
	}))
	return n
}

// TestNothingIsErasedDuringABackup checks that the log is not stopped while it is copied.
func TestNothingIsErasedDuringABackup(t *testing.T) {
	q, err := delivery.Open(t.Context(), delivery.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	defer q.Close()
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("gone", 0)}))
	none := delivery.EraseRequest{Match: func(event.Value) bool { return false }, HasUser: func(string) bool { return false }}
	_, err = q.Snapshots(t.Context(), func(string) (io.Writer, error) {
		_, err := q.Erase(t.Context(), none)
		assert.ErrorContains(t, err, "a backup is being made")
		return io.Discard, nil
	})
	require.NoError(t, err)
	_, err = q.Erase(t.Context(), none)
	require.NoError(t, err)
}
