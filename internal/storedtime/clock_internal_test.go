package storedtime

import (
	"bytes"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestClockThatIsSetAhead checks that a clock cannot be trusted until an hour after it was set ahead, unless it is set right before.
func TestClockThatIsSetAhead(t *testing.T) {
	const hour = time.Hour
	var c Clock
	for _, look := range []struct {
		passed, ahead, jump time.Duration
		doubtful            bool
	}{
		{0, 0, 0, false}, {hour, hour, 0, false}, {2 * hour, 2 * hour, 0, false}, // it is set by an hour each time, as it can be
		{3 * hour, 3*hour + 1, hour + 1, true}, {4*hour - 1, 3 * hour, 0, true}, {4 * hour, 3 * hour, 0, false},
		{5 * hour, 90_000 * hour, 89_997 * hour, true}, {5*hour + 1, 3 * hour, 0, false}, {9 * hour, -90_000 * hour, 0, false}, {9 * hour, 0, 90_000 * hour, true},
		{20 * hour, 0, 0, false}, {20 * hour, 90_000 * hour, 90_000 * hour, true}, {20*hour + 1, 80_000 * hour, 0, true}, {20*hour + 2, hour, 0, false}, // set right in two steps
	} {
		doubtful, jump := c.look(look.passed, look.ahead)
		assert.Equal(t, []any{look.doubtful, look.jump}, []any{doubtful, jump}, "%+v", look)
	}
}

// TestClockOfAStart checks that the clock cannot be trusted in the first hour of a process that starts long after something was stored last, unless it
// is set right before.
func TestClockOfAStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			off      time.Duration
			doubtful bool
		}{{-time.Hour, false}, {time.Hour, false}, {time.Hour + 1, true}, {90_000 * time.Hour, true}} {
			var text bytes.Buffer
			clock := NewClock(slog.New(slog.NewTextHandler(&text, nil)), time.Now().Add(-c.off))
			assert.Equal(t, !c.doubtful, clock.MayDeleteByAge(), c.off)
			assert.Equal(t, c.doubtful, text.Len() > 0)
			time.Sleep(time.Hour)
			assert.True(t, clock.MayDeleteByAge())
		}
		c := NewClock(slog.New(slog.DiscardHandler), time.Now().Add(-90_000*time.Hour))
		doubtful, _ := c.look(time.Minute, -80_000*time.Hour)
		assert.True(t, doubtful, "nearer to the right time")
		doubtful, _ = c.look(2*time.Minute, -90_000*time.Hour)
		assert.False(t, doubtful, "right")
		assert.True(t, NewClock(slog.New(slog.DiscardHandler), time.Time{}).MayDeleteByAge(), "nothing was stored before")
	})
}

// TestJumpIsLogged checks the warning of a clock that is set ahead.
func TestJumpIsLogged(t *testing.T) {
	var text bytes.Buffer
	c := NewClock(slog.New(slog.NewTextHandler(&text, nil)), time.Time{})
	c.ahead = -2 * time.Hour // at the latest look
	assert.False(t, c.MayDeleteByAge())
	assert.Contains(t, text.String(), "level=WARN msg=\"the clock was set ahead")
	assert.Contains(t, text.String(), "ahead=2h0m0s")
	text.Reset()
	assert.False(t, c.MayDeleteByAge())
	assert.Empty(t, text.String(), "it is said once")
}
