package dispatch_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/dispatch"
)

// TestTheLeastAllowanceHolds checks that a request of several owners ends when the first of them no longer allows it.
func TestTheLeastAllowanceHolds(t *testing.T) {
	for _, allowed := range [][]time.Duration{{3 * time.Second, time.Second, 2 * time.Second}, {time.Second, 3 * time.Second}, {3 * time.Second, 2 * time.Second, time.Second}} {
		withHost(t, dispatch.Config{Linger: time.Second}, func(t *testing.T, s *scripted) {
			for i, d := range allowed {
				one := in("lane", fmt.Sprint(i), fmt.Sprint(i), 10)
				one.Owner = s.NewOwner(func() time.Duration { return d })
				s.Add(one)
			}
			s.Add(in("lane", "free", "free", 10))
			s.wait(t)
			assert.Equal(t, []time.Duration{time.Second}, s.limits)
		})
	}
}

// TestFullBatchesDoNotLinger checks that a batch is sent as soon as it has the bytes or the number of tasks that one may have, and that what is left
// waits for others again.
func TestFullBatchesDoNotLinger(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Hour}, func(t *testing.T, s *scripted) {
		add := func(name string, size, bytes int) {
			one := in("lane", name, name, size)
			one.MaxBytes = bytes
			s.Add(one)
			s.sleep(time.Second)
		}
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			add(name, 10, 30)
		}
		assert.Equal(t, []string{"[a b c]"}, s.requests)
		add("f", 10, 30)
		assert.Equal(t, []string{"[a b c]", "[d e f]"}, s.requests)
		add("g", 10, 0)
		add("h", 10, 0)
		assert.Len(t, s.requests, 2)
		add("i", 2, 0)
		assert.Equal(t, []string{"[g h]"}, s.requests[2:], "one of them may be with one other only")
		add("j", 10, 0)
		assert.Equal(t, []string{"[g h]", "[i j]"}, s.requests[2:])
		for i := range 9 {
			add(fmt.Sprint(i), 10, 0)
		}
		assert.Len(t, s.requests, 4)
		add("9", 10, 0)
		assert.Equal(t, []string{"[0 1 2 3 4 5 6 7 8 9]"}, s.requests[4:])
	})
}

// TestStatsOfFailingLanes checks what is said of lanes that fail: while their tasks wait and while they are sent again. A request that was not sent changes
// nothing, and one that works or a host which takes the tasks ends it.
func TestStatsOfFailingLanes(t *testing.T) {
	withHost(t, dispatch.Config{MinBackoff: time.Second, MaxBackoff: time.Second}, func(t *testing.T, s *scripted) {
		outcome := dispatch.Retry
		s.latency = 10 * time.Second
		s.answer = func(values []string) []dispatch.Result {
			if values[0] == "fine" {
				return make([]dispatch.Result, len(values))
			}
			wait := map[string]time.Duration{"slow": 10 * time.Minute, "fast": 5 * time.Minute}[values[0]]
			return []dispatch.Result{{Outcome: outcome, RetryAfter: wait}}
		}
		o := s.NewOwner(nil)
		for _, name := range []string{"slow", "fast", "fine"} {
			one := in(name, name, name, 1)
			one.Owner = o
			s.Add(one)
		}
		s.sleep(11 * time.Second)
		answered := s.began.Add(10 * time.Second)
		stats := s.Stats()
		assert.True(t, stats.Failing)
		assert.Equal(t, 2, stats.Retrying)
		assert.Equal(t, answered.Add(5*time.Minute), stats.NextRetry, "the first of them")

		outcome = dispatch.NotSent
		s.sleep(5 * time.Minute)
		stats = s.Stats()
		assert.True(t, stats.Failing)
		assert.Equal(t, 1, stats.Retrying, "the other one is in flight")
		assert.Equal(t, answered.Add(10*time.Minute), stats.NextRetry)
		s.sleep(10 * time.Second)
		stats = s.Stats()
		assert.True(t, stats.Failing)
		assert.Equal(t, answered, stats.LastSuccess, "the remote has accepted nothing since")
		assert.Equal(t, 2, stats.Retrying)

		s.Lock()
		taken := o.TakeFailingLocked()
		s.Unlock()
		assert.Len(t, taken, 2)
		stats = s.Stats()
		assert.Zero(t, stats.Retrying)
		assert.Zero(t, stats.Held)
		s.sleep(time.Hour)
		assert.False(t, s.Stats().Failing, "nothing is left to fail")
		assert.Len(t, s.requests, 4)
	})
}

// TestPausesAreBounded checks that no remote can stop an instance for longer than the host allows.
func TestPausesAreBounded(t *testing.T) {
	withHost(t, dispatch.Config{MaxPause: time.Minute, MinBackoff: time.Second, MaxBackoff: time.Second}, func(t *testing.T, s *scripted) {
		until, begins := s.Pause(time.Hour)
		assert.True(t, begins)
		assert.Equal(t, time.Now().Add(time.Minute), until)
		until, begins = s.Pause(time.Second)
		assert.False(t, begins)
		assert.Equal(t, time.Now().Add(time.Minute), until, "a shorter pause does not end a longer one")
		s.Resume()
		outcome := dispatch.NotSent
		s.answer = func(values []string) []dispatch.Result {
			return []dispatch.Result{{Outcome: outcome, RetryAfter: time.Hour}}
		}
		s.Add(in("lane", "a", "a", 1))
		s.sleep(time.Minute - time.Millisecond)
		require.Equal(t, 1, s.sent())
		s.sleep(time.Second)
		require.Equal(t, 2, s.sent())
		s.Lock()
		outcome = dispatch.Done
		s.Unlock()
		s.wait(t)
	})
}

// TestPoisonAmidSuccessIsGivenUp checks that a task which fails alone, while the remote accepts others of its lane, is given up after as many failures as
// are allowed, and not only when its time is over.
func TestPoisonAmidSuccessIsGivenUp(t *testing.T) {
	withHost(t, dispatch.Config{MinBackoff: time.Second, MaxBackoff: time.Second, MaxAttempts: 3, RetryFor: 1000 * time.Hour}, func(t *testing.T, s *scripted) {
		attempts := 0
		s.answer = func(values []string) []dispatch.Result {
			if values[0] == "bad" {
				attempts++
			}
			return fail(values, func(v string) bool { return v == "bad" })
		}
		s.Add(in("lane", "bad", "bad", 1))
		for i := range 100 {
			s.sleep(500 * time.Millisecond)
			s.Add(in("lane", fmt.Sprint(i), fmt.Sprint(i), 1))
		}
		s.wait(t)
		assert.Equal(t, []string{"bad"}, s.taken)
		assert.LessOrEqual(t, attempts, 6, "two before the first success, three that count")
		assert.Len(t, s.finished, 100)
	})
}

// TestOldestGroupGoesFirst checks that groups of a lane are sent in the order in which their tasks came, whatever the order in which the groups were seen first.
func TestOldestGroupGoesFirst(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Millisecond}, func(t *testing.T, s *scripted) {
		s.latency = time.Second
		add := func(group, name string) {
			one := in("lane", name, name, 10)
			one.Group.Key = group
			s.Add(one)
			s.sleep(10 * time.Millisecond)
		}
		for _, one := range []string{"a1", "b1", "c1", "b2", "c2", "a2", "c3"} {
			add(one[:1], one)
		}
		s.wait(t)
		assert.Equal(t, []string{"[a1]", "[b1 b2]", "[c1 c2 c3]", "[a2]"}, s.requests)
		add("d", "busy")
		for _, one := range []string{"c4", "a3", "b3"} {
			add(one[:1], one)
		}
		s.wait(t)
		assert.Equal(t, []string{"[busy]", "[c4]", "[a3]", "[b3]"}, s.requests[4:])
	})
}

// TestRunsEnd checks which tasks of a key share a request: neighbours that may be together, of one lane and group, as many as fit.
func TestRunsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		change func(i int, one *task)
		want   []string
	}{
		"all together":        {func(int, *task) {}, []string{"[0 1 2 3 4 5]"}},
		"one is not":          {func(i int, one *task) { one.Together = i != 2 }, []string{"[0 1]", "[2]", "[3 4 5]"}},
		"the first is not":    {func(i int, one *task) { one.Together = i != 0 }, []string{"[0]", "[1 2 3 4 5]"}},
		"another lane":        {func(i int, one *task) { one.Lane.Name += fmt.Sprint(i / 4) }, []string{"[0 1 2 3]", "[4 5]"}},
		"another group":       {func(i int, one *task) { one.Group.Key = fmt.Sprint(i / 3) }, []string{"[0 1 2]", "[3 4 5]"}},
		"as many as allowed":  {func(_ int, one *task) { one.MaxBatch = 4 }, []string{"[0 1 2 3]", "[4 5]"}},
		"as large as allowed": {func(_ int, one *task) { one.MaxBytes = 30 }, []string{"[0 1 2]", "[3 4 5]"}},
		"nearly as large":     {func(_ int, one *task) { one.MaxBytes = 29 }, []string{"[0 1]", "[2 3]", "[4 5]"}},
	} {
		withHost(t, dispatch.Config{Linger: time.Millisecond}, func(t *testing.T, s *scripted) {
			for i := range 6 {
				one := together(in("lane", "key", fmt.Sprint(i), 10))
				c.change(i, one)
				s.Add(one)
			}
			s.wait(t)
			assert.Equal(t, c.want, s.requests, name)
		})
	}
}

// TestStatsOfASuspendedLane checks that a lane whose wait is over counts as failing until its tasks are sent.
func TestStatsOfASuspendedLane(t *testing.T) {
	withHost(t, dispatch.Config{MinBackoff: time.Second, MaxBackoff: time.Second}, func(t *testing.T, s *scripted) {
		s.answer = func(values []string) []dispatch.Result {
			return fail(values, func(string) bool { return len(s.requests) == 1 })
		}
		s.Add(in("a", "k", "v", 1))
		s.sleep(100 * time.Millisecond)
		s.Suspend()
		s.sleep(time.Hour)
		stats := s.Stats()
		assert.Equal(t, []any{true, 0, 0}, []any{stats.Failing, stats.Retrying, stats.InFlight})
		s.Unsuspend()
		s.wait(t)
		assert.False(t, s.Stats().Failing)
	})
}

// TestLimitsEndWithTheirTasks checks that a task which is no longer there does not make the batches of others smaller.
func TestLimitsEndWithTheirTasks(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Hour}, func(t *testing.T, s *scripted) {
		ended := s.NewOwner(nil)
		small := in("lane", "small", "small", 3)
		small.Owner, small.Bytes = ended, 40
		s.Add(small)
		for i := range 4 {
			one := in("lane", fmt.Sprint(i), fmt.Sprint(i), 5)
			one.MaxBytes = 50
			s.Add(one)
			ended.Drain()
		}
		s.sleep(time.Second)
		assert.Empty(t, s.requests)
		s.Add(in("lane", "4", "4", 5))
		s.wait(t)
		assert.Equal(t, []string{"[0 1 2 3 4]"}, s.requests)
		assert.Less(t, time.Since(s.began), time.Minute)
	})
}

// TestWhatWasSentFillsNoBatch checks that the size of what was sent does not count for the batch behind it, which waits for more.
func TestWhatWasSentFillsNoBatch(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Hour}, func(t *testing.T, s *scripted) {
		s.latency = time.Minute
		for i := range 5 {
			one := in("lane", fmt.Sprint(i), fmt.Sprint(i), 10)
			one.MaxBytes = 30
			s.Add(one)
		}
		s.wait(t)
		assert.Equal(t, []string{"[0 1 2]", "[3 4]"}, s.requests)
		assert.Equal(t, time.Hour+time.Minute, time.Since(s.began))
	})
}

// TestEarliestGroupOfALane checks that a lane with several groups is woken for the one that is due first, whichever of them was seen first.
func TestEarliestGroupOfALane(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Minute}, func(t *testing.T, s *scripted) {
		s.latency = 20 * time.Second
		add := func(group, name string, size int) {
			one := in("lane", name, name, size)
			one.Group.Key = group
			s.Add(one)
			s.sleep(time.Second)
		}
		add("a", "alone", 1)
		add("b", "first", 10)
		add("a", "second", 10)
		s.wait(t)
		assert.Equal(t, []string{"[alone]", "[first]", "[second]"}, s.requests)
		assert.Equal(t, time.Second+time.Minute+s.latency, s.finished["first"])
	})
}

// TestTheLimitOfWhatIsLeft checks that tasks which are left behind in a queue are sent as soon as they fill a batch of the smallest size
// that one of them allows.
func TestTheLimitOfWhatIsLeft(t *testing.T) {
	for _, c := range []struct {
		sizes    []int
		requests []string
		took     time.Duration
	}{
		{[]int{1, 1, 10, 2}, []string{"[0]", "[1]", "[2 3]"}, 3 * time.Second}, {[]int{1, 1, 10, 10}, []string{"[0]", "[1]", "[2 3]"}, time.Hour + time.Second},
	} {
		withHost(t, dispatch.Config{Linger: time.Hour}, func(t *testing.T, s *scripted) {
			s.latency = time.Second
			for i, size := range c.sizes {
				s.Add(in("lane", fmt.Sprint(i), fmt.Sprint(i), size))
			}
			s.wait(t)
			assert.Equal(t, c.requests, s.requests)
			assert.Equal(t, c.took, time.Since(s.began))
		})
	}
}

// TestStatsOfLanesWithoutTasks checks that a lane which has failed and has no tasks left counts as failing until its wait is over, and does
// not hide others that fail.
func TestStatsOfLanesWithoutTasks(t *testing.T) {
	withHost(t, dispatch.Config{MinBackoff: time.Minute, MaxBackoff: time.Minute}, func(t *testing.T, s *scripted) {
		s.answer = func(values []string) []dispatch.Result {
			return []dispatch.Result{{Outcome: dispatch.Retry, RetryAfter: map[string]time.Duration{"fails": 10 * time.Minute}[values[0]]}}
		}
		mine, other := s.NewOwner(nil), s.NewOwner(nil)
		for name, o := range map[string]*dispatch.Owner[string]{"taken": mine, "fails": other} {
			one := in(name, name, name, 1)
			one.Owner = o
			s.Add(one)
		}
		s.sleep(time.Second)
		take := func(o *dispatch.Owner[string]) {
			s.Lock()
			defer s.Unlock()
			assert.Len(t, o.TakeFailingLocked(), 1)
		}
		take(mine)
		s.sleep(time.Minute)
		for range 20 { // the order of the lanes is random
			require.True(t, s.Stats().Failing)
		}
		take(other)
		assert.True(t, s.Stats().Failing)
		s.sleep(9*time.Minute + time.Second)
		assert.False(t, s.Stats().Failing)
	})
}
