package dispatch_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/dispatch"
)

// A key with very many tasks occupies one place in each batch, and no other key waits for it.
func TestHotKeyDelaysNoOther(t *testing.T) {
	const hot, others = 5000, 300
	for name, lane := range map[string]func(key string) string{
		"in batches":  func(string) string { return "lane" },
		"one by one":  func(key string) string { return "lane " + key }, // single requests have a lane for each key
		"in sequence": func(key string) string { return "lane" },
	} {
		t.Run(name, func(t *testing.T) {
			size := map[string]int{"in batches": 50, "one by one": 1, "in sequence": 100}[name]
			withHost(t, dispatch.Config{Linger: 100 * time.Millisecond}, func(t *testing.T, s *scripted) {
				s.latency = 50 * time.Millisecond
				for i := range hot {
					s.Add(in(lane("hot"), "hot", fmt.Sprint("hot", i), size))
				}
				for i := range others {
					key := fmt.Sprint("k", i)
					s.Add(in(lane(key), key, key, size))
				}
				s.wait(t)
				slowest := time.Duration(0)
				for i := range others {
					slowest = max(slowest, s.finished[fmt.Sprint("k", i)])
				}
				assert.LessOrEqual(t, slowest, 100*time.Millisecond+50*time.Millisecond*max(others/time.Duration(size)/7+8, 8))
				assert.Greater(t, s.finished[fmt.Sprint("hot", hot-1)], 4*time.Minute, "the hot key itself takes its time")
			})
		})
	}
}

// A hot key of which only the newest task matters needs one request for each batch.
func TestHotKeyIsSentTogether(t *testing.T) {
	withHost(t, dispatch.Config{}, func(t *testing.T, s *scripted) {
		s.latency = 50 * time.Millisecond
		for i := range 10_000 {
			s.Add(together(in("lane", "hot", fmt.Sprint(i), 100)))
		}
		s.wait(t)
		assert.Len(t, s.requests, 100)
		assert.Less(t, time.Since(s.began), 10*time.Second)
	})
}

// A task with which every request fails is found by halving, wherever it is. The others are delivered within the documented number of
// backoffs, and it alone is given up.
func TestPoisonedTaskDelaysNoOther(t *testing.T) {
	const size = 100
	for _, at := range []int{0, 17, 99} {
		withHost(t, dispatch.Config{MinBackoff: time.Second, MaxBackoff: time.Second}, func(t *testing.T, s *scripted) {
			poison := fmt.Sprint("k", at)
			s.answer = func(values []string) []dispatch.Result {
				return failAll(values, func(v string) bool { return v == poison })
			}
			for i := range size {
				key := fmt.Sprint("k", i)
				s.Add(in("lane", key, key, size))
			}
			s.wait(t)
			assert.Equal(t, []string{poison}, s.taken)
			for v, after := range s.finished {
				require.LessOrEqual(t, after, (3+7)*time.Second, v)
			}
			assert.Len(t, s.finished, size-1)
		})
	}
}

// While a poisoned batch is retried, tasks that are added later pass it.
func TestLaterTasksPassAPoisonedBatch(t *testing.T) {
	withHost(t, dispatch.Config{MinBackoff: time.Second, MaxBackoff: time.Second, Linger: 10 * time.Millisecond}, func(t *testing.T, s *scripted) {
		s.answer = func(values []string) []dispatch.Result {
			return failAll(values, func(v string) bool { return v == "poison" })
		}
		s.Add(in("lane", "poison", "poison", 10))
		began := map[string]time.Duration{}
		for i := range 100 {
			key := fmt.Sprint("k", i)
			began[key] = time.Since(s.began)
			s.Add(in("lane", key, key, 10))
			s.sleep(100 * time.Millisecond)
		}
		s.wait(t)
		for v, after := range s.finished {
			assert.LessOrEqual(t, after-began[v], (3+4)*time.Second, v)
		}
		assert.Equal(t, []string{"poison"}, s.taken)
	})
}

// TestHalvedBatchesFailNoOthers checks that tasks which came while a poisoned batch was sent do not share a request with its tasks.
func TestHalvedBatchesFailNoOthers(t *testing.T) {
	withHost(t, dispatch.Config{MinBackoff: time.Second, MaxBackoff: time.Second}, func(t *testing.T, s *scripted) {
		s.latency = time.Second
		s.answer = func(values []string) []dispatch.Result {
			return failAll(values, func(v string) bool { return v == "poison" })
		}
		for _, v := range []string{"poison", "a", "b", "c"} {
			s.Add(in("lane", v, v, 4))
		}
		for s.sent() < 3 { // the batch is halved after the third request
			s.sleep(100 * time.Millisecond)
		}
		for i := range 3 {
			s.Add(in("lane", fmt.Sprint(i), fmt.Sprint(i), 4))
		}
		s.wait(t)
		assert.Equal(t, []string{"poison"}, s.taken)
		assert.Len(t, s.finished, 6)
		for _, request := range s.requests {
			if strings.Contains(request, "poison") {
				assert.NotRegexp(t, "[0-9]", request)
			}
		}
	})
}

// In an outage each lane sends one request for each backoff, and whole batches afterwards.
func TestOutageIsNotHalved(t *testing.T) {
	withHost(t, dispatch.Config{MinBackoff: time.Second, MaxBackoff: time.Minute}, func(t *testing.T, s *scripted) {
		down := true
		s.answer = func(values []string) []dispatch.Result {
			return fail(values, func(string) bool { return down })
		}
		for i := range 400 {
			key := fmt.Sprint("k", i)
			s.Add(in("lane", key, key, 50))
		}
		s.sleep(time.Hour)
		s.Lock()
		assert.Less(t, len(s.requests), 130, "one request for each backoff of half a minute to a minute")
		s.requests, down = nil, false
		s.Unlock()
		s.wait(t)
		assert.LessOrEqual(t, len(s.requests), 12)
		assert.Len(t, s.finished, 400)
	})
}

// A batch that fails as a whole is sent again as it is, before it is halved.
func TestBatchesAreNotHalvedAtOnce(t *testing.T) {
	withHost(t, dispatch.Config{}, func(t *testing.T, s *scripted) {
		failures := 3
		s.answer = func(values []string) []dispatch.Result {
			failures--
			return fail(values, func(string) bool { return failures >= 0 })
		}
		for i := range 4 {
			s.Add(in("lane", fmt.Sprint(i), fmt.Sprint(i), 4))
		}
		s.wait(t)
		assert.Equal(t, []string{"[0 1 2 3]", "[0 1 2 3]", "[0 1 2 3]", "[0 1]", "[2 3]"}, s.requests)
	})
}

// Failures that have nothing to do with the content do not halve a batch.
func TestUnrelatedFailuresDoNotHalve(t *testing.T) {
	withHost(t, dispatch.Config{}, func(t *testing.T, s *scripted) {
		failures := 6
		s.answer = func(values []string) []dispatch.Result {
			failures--
			results := fail(values, func(string) bool { return failures > 0 })
			for i := range results {
				results[i].Unrelated = true
			}
			return results
		}
		for i := range 4 {
			s.Add(in("lane", fmt.Sprint(i), fmt.Sprint(i), 4))
		}
		s.wait(t)
		assert.Equal(t, slices.Repeat([]string{"[0 1 2 3]"}, 6), s.requests)
	})
}

// As long as fewer lanes are slow than requests may be in flight, no other lane waits for them.
func TestSlowLanesDelayNoOther(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Millisecond, MaxBatches: 4}, func(t *testing.T, s *scripted) {
		s.latency = time.Hour
		for i := range 3 {
			for range 10 {
				s.Add(in(fmt.Sprint("slow", i), "", fmt.Sprint("slow", i), 1))
			}
		}
		s.sleep(time.Second)
		s.Lock()
		s.latency = 10 * time.Millisecond
		s.Unlock()
		for i := range 10 {
			s.Add(in("fast", "", fmt.Sprint("fast", i), 1))
		}
		s.sleep(time.Second)
		for i := range 10 {
			assert.Contains(t, s.finished, fmt.Sprint("fast", i))
		}
		s.wait(t)
	})
}

// A host takes what waits behind the first tasks of hot keys, and what waits for a retry with all that is behind it.
func TestHostsTakeTasks(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Millisecond, MinBackoff: time.Hour, MaxBackoff: time.Hour}, func(t *testing.T, s *scripted) {
		s.latency = time.Second
		s.answer = func(values []string) []dispatch.Result {
			return fail(values, func(v string) bool { return v == "fails" || v == "whole" })
		}
		o := s.NewOwner(nil)
		add := func(one *task) { one.Owner = o; s.Add(one) }
		for i := range 6 {
			add(together(in("runs", "hot", fmt.Sprint("hot", i), 3)))
		}
		add(in("lane", "a", "fails", 10))
		add(in("lane", "b", "fine", 10))
		add(in("lane", "a", "behind", 10))
		add(in("down", "c", "whole", 10))
		add(in("down", "c", "behind it", 10))
		s.sleep(100 * time.Millisecond)
		s.Lock()
		assert.Equal(t, 6, o.WaitingLocked("hot"))
		taken := o.TakeBehindLocked(func(c dispatch.Chain[string]) bool {
			assert.Greater(t, c.Count, 1, "nothing waits behind %s", c.First.Value)
			return c.Count > 2 && c.Bytes == 10*c.Count
		})
		require.Len(t, taken, 1)
		assert.Equal(t, []string{"hot3", "hot4", "hot5"}, valuesOf(taken[0]), "what is in flight stays")
		assert.Equal(t, 3, o.WaitingLocked("hot"))
		o.TakeBehindLocked(func(c dispatch.Chain[string]) bool {
			assert.Equal(t, 10*c.Count, c.Bytes, "what was taken does not count")
			return false
		})
		s.Unlock()
		s.sleep(time.Minute)
		s.Lock()
		assert.Equal(t, 1, o.RetryingLocked())
		var failing [][]string
		for _, tasks := range o.TakeFailingLocked() {
			failing = append(failing, valuesOf(tasks))
		}
		s.Unlock()
		assert.ElementsMatch(t, [][]string{{"fails", "behind"}, {"whole", "behind it"}}, failing)
		s.wait(t)
		assert.Len(t, s.finished, 4)
	})
}
