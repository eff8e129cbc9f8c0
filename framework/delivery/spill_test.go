package delivery_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

// onePartition is a queue in which all users share a partition.
func onePartition(t *testing.T, dir string) *delivery.Queue {
	q, err := delivery.Open(t.Context(), delivery.Config{Dir: dir, Partitions: 1})
	require.NoError(t, err)
	return q
}

// hot are n events of one user, from a number on, in a group of its own.
func hot(user string, from, n int) []delivery.NewEvent {
	batch := make([]delivery.NewEvent, n)
	for i := range batch {
		batch[i] = line(user, from+i, fmt.Sprintf(`,"group":%q`, user))
	}
	return batch
}

// Hot users, with many events that a slow remote takes one by one, delay nobody but themselves. Each of their events is delivered,
// in order, and the partition stays within its room.
func TestHotUsersDelayNobodyElse(t *testing.T) {
	for _, keys := range []int{1, 3} {
		t.Run(fmt.Sprint(keys), func(t *testing.T) {
			q := onePartition(t, t.TempDir())
			defer q.Close()
			remote := newRemote(t)
			remote.answer = func(changes []change) (*destination.MultiStatus, error) {
				if strings.HasPrefix(changes[0].id, "hot") {
					time.Sleep(3 * time.Millisecond)
				}
				return nil, nil
			}
			settings := quick
			settings.MaxInFlight, settings.Linger = 80, time.Millisecond
			runner := start(t, q, settings, delivery.Instance{Plan: remote.plan(`type = "track"`)})
			defer stop(t, runner)
			const events = 1500
			for k := range keys {
				require.NoError(t, q.Append(t.Context(), hot(fmt.Sprintf("hot%d", k), 0, events)))
			}
			require.NoError(t, q.Append(t.Context(), everyone(200, 0)))
			require.Eventually(t, func() bool {
				assert.LessOrEqual(t, runner.Status()[0].Waiting, 2*settings.MaxInFlight)
				for u := range 200 {
					if remote.count(fmt.Sprintf("u%d", u)) == 0 {
						return false
					}
				}
				return true
			}, waiting, tick)
			assert.Less(t, remote.count("hot0"), events/2, "the others did not wait for the hot user")
			eventually(t, runner, map[string]int64{"events": int64(keys*events + 200), "delivered": int64(keys*events + 200), "parked": 0})
			for k := range keys {
				inOrder(t, fmt.Sprint(k), remote.taken[fmt.Sprintf("hot%d", k)])
			}
			assert.Empty(t, allLetters(t, q))
		})
	}
}

// For an audience, the changes of a hot user go together: the newest is sent, and what it supersedes is skipped with that reason.
func TestAHotUserOfAnAudienceCostsFewRequests(t *testing.T) {
	q := onePartition(t, t.TempDir())
	defer q.Close()
	var requests atomic.Int64
	var last atomic.Pointer[string]
	runner := start(t, q, quick, delivery.Instance{Plan: cohortPlan(t, answering(func(body string) int {
		requests.Add(1)
		if strings.Contains(body, `"hot"`) {
			last.Store(&body)
		}
		time.Sleep(20 * time.Millisecond)
		return 201
	}))})
	defer stop(t, runner)
	const events = 3000
	for from := 0; from < events; from += 500 {
		var batch []delivery.NewEvent
		for n := range 500 {
			batch = append(batch, entered("hot", from+n))
		}
		require.NoError(t, q.Append(t.Context(), append(batch, entered(fmt.Sprintf("u%d", from), 0))))
	}
	require.Eventually(t, func() bool {
		c := counts(runner)
		return c["events"] == events+6 && c["delivered"]+c["skipped"] == events+6
	}, waiting, tick)
	assert.Less(t, requests.Load(), int64(60))
	superseded := runner.Verdicts(events, func(s *delivery.VerdictRecord) bool { return strings.Contains(s.Reason, "superseded") })
	assert.Greater(t, len(superseded), events*9/10)
	assert.Contains(t, *last.Load(), `"should_remove":true`, "the newest event decides")
}

// Whatever comes between hot users, failures, parked users, replays and crashes: every event of a user is delivered, and after a
// crash only what was not recorded is repeated, so that the users' events take effect in order.
func TestHotUsersSurviveCrashesInOrder(t *testing.T) {
	rounds := 2
	if testing.Short() {
		rounds = 1
	}
	for seed := range rounds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { crashRound(t, rand.New(rand.NewPCG(uint64(seed), 7))) })
	}
}

func crashRound(t *testing.T, random *rand.Rand) {
	dir := t.TempDir()
	q := onePartition(t, dir)
	remote := newRemote(t)
	choose := rand.New(rand.NewPCG(random.Uint64(), 1))
	down := false
	remote.answer = func(changes []change) (*destination.MultiStatus, error) {
		remote.mu.Lock()
		defer remote.mu.Unlock()
		if down && changes[0].group == "hot0" || choose.IntN(20) == 0 {
			return nil, fault.FromStatus(503, "down")
		}
		ms := destination.NewMultiStatus(len(changes))
		for i := range changes {
			ms.Deliver(i)
			if choose.IntN(50) == 0 {
				ms.Fail(i, fault.FromStatus(500, "not this one"))
			}
		}
		return ms, nil
	}
	settings := quick
	settings.MaxInFlight, settings.Linger, settings.MaxAttempts = 40, time.Millisecond, 50
	plan := remote.plan(`type = "track"`)
	runner := start(t, q, settings, delivery.Instance{Plan: plan})
	users := []string{"hot0", "hot1", "u0", "u1", "u2"}
	next := map[string]int{}
	for range 25 {
		user := users[random.IntN(len(users))]
		n := 1 + random.IntN(5)
		if strings.HasPrefix(user, "hot") {
			n = 50 + random.IntN(100)
		}
		require.NoError(t, q.Append(t.Context(), hot(user, next[user], n)))
		next[user] += n
		switch random.IntN(8) {
		case 0:
			remote.mu.Lock()
			down = !down
			remote.mu.Unlock()
		case 1:
			runner.Kill()
			q.Close()
			q = onePartition(t, dir)
			runner = start(t, q, settings, delivery.Instance{Plan: plan})
		case 2:
			_, err := q.ReplayDeadLetters(t.Context(), delivery.DeadLetterFilter{Parked: true})
			require.NoError(t, err)
		case 3:
			time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
		}
	}
	remote.mu.Lock()
	down = false
	remote.mu.Unlock()
	total := int64(0)
	for _, n := range next {
		total += int64(n)
	}
	assert.Eventually(t, func() bool { c := counts(runner); return c["delivered"] == total && c["events"] == total }, 8*waiting, tick)
	require.Equal(t, map[string]int64{"events": total, "delivered": total, "dead": 0, "parked": 0}, withZeros(counts(runner)), "letters: %v", reasonsOf(t, q))
	stop(t, runner)
	assert.Empty(t, allLetters(t, q))
	q.Close()
	for user, n := range next {
		takesEffectInOrder(t, user, n, remote.taken[user])
	}
}

// reasonsOf counts the letters of a queue by users and reasons.
func reasonsOf(t *testing.T, q *delivery.Queue) map[string]int {
	reasons := map[string]int{}
	for _, l := range allLetters(t, q) {
		reasons[l.Key+": "+l.Reason]++
	}
	return reasons
}

func withZeros(c map[string]int64) map[string]int64 {
	c["dead"] += 0
	c["parked"] += 0
	return c
}

// takesEffectInOrder holds that each of n events has come, and that only a repetition after a crash goes back: each event comes first
// after all those before it.
func takesEffectInOrder(t *testing.T, user string, n int, list []int) {
	t.Helper()
	newest := -1
	for _, at := range list {
		require.LessOrEqual(t, at, newest+1, "%s: %d came before %d", user, at, newest+1)
		newest = max(newest, at)
	}
	require.Equal(t, n-1, newest, user)
}
