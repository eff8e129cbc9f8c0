package event_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/event"
)

func TestLimitFuture(t *testing.T) {
	received := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		ahead, maxFuture, want time.Duration
		limited                bool
	}{
		"before":                        {-time.Hour, time.Minute, -time.Hour, false},
		"at the tolerance":              {time.Minute, time.Minute, time.Minute, false},
		"just beyond":                   {time.Minute + 1, time.Minute, time.Minute, true},
		"a wrong zone":                  {14 * time.Hour, time.Minute, time.Minute, true},
		"the last plausible":            {event.MaxPlausible + time.Minute, time.Minute, time.Minute, true},
		"not plausible":                 {event.MaxPlausible + time.Minute + 1, time.Minute, 0, true},
		"a wide tolerance":              {1000 * time.Hour, 1000 * time.Hour, 1000 * time.Hour, false},
		"beyond a wide tolerance":       {1001 * time.Hour, 1000 * time.Hour, 1000 * time.Hour, true},
		"further than a duration holds": {math.MaxInt64, time.Minute, 0, true},
	} {
		decides, limited := event.LimitFuture(received.Add(c.ahead), received, c.maxFuture)
		assert.Equal(t, received.Add(c.want), decides, name)
		assert.Equal(t, c.limited, limited, name)
	}
}
