package budget

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWaitsDoNotFollowTheClock checks that the end of a wait for tokens has a monotonic time, so that a clock which is set back does not make the wait
// longer.
func TestWaitsDoNotFollowTheClock(t *testing.T) {
	now := time.Now()
	m := newMeter(Window{Limit: 1, Per: time.Minute}, false, DefaultBackground)
	for name, c := range map[string]struct {
		record record
		shared bool
		within time.Duration
	}{
		"the budget is spent": {record{Meters: map[string]map[int64][2]int64{m.name: {m.slotAt(now): {1, 0}}}}, false, 2 * time.Minute},
		"a pause":             {record{Meters: map[string]map[int64][2]int64{}, PausedUntil: now.Add(time.Hour).UnixMilli()}, true, time.Hour},
	} {
		r := &reservation{shared: c.shared, parts: []part{{meter: m, need: 1, block: 1}}}
		got := r.plan(c.record, now)
		require.True(t, got.lacks(), name)
		at := got.retryAt[0]
		assert.True(t, at.After(now) && at.Sub(now) <= c.within, "%s: %v", name, at.Sub(now))
		assert.NotEqual(t, at.Round(0).String(), at.String(), "%s: it has no monotonic time", name)
	}
}
