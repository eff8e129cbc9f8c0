package delivery_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

// The history of an event is found from its user: in the log, and among the latest verdicts.
func TestLatestEventsAndVerdictsOfAUser(t *testing.T) {
	q := openQueue(t, t.TempDir())
	defer q.Close()
	remote := newRemote(t)
	remote.answer = func(changes []change) (*destination.MultiStatus, error) {
		ms := destination.NewMultiStatus(len(changes))
		for i, c := range changes {
			if c.id == "bad" {
				ms.Fail(i, fault.FromStatus(400, "never"))
			} else {
				ms.Deliver(i)
			}
		}
		return ms, nil
	}
	runner := startRunner(t, q, quick, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	for n := range 20 {
		require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("ana", n), newEvent("bad", n), newEvent("bo", n)}))
	}
	waitForCounts(t, runner, map[string]int64{"events": 60, "delivered": 40, "dead": 20})
	stopRunner(t, runner)

	list, whole, err := q.Latest(t.Context(), "bad", 5)
	require.NoError(t, err)
	require.Len(t, list, 5)
	assert.True(t, whole)
	for i, l := range list {
		assert.Contains(t, string(l.Raw), fmt.Sprintf(`"messageId":"bad-%d"`, 19-i), "the newest first")
		assert.Equal(t, "web", l.Source)
		found, err := q.Event(t.Context(), l.Seq, l.Index)
		require.NoError(t, err)
		assert.Equal(t, string(l.Raw), string(found.Raw))
		verdicts := runner.Verdicts(10, func(s *delivery.VerdictRecord) bool { return s.Seq == l.Seq && s.Index == l.Index })
		require.Len(t, verdicts, 1)
		assert.Equal(t, "dead", verdicts[0].Outcome)
		assert.Equal(t, "never", verdicts[0].Reason)
		assert.Equal(t, "bad", verdicts[0].User())
	}
	everybody, _, err := q.Latest(t.Context(), "", 7)
	require.NoError(t, err)
	assert.Len(t, everybody, 7)
	none, _, err := q.Latest(t.Context(), "an", 7)
	require.NoError(t, err)
	assert.Empty(t, none)
	for _, at := range [][2]int{{0, 0}, {1, -1}, {1, 99}, {1 << 30, 0}} {
		_, err := q.Event(t.Context(), uint64(at[0]), at[1])
		assert.ErrorIs(t, err, delivery.ErrEventNotFound, at)
	}
	newest := runner.Verdicts(3, func(*delivery.VerdictRecord) bool { return true })
	require.Len(t, newest, 3)
	assert.False(t, newest[0].At.Before(newest[2].At))
}

func TestVerdictRingIsBounded(t *testing.T) {
	q := openQueue(t, t.TempDir())
	defer q.Close()
	remote := newRemote(t)
	runner := startRunner(t, q, quick, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	const n = delivery.MaxVerdicts + 200
	batch := make([]delivery.NewEvent, n)
	for i := range batch {
		batch[i] = newEvent(fmt.Sprintf("u%d", i), i)
	}
	require.NoError(t, q.Append(t.Context(), batch))
	waitForCounts(t, runner, map[string]int64{"events": n, "delivered": n})
	stopRunner(t, runner)
	assert.Len(t, runner.Verdicts(2*n, func(*delivery.VerdictRecord) bool { return true }), delivery.MaxVerdicts)
}

func TestUserOf(t *testing.T) {
	for key, want := range map[string]string{
		"u:ana": "ana", "a:x y": "x y", "m:1": "1", "aud_1 u:ana": "ana", "aud 1 u:b c": "b c", "u:a u:b": "a u:b", "": "", "odd": "odd",
	} {
		assert.Equal(t, want, delivery.UserOf(key), key)
	}
}
