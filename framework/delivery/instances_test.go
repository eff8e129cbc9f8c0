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

// failing is a remote that refuses one user for good, fails for another, and is down if it is told to be.
func failing(t *testing.T) (r *remote, down func(bool)) {
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

func gone(id string) func(string) bool { return func(other string) bool { return other == id } }

func remainsOf(t *testing.T, q *delivery.Queue) map[string]delivery.Backlog {
	list, err := q.Backlogs(t.Context(), nil)
	require.NoError(t, err)
	all := map[string]delivery.Backlog{}
	for _, r := range list {
		all[r.Instance] = r
	}
	return all
}

// An instance gets another id while its events wait, and its letters lie there. Nothing is lost, nothing comes twice, whether the
// rename comes before the new instance has begun or after, and whether it is interrupted and repeated.
func TestInstanceIsRenamed(t *testing.T) {
	for _, running := range []bool{false, true} {
		t.Run(fmt.Sprintf("running %v", running), func(t *testing.T) {
			q := open(t, t.TempDir())
			defer q.Close()
			remote, down := failing(t)
			old := delivery.Instance{Plan: remote.planOfInstance("old", "all", remote.perform, `type = "track"`)}
			renamed := delivery.Instance{Plan: remote.planOfInstance("new.one", "all", remote.perform, `type = "track"`)}
			runner := start(t, q, quick, old)
			same := `,"group":"g"`
			require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("refused", 0, same), line("fails", 0, same), line("fails", 1, same)}))
			n := 0
			require.Eventually(t, func() bool {
				require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("fine", n, same)}))
				n++
				return counts(runner)["parked"] == 2 && counts(runner)["dead"] == 1
			}, 20*time.Second, 20*time.Millisecond)
			require.Eventually(t, func() bool { return counts(runner)["delivered"] == int64(n) }, 20*time.Second, 20*time.Millisecond)
			down(true)
			for i := range 20 {
				require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line(fmt.Sprintf("w%d", i%7), i, "")}))
			}
			if !running {
				stop(t, runner)
			} else {
				require.NoError(t, runner.SetInstances(t.Context(), []delivery.Instance{renamed}))
				down(false)
				for i := range 10 {
					require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line(fmt.Sprintf("late%d", i%3), i, "")}))
				}
				eventually(t, runner, map[string]int64{"events": 10, "delivered": 10})
			}
			left := remainsOf(t, q)["old"]
			assert.Equal(t, 2, left.Parked)
			assert.Equal(t, 1, left.Dead)
			assert.GreaterOrEqual(t, left.Waiting, 20, "what came later counts, too")
			var refused *delivery.RemovedInstanceError
			_, err := q.ReplayDeadLetters(t.Context(), delivery.DeadLetterFilter{IsRemoved: gone("old")})
			require.ErrorAs(t, err, &refused)

			rename := func() (delivery.MoveResult, error) { return q.RenameInstance(t.Context(), "old", "new.one") }
			if running {
				rename = func() (delivery.MoveResult, error) { return runner.RenameInstance(t.Context(), "old", "new.one") }
			}
			moved, err := rename()
			require.NoError(t, err)
			assert.Equal(t, delivery.MoveResult{Checkpoints: 16, Letters: 3}, moved)
			moved, err = rename()
			require.NoError(t, err)
			assert.Zero(t, moved, "a second time does nothing")
			if !running {
				down(false)
				runner = start(t, q, quick, renamed)
			}
			defer stop(t, runner)
			require.Eventually(t, func() bool { return remainsOf(t, q)["new.one"].Waiting == 0 }, 20*time.Second, 50*time.Millisecond)
			assert.NotContains(t, remainsOf(t, q), "old")
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

// What is left of an instance can be deleted, its parked letters included, which no worker looks after.
func TestGoneInstanceIsForgotten(t *testing.T) {
	q := open(t, t.TempDir())
	defer q.Close()
	remote, _ := failing(t)
	runner := start(t, q, quick, delivery.Instance{Plan: remote.planOfInstance("old", "all", remote.perform, `type = "track"`)})
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("refused", 0, ""), line("fails", 0, ""), line("fails", 1, "")}))
	n := 0
	require.Eventually(t, func() bool {
		require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("fine", n, "")}))
		n++
		return counts(runner)["parked"] == 2 && counts(runner)["dead"] == 1
	}, 20*time.Second, 20*time.Millisecond)
	_, err := runner.ForgetInstance(t.Context(), "old")
	require.Error(t, err, "it is still delivered to")
	require.NoError(t, runner.SetInstances(t.Context(), nil))

	dropped, err := q.DropDeadLetters(t.Context(), delivery.DeadLetterFilter{Parked: true, IsRemoved: gone("old")})
	require.NoError(t, err)
	assert.Equal(t, 2, dropped)
	assert.Zero(t, remainsOf(t, q)["old"].Parked, "at once, since nobody works on them")
	moved, err := runner.ForgetInstance(t.Context(), "old")
	require.NoError(t, err)
	assert.Equal(t, delivery.MoveResult{Checkpoints: 16, Letters: 1}, moved)
	assert.Empty(t, remainsOf(t, q))

	require.NoError(t, runner.SetInstances(t.Context(), []delivery.Instance{{Plan: remote.planOfInstance("old", "all", remote.perform, `type = "track"`)}}))
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("fine", n, "")}))
	eventually(t, runner, map[string]int64{"events": 1, "delivered": 1})
	stop(t, runner)
}
