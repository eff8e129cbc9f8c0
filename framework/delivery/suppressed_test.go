package delivery_test

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// TestSuppressedUsersAreSkipped suppresses a user with a stored event, a replayed event and a dead letter. None of them is sent.
func TestSuppressedUsersAreSkipped(t *testing.T) {
	q := openQueue(t, t.TempDir())
	defer q.Close()
	remote := newRemote(t)
	var works, suppressed atomic.Bool
	remote.answer = func(changes []change) (*destination.MultiStatus, error) {
		ms, working := destination.NewMultiStatus(len(changes)), works.Load()
		for i, c := range changes {
			if c.id == "gone" && !working {
				ms.Fail(i, fault.FromStatus(400, "never"))
				continue
			}
			ms.Deliver(i)
		}
		return ms, nil
	}
	settings := quick
	settings.Suppressed = func(v event.Value) bool { return suppressed.Load() && v.Get("userId").Str() == "gone" }
	runner := startRunner(t, q, settings, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	defer stopRunner(t, runner)
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("gone", 0), newEvent("stays", 0)}))
	waitForCounts(t, runner, map[string]int64{"events": 2, "delivered": 1, "dead": 1})
	works.Store(true)
	suppressed.Store(true)
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("gone", 1), newEvent("stays", 1)}))
	waitForCounts(t, runner, map[string]int64{"events": 4, "delivered": 2, "skipped": 1, "dead": 1})
	n, err := q.Replay(t.Context(), delivery.ReplayRequest{Instance: "main"})
	require.NoError(t, err)
	require.Equal(t, 4, n)
	waitForCounts(t, runner, map[string]int64{"events": 4, "replayed": 4, "delivered": 4, "skipped": 3, "dead": 1})
	_, err = q.ReplayDeadLetters(t.Context(), delivery.DeadLetterFilter{})
	require.NoError(t, err)
	waitForCounts(t, runner, map[string]int64{"events": 4, "replayed": 4, "delivered": 4, "skipped": 4, "dead": 0})
	assert.Empty(t, remote.taken["gone"])
	assert.Equal(t, []int{0, 1, 0, 1}, remote.taken["stays"])
	for _, v := range runner.Verdicts(10, func(v *delivery.VerdictRecord) bool { return v.Outcome == "skipped" }) {
		assert.Equal(t, fault.CauseSuppressed, v.Cause)
	}
}
