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

func TestBatchesAreBounded(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Minute}, func(t *testing.T, s *scripted) {
		for i := range 5 {
			s.Add(in("number", fmt.Sprint(i), fmt.Sprint("n", i), 2))
			small := in("bytes", fmt.Sprint("b", i), fmt.Sprint("b", i), 100)
			small.MaxBytes = 30
			s.Add(small)
		}
		s.wait(t)
		assert.ElementsMatch(t, []string{"[n0 n1]", "[n2 n3]", "[n4]", "[b0 b1 b2]", "[b3 b4]"}, s.requests)
		assert.Equal(t, time.Duration(0), s.finished["n3"], "a full batch does not wait")
		assert.Equal(t, time.Minute, s.finished["n4"], "the rest waits for the linger")
	})
}

func TestTheSmallestLimitOfABatchHolds(t *testing.T) {
	withHost(t, dispatch.Config{Linger: -1}, func(t *testing.T, s *scripted) {
		for i, size := range []int{5, 2, 5, 5} {
			s.Add(in("lane", fmt.Sprint(i), fmt.Sprint(i), size))
		}
		s.Flush()
		s.wait(t)
		assert.Equal(t, []string{"[0 1]", "[2 3]"}, s.requests)
	})
}

func TestGroupsDoNotShareBatches(t *testing.T) {
	withHost(t, dispatch.Config{}, func(t *testing.T, s *scripted) {
		for i := range 4 {
			one := in("lane", fmt.Sprint(i), fmt.Sprint(i), 10)
			one.Group.Key = fmt.Sprint(i % 2)
			s.Add(one)
		}
		s.wait(t)
		assert.Equal(t, []string{"[0 2]", "[1 3]"}, s.requests)
	})
}

func TestKeyKeepsOrderAcrossLanes(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Millisecond}, func(t *testing.T, s *scripted) {
		s.latency = time.Second
		s.Add(in("a", "k", "first", 1))
		s.Add(in("b", "k", "second", 10))
		s.Add(in("b", "other", "other", 10))
		s.wait(t)
		assert.Equal(t, []string{"[first]", "[other]", "[second]"}, s.requests)
	})
}

func TestParallelRequestsAreBounded(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Millisecond, MaxBatches: 2}, func(t *testing.T, s *scripted) {
		s.latency = time.Second
		for i := range 6 {
			s.Add(in(fmt.Sprint(i), "", fmt.Sprint(i), 1))
		}
		s.wait(t)
		assert.Equal(t, 3*time.Second, time.Since(s.began))
	})
}

// Tasks of a key that may share a request are sent together, and stay so when the request fails: the remote may have applied it, and an
// older task alone would undo a newer one.
func TestRunsStayTogether(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Second}, func(t *testing.T, s *scripted) {
		failures := 5
		s.answer = func(values []string) []dispatch.Result {
			failures--
			return failAll(values, func(string) bool { return failures > 0 })
		}
		for i := range 3 {
			s.Add(together(in("lane", "k", fmt.Sprint("k", i), 6)))
			s.Add(in("lane", fmt.Sprint("other", i), fmt.Sprint("o", i), 6))
		}
		s.wait(t)
		require.Equal(t, "[k0 k1 k2 o0 o1 o2]", s.requests[0])
		for _, request := range s.requests {
			assert.Equal(t, strings.Contains(request, "k0"), strings.Contains(request, "k0 k1 k2"), s.requests)
		}
	})
}

func TestOnlyFailedTasksAreRetried(t *testing.T) {
	withHost(t, dispatch.Config{}, func(t *testing.T, s *scripted) {
		failures := 2
		s.answer = func(values []string) []dispatch.Result {
			return fail(values, func(v string) bool { failures--; return v == "bad" && failures > 0 })
		}
		s.Add(in("lane", "a", "bad", 10))
		s.Add(in("lane", "b", "good", 10))
		s.Add(in("lane", "a", "behind", 10))
		s.Add(in("lane", "b", "next", 10))
		s.wait(t)
		assert.Equal(t, []string{"[bad good]", "[next]", "[bad]", "[behind]"}, s.requests)
	})
}

func TestTasksWithoutKeyAreRetriedInPlace(t *testing.T) {
	withHost(t, dispatch.Config{Linger: -1}, func(t *testing.T, s *scripted) {
		failures := 3
		s.answer = func(values []string) []dispatch.Result {
			return fail(values, func(v string) bool {
				failures--
				return v == "b" && failures > 0
			})
		}
		for _, v := range []string{"a", "b", "c", "d", "e"} {
			s.Add(in("lane", "", v, 2))
		}
		s.Flush()
		s.wait(t)
		assert.Equal(t, []string{"[a b]", "[b]", "[c d]", "[e]"}, s.requests)
	})
}

// A task that fails while others succeed is given up after MaxAttempts, one that fails along with all others after RetryFor.
func TestExhaustedTasksAreOffered(t *testing.T) {
	withHost(t, dispatch.Config{MaxAttempts: 3, RetryFor: time.Hour}, func(t *testing.T, s *scripted) {
		s.answer = func(values []string) []dispatch.Result {
			return fail(values, func(v string) bool { return v == "bad" })
		}
		s.Add(in("lane", "a", "bad", 10))
		s.Add(in("lane", "a", "behind", 10))
		s.Add(in("lane", "b", "good", 10))
		s.wait(t)
		assert.Equal(t, []string{"bad", "behind"}, s.taken)
		assert.Equal(t, []string{"[bad good]", "[bad]", "[bad]"}, s.requests)
	})
	withHost(t, dispatch.Config{MaxAttempts: 3, RetryFor: time.Hour}, func(t *testing.T, s *scripted) {
		s.answer = func(values []string) []dispatch.Result { return fail(values, func(string) bool { return true }) }
		s.Add(in("lane", "a", "a", 10))
		s.Add(in("lane", "b", "b", 10))
		s.wait(t)
		assert.ElementsMatch(t, []string{"a", "b"}, s.taken)
		assert.Greater(t, time.Since(s.began), time.Hour)
		assert.Greater(t, len(s.requests), 30)
	})
}

// A task that is alone in its lane has not failed by itself if the remote accepts nothing: it is given up after RetryFor, too.
func TestATaskAloneInAnOutageIsRetried(t *testing.T) {
	withHost(t, dispatch.Config{MaxAttempts: 3, RetryFor: time.Hour}, func(t *testing.T, s *scripted) {
		s.answer = func(values []string) []dispatch.Result { return failAll(values, func(string) bool { return true }) }
		s.Add(in("lane", "a", "a", 10))
		s.wait(t)
		assert.Equal(t, []string{"a"}, s.taken)
		assert.Greater(t, time.Since(s.began), time.Hour)
	})
}

// A task that the host dropped while it was in flight has its outcome.
func TestDroppedTasksAreFinished(t *testing.T) {
	withHost(t, dispatch.Config{}, func(t *testing.T, s *scripted) {
		s.answer = func(values []string) []dispatch.Result {
			results := make([]dispatch.Result, len(values))
			results[0].Outcome = dispatch.Dropped
			return results
		}
		s.Add(in("lane", "a", "a", 10))
		s.Add(in("lane", "a", "behind", 10))
		s.wait(t)
		assert.Equal(t, []string{"[a]", "[behind]"}, s.requests)
		assert.Len(t, s.finished, 2)
		assert.Zero(t, s.retried)
	})
}

// A host that cannot take an exhausted task keeps it being retried.
func TestExhaustedTasksCanStay(t *testing.T) {
	withHost(t, dispatch.Config{MaxAttempts: 2}, func(t *testing.T, s *scripted) {
		s.keep = true
		failures := 6
		s.answer = func(values []string) []dispatch.Result {
			failures--
			return fail(values, func(string) bool { return failures > 0 })
		}
		s.Add(in("lane", "", "a", 1))
		s.wait(t)
		assert.Equal(t, 5, s.retried)
		assert.Contains(t, s.finished, "a")
	})
}

// A lane whose limit is used up waits as long as it is told. Other lanes go on, and the wait counts as no attempt.
func TestLimitsDelayTheirLaneOnly(t *testing.T) {
	withHost(t, dispatch.Config{MaxAttempts: 1, Linger: time.Millisecond}, func(t *testing.T, s *scripted) {
		deferred := 2
		s.answer = func(values []string) []dispatch.Result {
			results := make([]dispatch.Result, len(values))
			if values[0] == "a" && deferred > 0 {
				deferred--
				results[0] = dispatch.Result{Outcome: dispatch.NotSent, RetryAfter: time.Minute}
			}
			return results
		}
		s.Add(in("limited", "a", "a", 10))
		s.Add(in("other", "b", "b", 10))
		s.wait(t)
		assert.Equal(t, 3, len(s.requests)-1, "no request between")
		assert.Equal(t, 2*time.Minute, s.finished["a"].Truncate(time.Second))
		assert.Less(t, s.finished["b"], time.Second)
		assert.False(t, s.Stats().Suspended)
		assert.Zero(t, s.retried)
	})
}

// TestFailuresInPlace checks Config.InPlace: a failed task keeps its place before later tasks of its lane, and holds back its key in
// all lanes. A host that takes only the exhausted task lets those behind it go on.
func TestFailuresInPlace(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Millisecond, MaxAttempts: 3, RetryFor: time.Hour, InPlace: true}, func(t *testing.T, s *scripted) {
		s.takes = 1
		s.answer = func(values []string) []dispatch.Result {
			return fail(values, func(v string) bool { return v == "fails" })
		}
		for _, added := range []*task{
			in("a", "k", "fails", 2), in("a", "l", "1", 2), in("a", "m", "2", 2), in("b", "k", "behind", 2), in("b", "n", "3", 1), in("a", "k", "last", 2),
		} {
			s.Add(added)
		}
		s.wait(t)
		assert.ElementsMatch(t, []string{"[fails 1]", "[3]", "[fails]", "[fails]", "[2]", "[behind]", "[last]"}, s.requests)
		index := func(request string) int { return slices.Index(s.requests, request) }
		assert.Less(t, index("[3]"), index("[fails]"), "other lanes do not wait")
		assert.Less(t, index("[fails]"), index("[2]"), "its lane waits")
		assert.Less(t, index("[behind]"), index("[last]"), "a key is in order across lanes")
		assert.Equal(t, []string{"fails"}, s.taken)
	})
}

// An owner that drains finishes what is in flight and retries nothing. Nothing more is heard of a closed one.
func TestOwnersEnd(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Millisecond}, func(t *testing.T, s *scripted) {
		s.latency = time.Second
		s.answer = func(values []string) []dispatch.Result {
			return fail(values, func(v string) bool { return v == "fails" })
		}
		owned := func(o *dispatch.Owner[string], lane, key, value string) {
			one := in(lane, key, value, 10)
			one.Owner = o
			s.Add(one)
		}
		draining, closed, open := s.NewOwner(nil), s.NewOwner(nil), s.NewOwner(nil)
		owned(draining, "shared", "a", "done")
		owned(draining, "shared", "b", "fails")
		owned(draining, "shared", "a", "behind")
		owned(closed, "shared", "c", "closed")
		owned(open, "shared", "d", "open")
		s.sleep(10 * time.Millisecond)
		s.Lock()
		assert.Equal(t, []int{2, 1, 1}, []int{draining.InFlightLocked(), closed.InFlightLocked(), open.InFlightLocked()})
		s.Unlock()
		owned(draining, "shared", "e", "queued")
		draining.Drain()
		owned(draining, "shared", "e", "late")
		closed.Close()
		s.wait(t)
		assert.Len(t, s.finished, 2)
		assert.Contains(t, s.finished, "done")
		assert.Contains(t, s.finished, "open")
		assert.Zero(t, s.retried)
		assert.Empty(t, s.taken)
	})
}

// The tasks of an owner are sent only as long as it allows a request, and those of others do not wait.
func TestOwnersAllowRequests(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Millisecond, Recheck: time.Minute}, func(t *testing.T, s *scripted) {
		allowed := time.Duration(0)
		o := s.NewOwner(func() time.Duration { return allowed })
		held := in("lane", "a", "held", 10)
		held.Owner = o
		s.Add(held)
		s.Add(in("lane", "b", "free", 10))
		s.sleep(90 * time.Second)
		assert.Equal(t, []string{"[free]"}, s.requests)
		s.Lock()
		allowed = time.Second
		s.Unlock()
		s.wait(t)
		assert.Equal(t, []string{"[free]", "[held]"}, s.requests)
	})
}
