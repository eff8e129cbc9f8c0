package ingest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/incoming"
)

// moved is a clock with a wall clock that the test sets.
type moved struct {
	*clock
	wall   time.Time
	passed time.Duration
}

func newMoved() *moved {
	m := &moved{clock: newClock(), wall: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}
	m.clock.wall = func() time.Time { return m.wall }
	m.steady = func() time.Duration { return m.passed }
	return m
}

func (m *moved) pass(d time.Duration) time.Time {
	m.passed, m.wall = m.passed+d, m.wall.Add(d)
	return m.now()
}

func TestClockFollowsSteps(t *testing.T) {
	m := newMoved()
	begin := m.now()
	assert.Equal(t, begin.Add(time.Second), m.pass(time.Second))
	m.wall = m.wall.Add(time.Hour)
	assert.Equal(t, begin.Add(time.Hour+2*time.Second), m.pass(time.Second), "set forward: followed")
	m.wall = m.wall.Add(-time.Minute)
	assert.Equal(t, begin.Add(time.Hour+3*time.Second), m.pass(2*time.Second), "set back: half as fast")
	assert.Equal(t, m.wall.Add(2*time.Minute), m.pass(2*time.Minute), "caught up")
	m.wall = m.wall.Add(-25 * time.Hour)
	assert.Equal(t, m.wall.Add(time.Second), m.pass(time.Second), "set back by more than can be waited for")
}

// A user's later event has the later time, however the machine's clock is changed and whether or not the client's clock is right. Only
// when a correction ends, events less than twice MaxSkew apart can change their order.
func TestEventOrderSurvivesClockJumps(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 7))
		hours := func() time.Duration { return time.Duration(random.IntN(7200)-3600) * time.Second }
		m := newMoved()
		client, last := m.wall, time.Time{}
		if seed%2 == 0 {
			client = client.Add(hours())
		}
		var taken string // the timestamp
		h := New(Config{
			Sources: []Source{{ID: "web", WriteKey: "wk"}}, Now: m.now,
			Append: func(_ context.Context, events []Event) error {
				taken = strings.Clone(events[0].Value.Get("timestamp").Str())
				return nil
			},
		})
		for range 100 {
			if random.IntN(8) == 0 {
				m.wall = m.wall.Add(hours())
			}
			d := 2*incoming.MaxSkew + time.Duration(random.IntN(60_000))*time.Millisecond
			client = client.Add(d)
			m.wall, m.passed = m.wall.Add(d), m.passed+d
			r := httptest.NewRequest("POST", "/v1/track", strings.NewReader(fmt.Sprintf(
				`{"userId":"u","event":"A","timestamp":%q,"sentAt":%q}`, incoming.FormatTime(client), incoming.FormatTime(client.Add(time.Second)))))
			r.SetBasicAuth("wk", "")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, 200, w.Code)
			at, ok := event.ParseTime(taken)
			require.True(t, ok)
			require.False(t, at.Before(last), "seed %d: %s before %s", seed, at, last)
			last = at
		}
	}
}
