package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/dispatch"
)

func TestWaitsForWhatTheRemoteAsks(t *testing.T) {
	withHost(t, dispatch.Config{MaxPause: 10 * time.Minute}, func(t *testing.T, s *scripted) {
		gaps := s.gapsOfRetries(t, in("lane", "k", "a", 1), 0, 5*time.Minute, time.Hour)
		require.Len(t, gaps, 4)
		assert.LessOrEqual(t, gaps[1], 250*time.Millisecond)
		assert.Equal(t, 5*time.Minute, gaps[2])
		assert.Equal(t, 10*time.Minute, gaps[3], "no longer than MaxPause")
	})
}

func TestPauseAndResume(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Millisecond}, func(t *testing.T, s *scripted) {
		until, begins := s.Pause(time.Minute)
		assert.True(t, begins)
		assert.Equal(t, time.Now().Add(time.Minute), until)
		_, begins = s.Pause(time.Second)
		assert.False(t, begins, "it is paused already, for longer")
		s.Add(in("lane", "k", "a", 1))
		s.wait(t)
		assert.Equal(t, time.Minute, s.finished["a"])

		s.Pause(time.Hour)
		s.Add(in("lane", "k", "b", 1))
		s.sleep(time.Minute)
		assert.NotContains(t, s.finished, "b")
		s.Resume()
		s.wait(t)
		assert.Equal(t, 2*time.Minute, s.finished["b"])
	})
}

// Resume also ends the waits of lanes and tasks after failures.
func TestResumeEndsWaits(t *testing.T) {
	withHost(t, dispatch.Config{MinBackoff: time.Hour, MaxBackoff: time.Hour}, func(t *testing.T, s *scripted) {
		down := true
		s.answer = func(values []string) []dispatch.Result {
			return fail(values, func(v string) bool { return down && v != "ok" })
		}
		s.Add(in("alone", "a", "whole", 1))
		s.Add(in("shared", "b", "own", 10))
		s.Add(in("shared", "c", "ok", 10))
		s.sleep(10 * time.Minute)
		stats := s.Stats()
		assert.Equal(t, 2, stats.Retrying)
		assert.True(t, stats.Failing)
		assert.True(t, stats.NextRetry.After(time.Now()))
		s.Lock()
		down = false
		s.Unlock()
		s.Resume()
		s.wait(t)
		assert.Equal(t, 10*time.Minute, time.Since(s.began))
	})
}

// notSentWithout returns an answer by which nothing is sent until there is a login, which s.Lock guards.
func notSentWithout(login *bool) func(values []string) []dispatch.Result {
	return func(values []string) []dispatch.Result {
		results := make([]dispatch.Result, len(values))
		for i := range results {
			if !*login {
				results[i].Outcome = dispatch.NotSent
			}
		}
		return results
	}
}

func TestNothingIsSentWithoutLogin(t *testing.T) {
	withHost(t, dispatch.Config{MaxAttempts: 1}, func(t *testing.T, s *scripted) {
		login := false
		s.answer = notSentWithout(&login)
		s.Add(in("lane", "a", "a", 10))
		s.Add(in("lane", "b", "b", 10))
		s.sleep(time.Hour)
		s.Lock()
		login = true
		s.Unlock()
		assert.True(t, s.Stats().Suspended)
		assert.Len(t, s.requests, 1)
		s.Unsuspend()
		s.wait(t)
		assert.Equal(t, []string{"[a b]", "[a b]"}, s.requests)
		assert.Zero(t, s.retried, "it counts as no attempt")
	})
}

// A login that fails stops all requests, also if the owner of the tasks of that request has ended meanwhile.
func TestNothingIsSentWithoutLoginAfterAnOwnerEnds(t *testing.T) {
	withHost(t, dispatch.Config{Linger: time.Millisecond}, func(t *testing.T, s *scripted) {
		s.latency = time.Second
		login := false
		s.answer = notSentWithout(&login)
		closed := s.NewOwner(nil)
		for _, value := range []string{"1", "2"} {
			one := together(in("lane", "a", value, 10))
			one.Owner = closed
			s.Add(one)
		}
		s.sleep(10 * time.Millisecond)
		closed.Close()
		s.Add(in("lane", "b", "b", 10))
		s.sleep(time.Hour)
		assert.True(t, s.Stats().Suspended)
		assert.Equal(t, []string{"[1 2]"}, s.requests)
		s.Lock()
		login = true
		s.Unlock()
		s.Unsuspend()
		s.wait(t)
		assert.Equal(t, []string{"[1 2]", "[b]"}, s.requests)
	})
}

// Pending tasks are polled together, and those of their keys wait behind them.
func TestPendingTasksArePolled(t *testing.T) {
	withHost(t, dispatch.Config{PollFor: time.Hour}, func(t *testing.T, s *scripted) {
		polls := 4
		s.answer = func(values []string) []dispatch.Result {
			results := make([]dispatch.Result, len(values))
			for i, v := range values {
				if v == "never" || v != "c" && polls > 0 {
					results[i].Outcome = dispatch.Pending
				}
			}
			polls--
			return results
		}
		s.Add(in("lane", "a", "a", 10))
		s.Add(in("lane", "b", "b", 10))
		s.Add(in("lane", "a", "behind", 10))
		s.sleep(time.Hour / 2)
		assert.Equal(t, []string{"[a b]", "[a b]", "[a b]", "[a b]", "[a b]", "[behind]"}, s.requests)
		s.Add(in("lane", "n", "never", 10))
		s.wait(t)
		assert.Equal(t, []string{"never"}, s.taken)
		assert.Greater(t, time.Since(s.began), 3*time.Hour/2)
	})
}
