package dispatch_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/dispatch"
)

// A clock that tests or simulations drive.
type manualClock struct {
	now   time.Time
	calls map[int]func()
	at    map[int]time.Time
	n     int
}

func (c *manualClock) Now() time.Time { return c.now }

func (c *manualClock) AfterFunc(d time.Duration, f func()) func() bool {
	c.n++
	n := c.n
	c.calls[n], c.at[n] = f, c.now.Add(d)
	return func() bool { delete(c.calls, n); return true }
}

func (c *manualClock) advance(d time.Duration) {
	c.now = c.now.Add(d)
	for n, f := range c.calls {
		if !c.at[n].After(c.now) {
			delete(c.calls, n)
			f()
		}
	}
}

func TestClockIsInjected(t *testing.T) {
	clock := &manualClock{now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), calls: map[int]func(){}, at: map[int]time.Time{}}
	s := &scripted{finished: map[string]time.Duration{}}
	s.Dispatcher = dispatch.New[string](dispatch.Config{Linger: time.Hour, Clock: clock}, s)
	s.Add(in("lane", "a", "a", 10))
	clock.advance(59 * time.Minute)
	assert.Empty(t, s.requests)
	clock.advance(time.Minute)
	assert.Equal(t, []string{"[a]"}, s.requests)
	s.wait(t)
	s.Add(in("lane", "a", "b", 10))
	s.Flush()
	s.wait(t)
	assert.Empty(t, clock.calls, "a wait that has ended needs no timer")
	s.Add(in("lane", "a", "c", 10))
	s.Stop()
	assert.Empty(t, clock.calls, "Stop ends the timers")
}

// TestLanesDueTogetherStartInOrder adds tasks to many lanes and flushes them: the lanes start in the order of their first tasks.
func TestLanesDueTogetherStartInOrder(t *testing.T) {
	withHost(t, dispatch.Config{Linger: -1, MaxBatches: 1}, func(t *testing.T, s *scripted) {
		var want []string
		for i := range 20 {
			s.Add(in(fmt.Sprint("lane", (i*7)%20), "", fmt.Sprint("t", i), 10))
			want = append(want, fmt.Sprintf("[t%d]", i))
		}
		s.Flush()
		s.wait(t)
		assert.Equal(t, want, s.requests)
	})
}
