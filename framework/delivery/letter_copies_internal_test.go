package delivery

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/fault"
)

// heldLog deletes no dead letter before the task of a second delivery has loaded it.
type heldLog struct {
	eventlog.Log
	delivered atomic.Int32  // deliveries that have succeeded
	loaded    chan struct{} // closed when a dead letter was loaded after the second one
	once      sync.Once
}

func (l *heldLog) Delete(ctx context.Context, stream string, seq uint64) error {
	select {
	case <-l.loaded:
	case <-ctx.Done():
		return ctx.Err()
	}
	return l.Log.Delete(ctx, stream, seq)
}

func (l *heldLog) Last(ctx context.Context, stream, subject string) (eventlog.Message, error) {
	m, err := l.Log.Last(ctx, stream, subject)
	if err == nil && (stream == parkStream || stream == deadStream) && l.delivered.Load() == 2 {
		l.once.Do(func() { close(l.loaded) })
	}
	return m, err
}

// A dead letter and its event are replayed. The second task is finished with the dead letter before the first one has deleted it. It is taken
// out of the counts once.
func TestLetterThatIsReplayedTwiceIsCountedOnce(t *testing.T) {
	for _, parked := range []bool{true, false} {
		log := &heldLog{Log: memlog.New(memlog.Options{}).Connect(), loaded: make(chan struct{})}
		q, err := Open(t.Context(), Config{Partitions: 1, store: log})
		require.NoError(t, err)
		var working atomic.Bool
		r, err := NewRunner(t.Context(), q, Settings{Linger: time.Millisecond, RetryFor: time.Millisecond, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
		require.NoError(t, err)
		require.NoError(t, r.SetInstances(t.Context(), []Instance{answeringInstance(t, func() error {
			switch {
			case working.Load():
				log.delivered.Add(1)
				return nil
			case parked:
				return fault.FromStatus(500, "not now")
			}
			return fault.FromStatus(400, "never")
		})}))
		counts := func() map[string]int64 { return r.Status()[0].Counts }
		name := countDead
		if parked {
			name = countParked
		}
		require.NoError(t, q.Append(t.Context(), []NewEvent{{Source: "web", Key: "u:u", Raw: []byte(`{"type":"track","userId":"u"}`)}}))
		require.Eventually(t, func() bool { return counts()[name] == 1 }, time.Minute, time.Millisecond)
		working.Store(true)
		_, err = q.ReplayDeadLetters(t.Context(), DeadLetterFilter{})
		require.NoError(t, err)
		n, err := q.Replay(t.Context(), ReplayRequest{Instance: "main"})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Eventually(t, func() bool { return counts()[countReplayed] == 1 && counts()[countDelivered] >= 2 }, time.Minute, time.Millisecond)
		assert.EqualValues(t, 0, counts()[name], "%v", counts())
		assert.EqualValues(t, 2, counts()[countDelivered], "%v", counts())
		r.Stop(context.WithoutCancel(t.Context()))
		q.Close()
	}
}

// TestReplaysOfEventsWithoutLetters checks that replayed events which have no dead letter do not hold up those of their partition that have one.
func TestReplaysOfEventsWithoutLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int32
		q, r := deliverTo(t, Settings{}, answeringInstance(t, func() error {
			if sent.Add(1)%2 == 1 {
				return fault.FromStatus(400, "never")
			}
			return nil
		}))
		for _, user := range []string{"a", "b", "c", "d"} {
			appendEvent(t, q, user)
		}
		counts := func() []int64 {
			time.Sleep(time.Minute)
			c := r.Status()[0].Counts
			return []int64{c[countReplayed], c[countDelivered], c[countDead]}
		}
		require.Equal(t, []int64{0, 2, 2}, counts())
		for round := int64(1); round <= 3; round++ {
			n, err := q.Replay(t.Context(), ReplayRequest{Instance: "main"})
			require.NoError(t, err)
			require.Equal(t, 4, n)
			c := counts()
			require.Equal(t, 4*round, c[0])
			require.Equal(t, 4+4*round, c[1]+c[2])
		}
	})
}

// What is settled is remembered as long as there may be another copy, and no longer.
func TestLetterCopies(t *testing.T) {
	c := newLetterCopies()
	c.beginTask("a")
	c.beginLoad([]string{"a", "b"})
	assert.True(t, c.settle("a", 5))
	assert.False(t, c.settle("a", 5))
	c.endTask("a")
	assert.False(t, c.settle("a", 5), "it is loaded")
	assert.True(t, c.settle("a", 7), "a newer letter")
	c.endLoad([]string{"a", "b"})
	assert.Empty(t, c.bySubject)
	c.setReading(true)
	assert.True(t, c.settle("b", 1))
	assert.False(t, c.settle("b", 1))
	c.setReading(false)
	assert.Empty(t, c.bySubject)
	assert.Empty(t, c.withTask())
}

// TestStoredLetterOfATask checks that a task which finds its dead letter stored under another subject no longer holds up the one that it was
// started for, and that a replay which wrote it before a restart does not count twice.
func TestStoredLetterOfATask(t *testing.T) {
	for _, c := range []struct {
		stored   string
		replays  []string
		held     map[string]bool
		task     string
		verdicts int
	}{
		{"", nil, map[string]bool{"a": true}, "a", 0}, {"a", nil, map[string]bool{"a": true}, "a", 3}, {"b", nil, map[string]bool{}, "", 3},
		{"a", []string{"6-2", "7-2"}, map[string]bool{"a": true}, "a", 2}, {"a", []string{"7-3"}, map[string]bool{"a": true}, "a", 3},
	} {
		p := &partition{letters: newLetterCopies()}
		p.letters.beginTask("a")
		one := &task{partition: p, page: &page{seq: 7}, eventIndex: 2, origin: position{3, 0}, taskOf: "a"}
		var stored *DeadLetter
		if c.stored != "" {
			stored = &DeadLetter{storedSubject: c.stored, verdictCount: 3, Replays: c.replays}
		}
		one.adoptStoredLocked(stored)
		assert.True(t, one.letterLoaded)
		assert.Equal(t, c.held, p.letters.withTask(), c)
		assert.Equal(t, c.task, one.taskOf, c)
		if stored != nil {
			assert.Equal(t, c.verdicts, stored.verdictCount, c)
			assert.Same(t, stored, one.letter)
		}
	}
}
