package delivery

import (
	"sync"
	"time"
)

const (
	minClockJump = time.Hour // by which the clock is not set while it is right
	clockSettles = time.Hour // time to set a clock right that was set ahead
)

// clockJumps notices that the clock of the machine is set, by comparing it with one that only measures. It is safe for concurrent use.
type clockJumps struct {
	mu    sync.Mutex    // guards the fields below
	first time.Time     // the first look
	ahead time.Duration // by which the clock has moved more since first than time has passed, at the latest look
	right time.Duration // likewise, before it was set ahead
	until time.Duration // after first, until when the clock may be wrong
}

// isDoubtful reports whether the clock was set ahead a short time ago, and by how much if this call notices it.
func (c *clockJumps) isDoubtful(now time.Time) (doubtful bool, jump time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first.IsZero() {
		c.first = now
	}
	passed := now.Sub(c.first)
	return c.lookLocked(passed, now.Round(0).Sub(c.first.Round(0))-passed)
}

// lookLocked is isDoubtful for a time that has passed since the first look, by which the clock has moved, and ahead more.
func (c *clockJumps) lookLocked(passed, ahead time.Duration) (doubtful bool, jump time.Duration) {
	switch moved := ahead - c.ahead; {
	case moved > minClockJump:
		if passed >= c.until {
			c.right = c.ahead
		}
		c.until, jump = passed+clockSettles, moved
	case moved < -minClockJump && ahead-c.right <= minClockJump: // it was set right, and not only nearer to that
		c.until = 0
	}
	c.ahead = ahead
	return passed < c.until, jump
}

// mayDeleteByAge reports whether the clock can be trusted with that: after it was set ahead, nothing is deleted for its age for a while.
func (r *Runner) mayDeleteByAge() bool {
	doubtful, jump := r.clock.isDoubtful(time.Now())
	if jump > 0 {
		r.log.Warn("the clock was set ahead, or the machine was suspended: events and dead letters are not deleted for their age in the next hour; if the clock is wrong, set it right", "ahead", jump.Round(time.Second))
	}
	return !doubtful
}
