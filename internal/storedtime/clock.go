package storedtime

import (
	"log/slog"
	"sync"
	"time"
)

const (
	minJump = time.Hour // by which the clock is not set while it is right
	settles = time.Hour // time to set a clock right that was set ahead
)

// Clock judges whether the clock of the machine can be trusted, by comparing it with one that only measures. It is safe for concurrent use.
type Clock struct {
	log   *slog.Logger
	first time.Time // the first look

	mu    sync.Mutex    // guards the fields below
	ahead time.Duration // by which the clock has moved more since first than time has passed, at the latest look
	right time.Duration // likewise, before it was set ahead
	until time.Duration // after first, until when the clock may be wrong
}

// NewClock returns a Clock for a process that starts now. newest is when an earlier one stored something last, zero if none has: if that was long
// ago, the process may have started with a clock that is ahead.
func NewClock(log *slog.Logger, newest time.Time) *Clock {
	c := &Clock{log: log, first: time.Now()}
	if off := c.first.Sub(newest); !newest.IsZero() && off > minJump {
		c.until, c.right = settles, -off
		log.Info("nothing was stored for a while, or the clock is ahead: nothing is deleted for its age in the next hour", "newest", newest.UTC().Truncate(time.Second))
	}
	return c
}

// MayDeleteByAge reports whether the clock can be trusted with that: after it was set ahead, nothing is deleted for its age for a while.
func (c *Clock) MayDeleteByAge() bool {
	now := time.Now()
	passed := now.Sub(c.first)
	doubtful, jump := c.look(passed, now.Round(0).Sub(c.first.Round(0))-passed)
	if jump > 0 {
		c.log.Warn("the clock was set ahead, or the machine was suspended: nothing is deleted for its age in the next hour; if the clock is wrong, set it right", "ahead", jump.Round(time.Second))
	}
	return !doubtful
}

// look reports whether the clock was set ahead a short time ago, and by how much if this look notices it. A time has passed since the first look, by
// which the clock has moved, and ahead more.
func (c *Clock) look(passed, ahead time.Duration) (doubtful bool, jump time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch moved := ahead - c.ahead; {
	case moved > minJump:
		if passed >= c.until {
			c.right = c.ahead
		}
		c.until, jump = passed+settles, moved
	case moved < -minJump && ahead-c.right <= minJump: // it was set right, and not only nearer to that
		c.until = 0
	}
	c.ahead = ahead
	return passed < c.until, jump
}
