package ingest

import (
	"sync"
	"time"
)

// maxLead is how far a clock may be ahead of the machine's before it follows that back at once.
const maxLead = 24 * time.Hour

// clock is the machine's clock as events are stamped with it: it never goes back. An event that happened later would otherwise
// have the earlier time, and would count as overtaken. Where the machine's clock is set back, this one goes half as fast until
// both agree; where it is set forward, this one follows. It is safe for concurrent use.
type clock struct {
	wall   func() time.Time     // may jump
	steady func() time.Duration // since any moment; does not jump

	mu    sync.Mutex
	shown time.Time
	at    time.Duration // by steady, when shown was shown
}

func newClock() *clock {
	began := time.Now()
	return &clock{wall: time.Now, steady: func() time.Duration { return time.Since(began) }}
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, at := c.wall().Round(0), c.steady()
	passed := at - c.at
	c.at = at
	if next := c.shown.Add(passed / 2); wall.Before(next) && next.Sub(wall) <= maxLead {
		wall = next
	}
	c.shown = wall
	return wall
}
