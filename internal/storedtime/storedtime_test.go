package storedtime_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/internal/storedtime"
)

func TestWasAhead(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for lead, want := range map[time.Duration]bool{-time.Hour: false, 0: false, storedtime.MaxLead: false, storedtime.MaxLead + 1: true, 10_000 * time.Hour: true} {
		assert.Equal(t, want, storedtime.WasAhead(now.Add(lead), now), lead)
	}
}

func TestHolds(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for left, want := range map[time.Duration]bool{-1: false, 0: false, 1: true, time.Minute: true, time.Minute + 1: false} {
		assert.Equal(t, want, storedtime.Holds(now.Add(left), now, time.Minute), left)
	}
	assert.False(t, storedtime.Holds(time.Time{}, now, time.Minute), "none was stored")
}
