package delivery

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestTheProgressOfTheLastHourCounts checks the estimate after gaps shorter and longer than the hour that counts.
func TestTheProgressOfTheLastHourCounts(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	for gap, want := range map[time.Duration]time.Duration{
		5 * time.Second:  0, // too short
		20 * time.Second: 40 * time.Second,
		10 * time.Minute: 20 * time.Minute,
		59 * time.Minute: 118 * time.Minute,
		60 * time.Minute: 0, // nothing was finished in the last hour
		61 * time.Minute: 0,
		50 * time.Hour:   0,
	} {
		var r progressRate
		for range 10 {
			r.count(begin)
		}
		assert.Equal(t, want, r.timeFor(20, begin.Add(gap)), gap.String())
		r.count(begin.Add(gap))
		if want == 0 && gap > time.Minute {
			assert.Equal(t, 59*time.Minute, r.timeFor(1, begin.Add(gap)), gap.String())
		}
	}
}
