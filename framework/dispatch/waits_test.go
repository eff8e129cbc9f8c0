package dispatch_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/dispatch"
)

// TestSuspendSendsNothing checks that nothing is sent until Unsuspend, neither new tasks nor those that wait.
func TestSuspendSendsNothing(t *testing.T) {
	withHost(t, dispatch.Config{}, func(t *testing.T, s *scripted) {
		s.Suspend()
		assert.True(t, s.Stats().Suspended)
		s.Add(in("lane", "a", "a", 1))
		s.Flush()
		s.sleep(time.Hour)
		s.Resume()
		s.sleep(time.Hour)
		assert.Empty(t, s.requests, "Resume ends pauses, not this")
		s.Unsuspend()
		assert.False(t, s.Stats().Suspended)
		s.wait(t)
		assert.Equal(t, []string{"[a]"}, s.requests)
	})
}

// TestTasksWithoutKeyWaitBeforeTheyAreRetried checks the waits of a batch that is retried in its place: doubled, with jitter, and at least
// what the remote asks for.
func TestTasksWithoutKeyWaitBeforeTheyAreRetried(t *testing.T) {
	withHost(t, dispatch.Config{MinBackoff: time.Second, MaxBackoff: 4 * time.Second, MaxPause: time.Minute}, func(t *testing.T, s *scripted) {
		gaps := s.gapsOfRetries(t, in("lane", "", "a", 1), 0, 0, 0, 0, 30*time.Second, time.Hour)
		require.Len(t, gaps, 7)
		for i, most := range []time.Duration{1, 2, 4, 4} {
			assert.LessOrEqual(t, gaps[i+1], most*time.Second)
			assert.GreaterOrEqual(t, gaps[i+1], most*time.Second/2)
		}
		assert.Equal(t, []time.Duration{30 * time.Second, time.Minute}, gaps[5:])
	})
}

// TestBatchesInPlaceWaitOnce checks that several tasks which are retried in their place wait as long as one alone.
func TestBatchesInPlaceWaitOnce(t *testing.T) {
	withHost(t, dispatch.Config{MinBackoff: time.Second, MaxBackoff: time.Hour}, func(t *testing.T, s *scripted) {
		var sent []time.Time
		s.answer = func(values []string) []dispatch.Result {
			sent = append(sent, time.Now())
			return failAll(values, func(string) bool { return len(sent) < 4 })
		}
		for i := range 8 {
			s.Add(in("lane", "", fmt.Sprint(i), 8))
		}
		s.wait(t)
		require.Len(t, sent, 4)
		for i, most := range []time.Duration{1, 2, 4} {
			assert.LessOrEqual(t, sent[i+1].Sub(sent[i]), most*time.Second)
		}
	})
}

// TestEachFailureInPlaceCounts checks that a task which is retried in its place is given up after as many failures as are allowed, although
// the remote accepts nothing.
func TestEachFailureInPlaceCounts(t *testing.T) {
	for _, key := range []string{"", "k"} {
		withHost(t, dispatch.Config{MaxAttempts: 3, RetryFor: 1000 * time.Hour, InPlace: key != ""}, func(t *testing.T, s *scripted) {
			s.answer = func(values []string) []dispatch.Result { return failAll(values, func(string) bool { return true }) }
			s.Add(in("lane", key, "a", 1))
			s.wait(t)
			assert.Equal(t, []string{"a"}, s.taken)
			assert.Equal(t, []string{"[a]", "[a]", "[a]"}, s.requests)
		})
	}
}

// TestWaitsBetweenPolls checks that tasks whose operation is under way are asked for at longer and longer intervals, which do not depend on
// their number, and for as long as a failing task is retried.
func TestWaitsBetweenPolls(t *testing.T) {
	withHost(t, dispatch.Config{MinBackoff: time.Second, MaxBackoff: time.Hour, RetryFor: time.Hour}, func(t *testing.T, s *scripted) {
		var sent []time.Time
		s.answer = func(values []string) []dispatch.Result {
			sent = append(sent, time.Now())
			results := make([]dispatch.Result, len(values))
			for i := range results {
				results[i].Outcome = dispatch.Pending
			}
			return results
		}
		for i := range 8 {
			s.Add(in("lane", fmt.Sprint(i), fmt.Sprint(i), 8))
		}
		s.wait(t)
		assert.Len(t, s.taken, 8)
		require.Greater(t, len(sent), 10)
		for i := range 10 {
			most := time.Second << i
			assert.GreaterOrEqual(t, sent[i+1].Sub(sent[i]), most/2)
			assert.LessOrEqual(t, sent[i+1].Sub(sent[i]), most)
		}
		assert.Greater(t, time.Since(s.began), time.Hour)
	})
}

// TestResumedTasksGoFirst checks that a task whose wait ends with Resume is sent before newer ones of its lane.
func TestResumedTasksGoFirst(t *testing.T) {
	withHost(t, dispatch.Config{MinBackoff: time.Hour, MaxBackoff: time.Hour, Linger: time.Millisecond}, func(t *testing.T, s *scripted) {
		failing := true
		s.answer = func(values []string) []dispatch.Result {
			return fail(values, func(v string) bool { return failing && v == "b" })
		}
		s.Add(in("lane", "a", "a", 10))
		s.Add(in("lane", "b", "b", 10))
		s.sleep(time.Minute)
		s.Pause(time.Hour)
		s.Add(in("lane", "c", "c", 10))
		s.sleep(time.Minute)
		s.Lock()
		failing = false
		s.Unlock()
		s.Resume()
		s.wait(t)
		assert.Equal(t, []string{"[a b]", "[b c]"}, s.requests)
	})
}

// TestIncompleteBatchesLinger checks the default wait for more tasks, its end at Flush, and that a full batch does not wait.
func TestIncompleteBatchesLinger(t *testing.T) {
	withHost(t, dispatch.Config{}, func(t *testing.T, s *scripted) {
		s.Add(in("lane", "a", "a", 2))
		s.wait(t)
		assert.Equal(t, time.Second, s.finished["a"])
		s.Add(in("lane", "b", "b", 2))
		s.Add(in("lane", "c", "c", 2))
		s.wait(t)
		assert.Equal(t, time.Second, s.finished["c"])
		s.Add(in("lane", "d", "d", 2))
		s.Flush()
		s.wait(t)
		assert.Equal(t, time.Second, s.finished["d"])
		s.Add(in("lane", "e", "e", 2))
		s.wait(t)
		assert.Equal(t, 2*time.Second, s.finished["e"], "a flush is only for earlier tasks")
	})
}

// TestWaitsEndWithTheirContext checks Wait and WaitLane: they end when their condition holds, or with the context.
func TestWaitsEndWithTheirContext(t *testing.T) {
	withHost(t, dispatch.Config{MaxBatches: 1}, func(t *testing.T, s *scripted) {
		s.latency = time.Minute
		lane := dispatch.Lane{Name: "lane"}
		require.NoError(t, s.WaitLane(t.Context(), lane), "an empty lane")
		assert.False(t, s.Add(in("lane", "a", "a", 1)))
		require.NoError(t, s.WaitLane(t.Context(), lane), "its batch is being sent")
		assert.True(t, s.Add(in("lane", "b", "b", 1)))
		for _, wait := range []func(context.Context) error{
			func(ctx context.Context) error { return s.WaitLane(ctx, lane) },
			func(ctx context.Context) error { return s.Wait(ctx, func(held, _ int) bool { return held == 0 }) },
		} {
			soon, cancel := context.WithTimeout(t.Context(), time.Second)
			assert.ErrorIs(t, wait(soon), context.DeadlineExceeded)
			cancel()
		}
		assert.Equal(t, 2*time.Second, time.Since(s.began))
		require.NoError(t, s.Wait(t.Context(), func(held, bytes int) bool { return held == 1 && bytes == 10 }))
		assert.Equal(t, time.Minute, time.Since(s.began))
		s.wait(t)
	})
}

// TestStatsCountWhatIsHeld checks the numbers at each stage of two batches.
func TestStatsCountWhatIsHeld(t *testing.T) {
	withHost(t, dispatch.Config{}, func(t *testing.T, s *scripted) {
		s.latency = time.Minute
		assert.Equal(t, dispatch.Stats{}, s.Stats())
		s.Add(in("one", "a", "a", 1))
		s.Add(in("two", "b", "b", 10))
		s.Add(in("two", "b", "behind", 10))
		synctest.Wait()
		stats := s.Stats()
		assert.Equal(t, []int{3, 30, 1, 0}, []int{stats.Held, stats.HeldBytes, stats.InFlight, stats.Retrying})
		assert.True(t, stats.LastSuccess.IsZero())
		assert.False(t, stats.Failing)
		s.sleep(time.Minute + 500*time.Millisecond)
		stats = s.Stats()
		assert.Equal(t, []int{2, 20, 1}, []int{stats.Held, stats.HeldBytes, stats.InFlight})
		assert.Equal(t, s.began.Add(time.Minute), stats.LastSuccess)
		until, _ := s.Pause(time.Hour)
		assert.Equal(t, until, s.Stats().PausedUntil)
		s.Resume()
		assert.True(t, s.Stats().PausedUntil.IsZero())
		s.wait(t)
		stats = s.Stats()
		assert.Equal(t, []int{0, 0, 0}, []int{stats.Held, stats.HeldBytes, stats.InFlight})
	})
}

// TestNothingStartsAfterStop checks that a stopped dispatcher ignores tasks, keeps those in flight and fires no timers.
func TestNothingStartsAfterStop(t *testing.T) {
	withHost(t, dispatch.Config{}, func(t *testing.T, s *scripted) {
		s.latency = time.Minute
		s.Add(in("lane", "a", "a", 1))
		s.Add(in("lane", "b", "b", 2))
		synctest.Wait()
		s.Stop()
		assert.False(t, s.Add(in("lane", "c", "c", 1)))
		s.Flush()
		s.Resume()
		s.sleep(time.Hour)
		assert.Equal(t, []string{"[a]"}, s.requests)
		assert.Contains(t, s.finished, "a")
		s.senders.Wait()
	})
}

// TestWaitingLanesDoNotStartAfterStop checks that a lane which waits for another one to end is not sent after Stop.
func TestWaitingLanesDoNotStartAfterStop(t *testing.T) {
	withHost(t, dispatch.Config{MaxBatches: 1}, func(t *testing.T, s *scripted) {
		s.latency = time.Minute
		s.Add(in("one", "a", "a", 1))
		s.Add(in("two", "b", "b", 1))
		s.sleep(time.Second)
		s.Stop()
		s.senders.Wait()
		s.sleep(time.Hour)
		assert.Equal(t, []string{"[a]"}, s.requests)
		assert.Contains(t, s.finished, "a")
	})
}

// TestDefaultAttempts checks the default number of failures of its own after which a task is exhausted, and the default number of batches
// in flight.
func TestDefaultAttempts(t *testing.T) {
	withHost(t, dispatch.Config{}, func(t *testing.T, s *scripted) {
		s.answer = func(values []string) []dispatch.Result {
			return fail(values, func(v string) bool { return v == "bad" })
		}
		s.Add(in("lane", "a", "bad", 10))
		s.Add(in("lane", "b", "good", 10))
		s.wait(t)
		assert.Len(t, s.requests, 10)
		assert.Equal(t, []string{"bad"}, s.taken)
		assert.Equal(t, 9, s.retried)
	})
	withHost(t, dispatch.Config{}, func(t *testing.T, s *scripted) {
		s.latency = time.Minute
		for i := range 12 {
			s.Add(in(fmt.Sprint("lane", i), "", fmt.Sprint(i), 1))
		}
		synctest.Wait()
		assert.Equal(t, 8, s.Stats().InFlight)
		s.wait(t)
		assert.Equal(t, 2*time.Minute, time.Since(s.began))
	})
}

// TestTakenRunsEndWithWhatMayBeApplied checks that a task behind a run can be taken and sent elsewhere after the run's other tasks got their outcomes, although
// the first one waits.
func TestTakenRunsEndWithWhatMayBeApplied(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Millisecond, MinBackoff: time.Second, MaxBackoff: time.Second}, func(t *testing.T, s *scripted) {
		s.answer = func(values []string) []dispatch.Result {
			results := make([]dispatch.Result, len(values))
			switch len(s.requests) {
			case 1:
				for i := range results {
					results[i].Outcome = dispatch.Retry
				}
			case 2:
				results[0] = dispatch.Result{Outcome: dispatch.NotSent, RetryAfter: time.Minute}
			}
			return results
		}
		o := s.NewOwner(nil)
		for i, lane := range []string{"lane", "lane", "other"} {
			one := together(in(lane, "k", fmt.Sprint(i), 3))
			one.Owner = o
			s.Add(one)
		}
		s.sleep(10 * time.Second)
		s.Lock()
		taken := o.TakeBehindLocked(func(dispatch.Chain[string]) bool { return true })
		s.Unlock()
		require.Len(t, taken, 1)
		assert.Equal(t, []string{"2"}, valuesOf(taken[0]))
		s.wait(t)
		assert.Len(t, s.finished, 2)
	})
}
