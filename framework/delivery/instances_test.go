package delivery_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

// failingRemote returns a remote that refuses one user, fails for another, and can be switched off with down.
func failingRemote(t *testing.T) (r *remote, down func(bool)) {
	r = newRemote(t)
	isDown := false
	r.answer = func(changes []change) (*destination.MultiStatus, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if isDown {
			return nil, fault.FromStatus(503, "down")
		}
		ms := destination.NewMultiStatus(len(changes))
		for i, c := range changes {
			switch {
			case c.id == "refused" && c.n == 0:
				ms.Fail(i, fault.FromStatus(400, "not this one"))
			case c.id == "fails" && c.n < 2:
				ms.Fail(i, fault.FromStatus(500, "not now"))
			default:
				ms.Deliver(i)
			}
		}
		return ms, nil
	}
	return r, func(yes bool) { r.mu.Lock(); defer r.mu.Unlock(); isDown = yes }
}

func isInstance(id string) func(string) bool { return func(other string) bool { return other == id } }

func backlogsOf(t *testing.T, q *delivery.Queue) map[string]delivery.Backlog {
	list, err := q.Backlogs(t.Context(), nil)
	require.NoError(t, err)
	all := map[string]delivery.Backlog{}
	for _, r := range list {
		all[r.Instance] = r
	}
	return all
}

// An instance gets another id while it has waiting events and dead letters. Nothing is lost and nothing delivered twice, whether it is
// renamed before or after the new instance has started, and if the rename is interrupted and repeated.
func TestRenameInstance(t *testing.T) {
	for _, running := range []bool{false, true} {
		t.Run(fmt.Sprintf("running %v", running), func(t *testing.T) {
			q := openQueue(t, t.TempDir())
			defer q.Close()
			remote, down := failingRemote(t)
			old := delivery.Instance{Plan: remote.planOfInstance("old", "all", remote.perform, `type = "track"`)}
			renamed := delivery.Instance{Plan: remote.planOfInstance("new.one", "all", remote.perform, `type = "track"`)}
			runner := startRunner(t, q, quick, old)
			same := `,"group":"g"`
			require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("refused", 0, same), newEvent("fails", 0, same), newEvent("fails", 1, same)}))
			n := 0
			require.Eventually(t, func() bool {
				require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("fine", n, same)}))
				n++
				return countsOf(runner)["parked"] == 2 && countsOf(runner)["dead"] == 1
			}, time.Minute, 20*time.Millisecond)
			require.Eventually(t, func() bool { return countsOf(runner)["delivered"] == int64(n) }, time.Minute, 20*time.Millisecond)
			down(true)
			for i := range 20 {
				require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent(fmt.Sprintf("w%d", i%7), i, "")}))
			}
			if !running {
				stopRunner(t, runner)
			} else {
				require.NoError(t, runner.SetInstances(t.Context(), []delivery.Instance{renamed}))
				down(false)
				for i := range 10 {
					require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent(fmt.Sprintf("late%d", i%3), i, "")}))
				}
				waitForCounts(t, runner, map[string]int64{"events": 10, "delivered": 10})
			}
			left := backlogsOf(t, q)["old"]
			assert.Equal(t, 2, left.Parked)
			assert.Equal(t, 1, left.Dead)
			assert.GreaterOrEqual(t, left.Waiting, 20, "what came later counts, too")
			var refused *delivery.RemovedInstanceError
			_, err := q.ReplayDeadLetters(t.Context(), delivery.DeadLetterFilter{IsRemoved: isInstance("old")})
			require.ErrorAs(t, err, &refused)

			rename := func() (delivery.MoveResult, error) { return q.RenameInstance(t.Context(), "old", "new.one") }
			if running {
				rename = func() (delivery.MoveResult, error) { return runner.RenameInstance(t.Context(), "old", "new.one") }
			}
			moved, err := rename()
			require.NoError(t, err)
			assert.Equal(t, delivery.MoveResult{Checkpoints: 16, DeadLetters: 3}, moved)
			moved, err = rename()
			require.NoError(t, err)
			assert.Zero(t, moved, "a second time does nothing")
			if !running {
				down(false)
				runner = startRunner(t, q, quick, renamed)
			}
			defer stopRunner(t, runner)
			require.Eventually(t, func() bool { return backlogsOf(t, q)["new.one"].Waiting == 0 }, time.Minute, 50*time.Millisecond)
			assert.NotContains(t, backlogsOf(t, q), "old")
			remote.mu.Lock()
			taken := map[string][]int{}
			for user, list := range remote.taken {
				taken[user] = append([]int(nil), list...)
			}
			remote.mu.Unlock()
			assert.Len(t, taken["fine"], n)
			for i := range 7 {
				user := fmt.Sprintf("w%d", i)
				assert.True(t, slices.IsSorted(taken[user]), "%s: %v", user, taken[user])
				assert.Len(t, taken[user], map[bool]int{true: 3, false: 2}[i < 6], user)
			}
			if running {
				assert.Len(t, taken["late0"], 4)
			}
			dropped, err := q.DropDeadLetters(t.Context(), delivery.DeadLetterFilter{Dead: true, Instance: "new.one"})
			require.NoError(t, err)
			assert.Equal(t, 1, dropped)
		})
	}
}

// The data of a removed instance can be deleted, including its parked events, which no worker processes.
func TestForgetInstance(t *testing.T) {
	q := openQueue(t, t.TempDir())
	defer q.Close()
	remote, _ := failingRemote(t)
	runner := startRunner(t, q, quick, delivery.Instance{Plan: remote.planOfInstance("old", "all", remote.perform, `type = "track"`)})
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("refused", 0, ""), newEvent("fails", 0, ""), newEvent("fails", 1, "")}))
	n := 0
	require.Eventually(t, func() bool {
		require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("fine", n, "")}))
		n++
		return countsOf(runner)["parked"] == 2 && countsOf(runner)["dead"] == 1
	}, time.Minute, 20*time.Millisecond)
	_, err := runner.ForgetInstance(t.Context(), "old")
	require.Error(t, err, "it is still delivered to")
	require.NoError(t, runner.SetInstances(t.Context(), nil))

	dropped, err := q.DropDeadLetters(t.Context(), delivery.DeadLetterFilter{Parked: true, IsRemoved: isInstance("old")})
	require.NoError(t, err)
	assert.Equal(t, 2, dropped)
	assert.Zero(t, backlogsOf(t, q)["old"].Parked, "at once, since no worker owns them")
	moved, err := runner.ForgetInstance(t.Context(), "old")
	require.NoError(t, err)
	assert.Equal(t, delivery.MoveResult{Checkpoints: 16, DeadLetters: 1}, moved)
	assert.Empty(t, backlogsOf(t, q))

	require.NoError(t, runner.SetInstances(t.Context(), []delivery.Instance{{Plan: remote.planOfInstance("old", "all", remote.perform, `type = "track"`)}}))
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("fine", n, "")}))
	waitForCounts(t, runner, map[string]int64{"events": 1, "delivered": 1})
	stopRunner(t, runner)
}
