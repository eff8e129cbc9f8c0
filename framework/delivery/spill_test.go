package delivery_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/testsize"
)

// onePartition opens a queue with a single partition.
func onePartition(t *testing.T, dir string) *delivery.Queue {
	q, err := delivery.OpenTest(t, delivery.Config{Dir: dir, Partitions: 1})
	require.NoError(t, err)
	return q
}

// hotEvents returns n events of one user, numbered from from, in a group of its own.
func hotEvents(user string, from, n int) []delivery.NewEvent {
	batch := make([]delivery.NewEvent, n)
	for i := range batch {
		batch[i] = newEvent(user, from+i, fmt.Sprintf(`,"group":%q`, user))
	}
	return batch
}

// Hot users, with many events that a slow remote accepts one by one, delay no others. Each of their events is delivered in order,
// and the partition stays within its limits. TestHotUsersSurviveCrashesInOrder spills on disk.
func TestHotUsersDelayNoOthers(t *testing.T) {
	for _, keys := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			q := memoryQueue(t, 1)
			remote := newRemote(t)
			remote.answer = func(changes []change) (*destination.MultiStatus, error) {
				if strings.HasPrefix(changes[0].id, "hot") {
					time.Sleep(3 * time.Millisecond)
				}
				return nil, nil
			}
			settings := quick
			settings.MaxInFlight, settings.Linger = 80, time.Millisecond
			runner := startRunner(t, q, settings, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
			defer stopRunner(t, runner)
			events := testsize.Of(1500, 600)
			for k := range keys {
				require.NoError(t, q.Append(t.Context(), hotEvents(fmt.Sprintf("hot%d", k), 0, events)))
			}
			require.NoError(t, q.Append(t.Context(), oneEventEach(200, 0)))
			require.Eventually(t, func() bool {
				assert.LessOrEqual(t, runner.Status()[0].Waiting, 2*settings.MaxInFlight)
				for u := range 200 {
					if remote.countOf(fmt.Sprintf("u%d", u)) == 0 {
						return false
					}
				}
				return true
			}, waiting, tick)
			assert.Less(t, remote.countOf("hot0"), events/2, "the others did not wait for the hot user")
			waitForCounts(t, runner, map[string]int64{"events": int64(keys*events + 200), "delivered": int64(keys*events + 200), "parked": 0})
			for k := range keys {
				requireInOrder(t, fmt.Sprint(k), remote.taken[fmt.Sprintf("hot%d", k)])
			}
			assert.Empty(t, allLetters(t, q))
		})
	}
}

// The changes of a hot audience user are sent together: the newest is sent, and those that it supersedes are skipped with that
// reason.
func TestHotAudienceUserNeedsFewRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // so that the remote is not fast beside a slow log
		q := memoryQueue(t, 1)
		var requests atomic.Int64
		var last atomic.Pointer[string]
		runner := startRunner(t, q, quick, delivery.Instance{Plan: audiencePlan(t, answeringTransport(func(body string) int {
			requests.Add(1)
			if strings.Contains(body, `"hot"`) {
				last.Store(&body)
			}
			time.Sleep(20 * time.Millisecond)
			return 201
		}))})
		defer stopRunner(t, runner)
		const events = 3000
		for from := 0; from < events; from += 500 {
			var batch []delivery.NewEvent
			for n := range 500 {
				batch = append(batch, enteredEvent("hot", from+n))
			}
			require.NoError(t, q.Append(t.Context(), append(batch, enteredEvent(fmt.Sprintf("u%d", from), 0))))
		}
		require.Eventually(t, func() bool {
			c := countsOf(runner)
			return c["events"] == events+6 && c["delivered"]+c["skipped"] == events+6
		}, waiting, tick)
		assert.Less(t, requests.Load(), int64(60))
		superseded := runner.Verdicts(events, func(s *delivery.VerdictRecord) bool { return strings.Contains(s.Reason, "superseded") })
		assert.Greater(t, len(superseded), events*9/10)
		assert.Contains(t, *last.Load(), `"should_remove":true`, "the newest event decides")
	})
}

// Whatever happens to hot users, such as failures, parking, replays and crashes: every event is delivered, and after a crash only
// unrecorded ones are repeated, so that a user's events take effect in order.
func TestHotUsersSurviveCrashesInOrder(t *testing.T) {
	for seed := range testsize.Of(2, 1) {
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
	plan := remote.planFor(`type = "track"`)
	runner := startRunner(t, q, settings, delivery.Instance{Plan: plan})
	users := []string{"hot0", "hot1", "u0", "u1", "u2"}
	next := map[string]int{}
	for range 25 {
		user := users[random.IntN(len(users))]
		n := 1 + random.IntN(5)
		if strings.HasPrefix(user, "hot") {
			n = 50 + random.IntN(100)
		}
		require.NoError(t, q.Append(t.Context(), hotEvents(user, next[user], n)))
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
			runner = startRunner(t, q, settings, delivery.Instance{Plan: plan})
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
	assert.Eventually(t, func() bool { c := countsOf(runner); return c["delivered"] == total && c["events"] == total }, 8*waiting, tick)
	require.Equal(t, map[string]int64{"events": total, "delivered": total, "dead": 0, "parked": 0}, withZeros(countsOf(runner)), "letters: %v", reasonsOf(t, q))
	stopRunner(t, runner)
	assert.Empty(t, allLetters(t, q))
	q.Close()
	for user, n := range next {
		requireEffectInOrder(t, user, n, remote.taken[user])
	}
}

// reasonsOf counts the dead letters of a queue by user and reason.
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

// requireEffectInOrder fails unless each of n events has arrived, each for the first time after all those before it. Repetitions
// after a crash are allowed.
func requireEffectInOrder(t *testing.T, user string, n int, list []int) {
	t.Helper()
	newest := -1
	for _, at := range list {
		require.LessOrEqual(t, at, newest+1, "%s: %d came before %d", user, at, newest+1)
		newest = max(newest, at)
	}
	require.Equal(t, n-1, newest, user)
}
