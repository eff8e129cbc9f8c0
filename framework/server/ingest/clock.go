package ingest

import (
	"sync"
	"time"
)

// maxLead is how far a clock can be ahead of the machine's clock. If it is further ahead, it follows a backward step at once.
const maxLead = 24 * time.Hour

// clock is the clock for event times. It follows the machine's clock, but does not go back: after a backward step it runs at half speed
// until both agree. Otherwise a later event could get an earlier time and would be superseded. It is safe for concurrent use.
type clock struct {
	wall   func() time.Time     // wall clock; can jump
	steady func() time.Duration // monotonic time; does not jump

	mu     sync.Mutex
	last   time.Time     // last result
	lastAt time.Duration // monotonic time of last
}

// newClock returns a clock that follows the machine's clock.
func newClock() *clock {
	started := time.Now()
	return &clock{wall: time.Now, steady: func() time.Duration { return time.Since(started) }}
}

// now returns the current time.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, at := c.wall().Round(0), c.steady()
	passed := at - c.lastAt
	c.lastAt = at
	if next := c.last.Add(passed / 2); wall.Before(next) && next.Sub(wall) <= maxLead {
		wall = next
	}
	c.last = wall
	return wall
}
