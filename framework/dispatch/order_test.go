package dispatch_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/dispatch"
)

// TestUnsentTasksGoFirst checks that tasks which could not be sent go before others of their lane that have become due meanwhile, even if
// those came earlier.
func TestUnsentTasksGoFirst(t *testing.T) {
	withHost(t, dispatch.Config{Linger: 5 * time.Second}, func(t *testing.T, s *scripted) {
		refused := false
		s.answer = func(values []string) []dispatch.Result {
			results := make([]dispatch.Result, len(values))
			if !refused {
				refused = true
				for i := range results {
					results[i] = dispatch.Result{Outcome: dispatch.NotSent, RetryAfter: 10 * time.Second}
				}
			}
			return results
		}
		lingers := in("lane", "b", "b", 10)
		lingers.Group.Key = "b"
		s.Add(lingers)
		s.Add(in("lane", "a1", "a1", 2))
		s.Add(in("lane", "a2", "a2", 2))
		s.wait(t)
		assert.Equal(t, []string{"[a1 a2]", "[a1 a2]", "[b]"}, s.requests)
		assert.Equal(t, 10*time.Second, s.finished["a1"])
	})
}

// TestWaitsOfATaskDelayNoOthers checks that a task which the remote asks to send later, while it accepts others of the batch, waits alone,
// and that it then goes first.
func TestWaitsOfATaskDelayNoOthers(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Millisecond}, func(t *testing.T, s *scripted) {
		s.latency = 40 * time.Second
		s.answer = func(values []string) []dispatch.Result {
			results := fail(values, func(v string) bool { return v == "bad" && time.Since(s.began) < time.Minute })
			for i := range results {
				if results[i].Outcome == dispatch.Retry {
					results[i].RetryAfter = time.Minute
				}
			}
			return results
		}
		s.Add(in("lane", "a", "bad", 2))
		s.Add(in("lane", "b", "good", 2))
		s.sleep(time.Second)
		for _, v := range []string{"c", "d", "e"} {
			s.Add(in("lane", v, v, 1))
		}
		s.wait(t)
		assert.Equal(t, []string{"[bad good]", "[c]", "[d]", "[bad]", "[e]"}, s.requests)
		assert.Equal(t, 2*s.latency, s.finished["c"])
	})
}

// TestATaskSentAloneWaitsAlone checks that the others of a lane are sent while a task which was sent alone, and has failed once, waits.
func TestATaskSentAloneWaitsAlone(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Millisecond, MinBackoff: time.Minute, MaxBackoff: time.Minute}, func(t *testing.T, s *scripted) {
		s.answer = func(values []string) []dispatch.Result {
			return fail(values, func(v string) bool { return v == "bad" && time.Since(s.began) < 10*time.Second })
		}
		s.latency = 100 * time.Millisecond
		for _, v := range []string{"bad", "b", "c"} {
			s.Add(in("lane", v, v, 1))
		}
		s.wait(t)
		assert.Equal(t, []string{"[bad]", "[b]", "[c]", "[bad]"}, s.requests)
		assert.Less(t, s.finished["c"], time.Second)
		assert.GreaterOrEqual(t, s.finished["bad"], 30*time.Second)
	})
}

// TestUnsentTasksDoNotHoldUpFullBatches checks that a lane sends full batches at once and others later, also after tasks were put back into
// it.
func TestUnsentTasksDoNotHoldUpFullBatches(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Hour}, func(t *testing.T, s *scripted) {
		unsent := true
		s.answer = func(values []string) []dispatch.Result {
			results := make([]dispatch.Result, len(values))
			for i := range results {
				if unsent {
					results[i] = dispatch.Result{Outcome: dispatch.NotSent, RetryAfter: time.Minute}
				}
			}
			unsent = false
			return results
		}
		add := func(values ...string) {
			for _, v := range values {
				one := in("lane", v, v, 10)
				one.MaxBytes = 30
				s.Add(one)
			}
			s.sleep(time.Second)
		}
		add("a", "b", "c")
		s.sleep(time.Minute)
		require.Equal(t, []string{"[a b c]", "[a b c]"}, s.requests)
		add("d", "e")
		assert.Len(t, s.requests, 2, "they wait for others")
		add("f")
		assert.Equal(t, "[d e f]", s.requests[len(s.requests)-1])
		assert.Len(t, s.requests, 3)
	})
}

// TestPolledTasksDoNotLinger checks that a task whose operation is asked for again does not wait for others to share a batch with.
func TestPolledTasksDoNotLinger(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Hour, MinBackoff: time.Second, MaxBackoff: time.Second}, func(t *testing.T, s *scripted) {
		s.answer = func(values []string) []dispatch.Result {
			results := make([]dispatch.Result, len(values))
			if len(values) == 2 {
				results[1].Outcome = dispatch.Pending
			}
			return results
		}
		s.Add(in("lane", "a", "a", 2))
		s.Add(in("lane", "b", "b", 2))
		s.wait(t)
		assert.Equal(t, []string{"[a b]", "[b]"}, s.requests)
		assert.Less(t, s.finished["b"], time.Minute)
	})
}

// TestFailingTasksOfAnOwner checks which tasks a host gets that makes space: those of the owner that have a key and whose lane fails, and
// not those of a lane that is busy or works.
func TestFailingTasksOfAnOwner(t *testing.T) {
	withHost(t, dispatch.Config{Linger: 1000 * time.Hour, MinBackoff: time.Hour, MaxBackoff: time.Hour}, func(t *testing.T, s *scripted) {
		s.answer = func(values []string) []dispatch.Result { return failAll(values, func(string) bool { return true }) }
		mine, other := s.NewOwner(nil), s.NewOwner(nil)
		add := func(o *dispatch.Owner[string], lane, key, value string) {
			one := in(lane, key, value, 10)
			one.Owner = o
			s.Add(one)
		}
		add(mine, "fails", "a", "a1")
		add(mine, "fails", "a", "a2")
		add(mine, "fails", "", "keyless")
		add(other, "fails", "b", "b")
		s.Flush()
		s.sleep(time.Minute)
		s.latency = time.Hour
		add(mine, "busy", "c", "busy")
		s.Flush()
		add(mine, "works", "d", "lingers")
		s.sleep(time.Minute)
		s.Lock()
		taken := mine.TakeFailingLocked()
		s.Unlock()
		if assert.Len(t, taken, 1) {
			assert.Equal(t, []string{"a1", "a2"}, valuesOf(taken[0]))
		}
		assert.Equal(t, 4, s.Stats().Held)
		s.Lock()
		assert.Empty(t, mine.TakeFailingLocked(), "they are gone")
		mine.CloseLocked()
		other.CloseLocked()
		s.Unlock()
		s.sleep(2 * time.Hour)
		assert.Zero(t, s.Stats().Held)
	})
}

// TestOwnersEndWithWhatWaits checks that nothing of an owner that has ended is sent: neither what is queued, nor what waits for a
// retry or behind that.
func TestOwnersEndWithWhatWaits(t *testing.T) {
	for name, end := range map[string]func(o *dispatch.Owner[string]){"drained": (*dispatch.Owner[string]).Drain, "closed": (*dispatch.Owner[string]).Close} {
		withHost(t, dispatch.Config{Linger: time.Millisecond, MinBackoff: time.Minute, MaxBackoff: time.Minute}, func(t *testing.T, s *scripted) {
			s.answer = func(values []string) []dispatch.Result {
				return fail(values, func(v string) bool { return v == "bad" })
			}
			o := s.NewOwner(nil)
			add := func(lane, key, value string, size int) {
				one := in(lane, key, value, size)
				one.Owner = o
				s.Add(one)
			}
			add("lane", "a", "bad", 2)
			add("lane", "b", "good", 2)
			s.sleep(time.Second)
			add("lane", "a", "behind", 2)
			add("queued", "c", "queued", 2)
			s.Lock()
			assert.Equal(t, 1, o.RetryingLocked())
			s.Unlock()
			end(o)
			s.Lock()
			assert.Zero(t, o.RetryingLocked())
			s.Unlock()
			s.sleep(time.Hour)
			assert.Equal(t, []string{"[bad good]"}, s.requests, name)
			assert.Zero(t, s.Stats().Held, name)
		})
	}
}

// TestPausesInARow checks that each pause ends by itself, also one that begins after another has ended.
func TestPausesInARow(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Millisecond}, func(t *testing.T, s *scripted) {
		for _, name := range []string{"a", "b", "c"} {
			began := time.Now()
			s.Pause(time.Minute)
			s.Add(in(name, name, name, 1))
			s.wait(t)
			assert.Equal(t, time.Minute, time.Since(began))
		}
	})
}

// TestLanesThatAwaitTheirTurnFail checks that a lane whose wait is over still counts as failing until it was sent again.
func TestLanesThatAwaitTheirTurnFail(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Millisecond, MaxBatches: 1, MinBackoff: time.Second, MaxBackoff: time.Second}, func(t *testing.T, s *scripted) {
		s.answer = func(values []string) []dispatch.Result {
			return failAll(values, func(v string) bool { return v == "bad" && time.Since(s.began) < time.Minute })
		}
		s.Add(in("fails", "a", "bad", 1))
		s.sleep(500 * time.Millisecond)
		s.latency = time.Hour
		s.Add(in("busy", "b", "busy", 1))
		s.sleep(10 * time.Second)
		stats := s.Stats()
		assert.Equal(t, []any{true, 0, true}, []any{stats.Failing, stats.Retrying, stats.NextRetry.IsZero()}, "it waits for its turn only")
		s.latency = 0
		s.wait(t)
		assert.False(t, s.Stats().Failing)
	})
}

// TestKeysTakeTurns checks that the next task of a key goes behind those of the other keys of its lane.
func TestKeysTakeTurns(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Millisecond}, func(t *testing.T, s *scripted) {
		s.latency = time.Second
		for _, one := range []string{"a1", "a2", "b1", "b2", "c1"} {
			s.Add(in("lane", one[:1], one, 1))
		}
		s.wait(t)
		assert.Equal(t, []string{"[a1]", "[b1]", "[c1]", "[a2]", "[b2]"}, s.requests)
	})
}

// TestRunsAmongOthers checks a batch with a run and tasks that have none, one of them without a key: each gets its own result and counts
// its own attempts.
func TestRunsAmongOthers(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Millisecond, MinBackoff: time.Second, MaxBackoff: time.Second}, func(t *testing.T, s *scripted) {
		failed := false
		s.answer = func(values []string) []dispatch.Result {
			first := !failed
			failed = true
			return fail(values, func(v string) bool { return first && v[0] == 'r' })
		}
		list := []*task{in("lane", "", "keyless", 10), together(in("lane", "r", "r1", 10)), together(in("lane", "r", "r2", 10)), together(in("lane", "r", "r3", 10)), in("lane", "b", "b", 10)}
		for _, one := range list {
			s.Add(one)
		}
		s.wait(t)
		assert.Equal(t, []string{"[keyless r1 r2 r3 b]", "[r1 r2 r3]"}, s.requests)
		for i, want := range []int{1, 2, 2, 2, 1} {
			assert.Equal(t, want, list[i].Attempts(), list[i].Value)
		}
	})
}

// TestNothingIsTakenFromARun checks that tasks which are being sent along with the first one of their key are not taken from it.
func TestNothingIsTakenFromARun(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Millisecond}, func(t *testing.T, s *scripted) {
		s.latency = time.Minute
		o := s.NewOwner(nil)
		add := func(value string) {
			one := together(in("lane", "k", value, 2))
			one.Owner = o
			s.Add(one)
		}
		add("1")
		add("2")
		s.sleep(time.Second)
		take := func() [][]*task {
			s.Lock()
			defer s.Unlock()
			return o.TakeBehindLocked(func(dispatch.Chain[string]) bool { return true })
		}
		assert.Empty(t, take())
		add("3")
		if taken := take(); assert.Len(t, taken, 1) {
			assert.Equal(t, []string{"3"}, valuesOf(taken[0]))
		}
		s.wait(t)
		assert.Len(t, s.finished, 2)
	})
}

// TestChainsCountWhatIsLeft checks the number and the size of a key's tasks that a host sees: without those that are finished, alone or
// together.
func TestChainsCountWhatIsLeft(t *testing.T) {
	for step := 1; step <= 2; step++ {
		withHost(t, dispatch.Config{Linger: time.Millisecond}, func(t *testing.T, s *scripted) {
			s.latency = time.Minute
			o := s.NewOwner(nil)
			for i := range 6 {
				one := in("lane", "k", fmt.Sprint(i), step)
				one.Owner, one.Bytes, one.Together = o, 1<<i, step > 1
				s.Add(one)
			}
			for finished := 0; finished < 4; finished += step {
				s.sleep(time.Second)
				s.Lock()
				o.TakeBehindLocked(func(c dispatch.Chain[string]) bool {
					assert.Equal(t, []any{fmt.Sprint(finished), 6 - finished, 64 - 1<<finished}, []any{c.First.Value, c.Count, c.Bytes})
					return false
				})
				s.Unlock()
				s.sleep(time.Minute)
			}
			s.wait(t)
		})
	}
}

// TestUnsentRunsCanBeTaken checks that tasks which were to be sent along with the first one of their key, and were not, can be taken from
// it.
func TestUnsentRunsCanBeTaken(t *testing.T) {
	for outcome, want := range map[dispatch.Outcome]int{dispatch.NotSent: 2, dispatch.Retry: 0} {
		withHost(t, dispatch.Config{Linger: time.Millisecond, MinBackoff: time.Minute, MaxBackoff: time.Minute}, func(t *testing.T, s *scripted) {
			s.answer = func(values []string) []dispatch.Result {
				results := make([]dispatch.Result, len(values))
				for i := range results {
					if time.Since(s.began) < 10*time.Second {
						results[i] = dispatch.Result{Outcome: outcome, RetryAfter: time.Minute}
					}
				}
				return results
			}
			o := s.NewOwner(nil)
			for i := range 3 {
				one := together(in("lane", "k", fmt.Sprint(i), 3))
				one.Owner = o
				s.Add(one)
			}
			s.sleep(time.Second)
			s.Lock()
			taken := o.TakeBehindLocked(func(dispatch.Chain[string]) bool { return true })
			s.Unlock()
			if want > 0 {
				require.Len(t, taken, 1)
				assert.Equal(t, []string{"1", "2"}, valuesOf(taken[0]))
			} else {
				assert.Empty(t, taken, "the remote may have applied them")
			}
			s.wait(t)
			assert.Len(t, s.finished, 3-want)
		})
	}
}

// TestRunsTakeTurns checks that what is left of a key behind a run goes behind the other keys of its lane.
func TestRunsTakeTurns(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Millisecond}, func(t *testing.T, s *scripted) {
		s.latency = time.Second
		add := func(values ...string) {
			for _, one := range values {
				s.Add(together(in("lane", one[:1], one, 2)))
			}
			s.sleep(10 * time.Millisecond)
		}
		add("a1", "a2", "a3")
		add("b1", "c1")
		s.wait(t)
		assert.Equal(t, []string{"[a1 a2]", "[b1 c1]", "[a3]"}, s.requests)
	})
}
