package incoming_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/incoming"
)

// TestTimesOfOneClientNeverGoBack sends the events of one client whose clock is wrong by a constant, often by about the tolerance, in the
// order of their recording, with and without sentAt, to the server and through a file. A later event never counts as the older one,
// although requests take longer or shorter, and no event counts as later than its receipt and the tolerance.
func TestTimesOfOneClientNeverGoBack(t *testing.T) {
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 9))
		maxFuture := []time.Duration{time.Second, incoming.DefaultMaxFuture, time.Hour}[random.IntN(3)]
		ahead := maxFuture + time.Duration(random.IntN(4000)-2000)*time.Millisecond
		if random.IntN(4) == 0 {
			ahead = time.Duration(random.IntN(1_000_000)-500_000) * time.Second
		}
		sentAhead := ahead // of the clock that sentAt is read from: some servers take it from another one
		if random.IntN(3) == 0 {
			sentAhead = 0
		}
		says := random.IntN(2) == 0
		normalizer := incoming.New(maxFuture)
		recorded, received := noon, noon
		var served, completed time.Time
		for range 30 {
			recorded = recorded.Add(time.Duration(1+random.IntN(3000)) * time.Millisecond)
			if at := recorded.Add(time.Duration(random.IntN(1500)) * time.Millisecond); at.After(received) {
				received = at
			}
			text := fmt.Sprintf(`{"type":"track","event":"A","userId":"u","timestamp":%q`, incoming.FormatTime(recorded.Add(ahead)))
			if says {
				text += fmt.Sprintf(`,"sentAt":%q`, incoming.FormatTime(recorded.Add(sentAhead)))
			}
			e := parse(t, text+"}")
			made, err := normalizer.ForRequest(incoming.Request{Source: "web", Received: received}).Normalize(e.Value())
			require.NoError(t, err)
			served = requireLater(t, seed, made.Value, served, received.Add(maxFuture))
			completed = requireLater(t, seed, incoming.Complete(e, received, maxFuture).Value(), completed, received.Add(maxFuture))
		}
	}
}

// requireLater checks that the time of an event is neither before last nor after latest, and returns it.
func requireLater(t *testing.T, seed uint64, v event.Value, last, latest time.Time) time.Time {
	at, err := event.ReadTime(v.Get("timestamp"))
	require.NoError(t, err)
	require.False(t, at.Before(last), "seed %d: %s counts as before %s", seed, v.JSON(), last)
	require.False(t, at.After(latest), "seed %d: %s counts as after %s", seed, v.JSON(), latest)
	return at
}
