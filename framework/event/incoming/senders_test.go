package incoming

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// made is an event that one client recorded.
type made struct {
	recorded time.Time // by a correct clock
	received time.Time
	sent     bool // its request says when it was sent
	stamped  bool // it has a timestamp
	future   bool // which is far in the future
	placed   time.Time
}

// sendAll sends events in the order of their receipt, as one client with a clock that is ahead, and fills in their corrected times.
func sendAll(t *testing.T, n *Normalizer, ahead time.Duration, events []*made) {
	slices.SortStableFunc(events, func(a, b *made) int { return a.received.Compare(b.received) })
	for _, e := range events {
		body := `{"type":"track","event":"A","userId":"u"`
		client := e.recorded.Add(ahead)
		if e.future {
			body += `,"timestamp":"2099-01-01T00:00:00Z"`
		} else if e.stamped {
			body += fmt.Sprintf(`,"timestamp":%q`, client.Format(time.RFC3339Nano))
		}
		if e.sent {
			body += fmt.Sprintf(`,"sentAt":%q`, client.Format(time.RFC3339Nano))
		}
		got, err := n.ForRequest(Request{Source: "web", Address: "127.0.0.1", Received: e.received}).Normalize(event.MustParse(body + "}"))
		require.NoError(t, err)
		at, err := event.ReadTime(got.Value.Get("timestamp"))
		require.NoError(t, err)
		e.placed = at
		require.False(t, at.After(e.received.Add(DefaultMaxFuture)), "%s is received at %s", body, e.received)
	}
}

// TestOneClientsOrderHolds checks that an event that a client recorded later gets the later time, regardless of its clock, of delays and
// of the order of arrival.
func TestOneClientsOrderHolds(t *testing.T) {
	for seed := range uint64(3000) {
		random := rand.New(rand.NewPCG(seed, 1))
		ahead := time.Duration(0)
		switch seed % 4 {
		case 1:
			ahead = time.Duration(random.IntN(7200)-3600) * time.Second
		case 2:
			ahead = time.Duration(random.IntN(400)-200) * 24 * time.Hour
		case 3:
			ahead = time.Duration(random.IntN(60_000)-30_000) * time.Millisecond
		}
		var events []*made
		now := noon
		for range 2 + random.IntN(30) {
			now = now.Add(time.Duration(1+random.IntN(8000)) * time.Millisecond)
			delay := time.Duration(random.IntN(200)) * time.Millisecond
			if random.IntN(4) == 0 {
				delay = time.Duration(random.IntN(120_000)) * time.Millisecond // stalled
			}
			events = append(events, &made{recorded: now, received: now.Add(delay), sent: true, stamped: random.IntN(5) > 0})
		}
		sendAll(t, New(0), ahead, events)
		// The newest event in the order of receipt; for equal times, the later arrival.
		winner := events[0]
		for _, e := range events {
			if !e.placed.Before(winner.placed) {
				winner = e
			}
		}
		for _, e := range events {
			require.False(t, e.recorded.After(winner.recorded), "seed %d, clock ahead %s: %s wins over %s", seed, ahead, winner.recorded, e.recorded)
		}
		for _, a := range events {
			for _, b := range events {
				require.False(t, a.recorded.Before(b.recorded) && b.placed.Before(a.placed), "seed %d, clock ahead %s: %s is placed at %s, %s at %s",
					seed, ahead, a.recorded, a.placed, b.recorded, b.placed)
			}
		}
	}
}

// TestAFutureTimeLocksNothing checks that a wrong time affects only its own event.
func TestAFutureTimeLocksNothing(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 2))
		ahead := time.Duration(random.IntN(7200)-3600) * time.Second
		var events []*made
		now := noon
		for range 2 + random.IntN(10) {
			now = now.Add(time.Duration(1+random.IntN(8000)) * time.Millisecond)
			events = append(events, &made{recorded: now, received: now.Add(50 * time.Millisecond), sent: true, stamped: true, future: random.IntN(3) == 0})
		}
		sendAll(t, New(0), ahead, events)
		for i, e := range events {
			assert.False(t, e.placed.After(e.received.Add(MaxSkew)), "seed %d: it lies after its receipt", seed)
			assert.False(t, i > 0 && e.placed.Before(events[i-1].placed), "seed %d: event %d", seed, i)
		}
	}
}

func TestStalledRequests(t *testing.T) {
	for name, c := range map[string]struct {
		ahead  time.Duration
		events []*made
	}{
		"the exit arrives first": {0, []*made{
			{recorded: noon, received: noon.Add(20 * time.Second), sent: true, stamped: true},
			{recorded: noon.Add(5 * time.Second), received: noon.Add(5 * time.Second), sent: true, stamped: true},
		}},
		"the client waits for the stalled request": {0, []*made{
			{recorded: noon, received: noon.Add(20 * time.Second), sent: true, stamped: true},
			{recorded: noon.Add(5 * time.Second), received: noon.Add(20*time.Second + 1), sent: true, stamped: true},
		}},
		"a clock that is ahead": {time.Hour, []*made{
			{recorded: noon, received: noon.Add(20 * time.Second), sent: true, stamped: true},
			{recorded: noon.Add(5 * time.Second), received: noon.Add(5 * time.Second), sent: true, stamped: true},
		}},
		"the stalled one has no timestamp": {0, []*made{
			{recorded: noon, received: noon.Add(20 * time.Second), sent: true},
			{recorded: noon.Add(5 * time.Second), received: noon.Add(5 * time.Second), sent: true, stamped: true},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := c.events[0], c.events[1]
			sendAll(t, New(0), c.ahead, slices.Clone(c.events))
			assert.True(t, first.placed.Before(second.placed), "%s, %s", first.placed, second.placed)
			assert.False(t, second.placed.After(second.received.Add(time.Second)), second.placed)
		})
	}
}

// TestAClockThatIsSetIsFollowed checks that a changed clock is detected: at once if the change is large, otherwise after enough requests
// contradict the old estimate.
func TestAClockThatIsSetIsFollowed(t *testing.T) {
	for _, set := range []time.Duration{time.Hour, 2 * time.Minute, -2 * time.Minute, -time.Hour} {
		s, received, client := sender{}, noon, noon
		for range 100 {
			received, client = received.Add(20*time.Second), client.Add(20*time.Second)
			s.observe(received, received.Sub(client))
		}
		client = client.Add(set)
		for range 100 {
			received, client = received.Add(20*time.Second), client.Add(20*time.Second)
			s.observe(received, received.Sub(client))
		}
		assert.Equal(t, -set, s.skew, set)
		assert.Equal(t, received, s.correctTime(received, client, client), set)
	}
}

// TestSlowRequestsAmongOthersChangeNothing checks that requests that take longer than others, however many, are no changed clock.
func TestSlowRequestsAmongOthersChangeNothing(t *testing.T) {
	s, received := sender{}, noon
	for i := range 200 {
		received = received.Add(20 * time.Second)
		delay := 50 * time.Millisecond
		if i%3 != 0 {
			delay = time.Minute
		}
		s.observe(received, delay)
	}
	assert.Equal(t, 50*time.Millisecond, s.skew)
}

func TestSendersAreBounded(t *testing.T) {
	s := newSenders()
	for key := range uint64(3*maxSenders + 10) {
		s.correctTime(key, noon, noon, noon)
	}
	assert.LessOrEqual(t, len(s.current)+len(s.previous), 2*maxSenders)
	s.correctTime(7, noon, noon.Add(-time.Hour), noon.Add(-time.Hour)) // dropped and learned again
	s.correctTime(8, noon, noon.Add(-time.Hour), noon.Add(-time.Hour))
	assert.Equal(t, time.Hour, s.current[7].skew)
	for i := range 3 * maxSteps {
		s.current[7].lowerSkew(-time.Duration(i) * time.Minute)
	}
	assert.LessOrEqual(t, len(s.current[7].steps), maxSteps)
}

// TestAClockThatIsSetRightKeepsTheOrder checks a device that starts with a clock of 1970 and then learns the time: its later events stay
// after the earlier ones, and none of them counts as later than its receipt by more than maxSqueeze.
func TestAClockThatIsSetRightKeepsTheOrder(t *testing.T) {
	for _, behind := range []time.Duration{11 * time.Second, time.Hour, 40 * 24 * time.Hour, 56 * 365 * 24 * time.Hour} {
		n, last := New(0), time.Time{}
		for i := range 20 {
			received := noon.Add(time.Duration(i) * time.Second)
			client := received
			if i < 10 {
				client = received.Add(-behind)
			}
			e := &made{recorded: client, received: received, sent: true, stamped: true}
			sendAll(t, n, 0, []*made{e})
			assert.True(t, e.placed.After(last), "%s behind, event %d: %s is not after %s", behind, i, e.placed, last)
			assert.False(t, e.placed.After(received.Add(maxSqueeze)), "%s behind, event %d: %s is received at %s", behind, i, e.placed, received)
			last = e.placed
		}
	}
}

// TestASentAtThatIsNotOfTheClock checks that a sentAt that cannot be from the clock of the timestamps, such as a constant, neither moves events nor
// freezes them: a user whose client sends it can always be decided again.
func TestASentAtThatIsNotOfTheClock(t *testing.T) {
	for _, sent := range []time.Time{time.Unix(0, 0), noon.AddDate(0, 0, -14), noon.Add(-20 * time.Minute), noon.AddDate(73, 0, 0), noon.AddDate(-200, 0, 0)} {
		s := newSenders()
		for i := range 5 {
			at := noon.Add(time.Duration(i) * 4 * time.Second)
			assert.Equal(t, at, s.correctTime(1, at.Add(time.Second), sent, at), "%s, event %d", sent, i)
		}
		assert.Empty(t, s.current, "nothing is learned from %s", sent)
	}
}

// TestTimesOfARightClockAmongThoseOfAWrongOne checks events without sentAt that come from another clock than the others of the sender.
func TestTimesOfARightClockAmongThoseOfAWrongOne(t *testing.T) {
	for _, ahead := range []time.Duration{3 * time.Hour, 10 * 365 * 24 * time.Hour, -3 * time.Hour, -10 * 365 * 24 * time.Hour} {
		s := newSenders()
		assert.Equal(t, noon, s.correctTime(1, noon, noon.Add(ahead), noon.Add(ahead)), ahead)
		later := noon.Add(4 * time.Second)
		assert.Equal(t, later, s.correctTime(1, later.Add(time.Second), time.Time{}, later), ahead)
		assert.Equal(t, later, s.correctTime(1, later.Add(time.Second), time.Time{}, later.Add(ahead)), "%s: the wrong clock", ahead)
	}
	s := newSenders()
	s.correctTime(1, noon, noon.Add(-5*time.Minute), noon.Add(-5*time.Minute))
	assert.Equal(t, noon, s.correctTime(1, noon, time.Time{}, noon.Add(-5*time.Minute)), "a clock that is wrong by minutes is corrected")
}
