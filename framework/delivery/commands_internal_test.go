package delivery

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// storeLetter stores a dead letter of the instance main with an event of a user, and returns its sequence.
func storeLetter(t *testing.T, q *Queue, l DeadLetter, kind string) uint64 {
	t.Helper()
	l.Instance, l.Subscription = "main", "all"
	l.setID()
	text := fmt.Sprintf(`{"id":%q,"instance":"main","subscription":"all","parked":%t,"key":%q,"reason":"r","seq":%d,"index":%d,"verdicts":%d,"event":{"type":"track","userId":"a","pad":%q}}`,
		l.ID, l.Parked, l.Key, l.Seq, l.Index, l.Verdicts, l.Event)
	seq, err := q.store.Append(t.Context(), l.streamName(), []eventlog.Write{{Subject: l.subjectFor(kind), Data: []byte(text)}})
	require.NoError(t, err)
	return seq
}

func positionsOf(letters []*DeadLetter) (list []position) {
	for _, l := range letters {
		list = append(list, position{l.Seq, l.Index})
	}
	return list
}

// TestLettersOfACommand checks which dead letters a command reads: those of its instance and partition, in the order of their events, without
// those that are being delivered already.
func TestLettersOfACommand(t *testing.T) {
	log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
	r, w := newIdleRunner(t, log, 2, Settings{}, accepts(t))
	p := w.own(0, checkpoint{})
	q := r.queue
	second := storeLetter(t, q, DeadLetter{Seq: 9, Index: 1}, "")
	first := storeLetter(t, q, DeadLetter{Seq: 9}, "")
	sent := storeLetter(t, q, DeadLetter{Seq: 4}, "")
	elsewhere := storeLetter(t, q, DeadLetter{Seq: 1, partition: 1}, "")
	others, err := log.Append(t.Context(), deadStream, []eventlog.Write{{Subject: "dead.other.0.1-0-x", Data: []byte(`{"instance":"other","event":{}}`)}})
	require.NoError(t, err)
	p.letters.beginTask((&DeadLetter{Instance: "main", Subscription: "all", Seq: 4}).subjectFor(""))
	dead := command{DeadLetters: []uint64{second, 99, others, elsewhere, sent, first}}
	letters, err := p.collectLetters(opReplayDead, dead)
	require.NoError(t, err)
	assert.Equal(t, []position{{9, 0}, {9, 1}}, positionsOf(letters))
	none, err := p.collectLetters(opUnpark, command{DeadLetters: dead.DeadLetters})
	require.NoError(t, err)
	assert.Empty(t, none, "another command has no dead letters")

	for _, seq := range []uint64{8, 5} {
		storeLetter(t, q, DeadLetter{Seq: seq, Key: "k", Parked: true}, kindHeld)
	}
	storeLetter(t, q, DeadLetter{Seq: 5, Key: "k", Parked: true}, kindEvicted) // the newer one of the event
	storeLetter(t, q, DeadLetter{Seq: 6, Key: "other", Parked: true}, kindHeld)
	key := shortHash("k")
	p.parked.park(key, kindHeld)
	p.parked.park(shortHash("other"), kindHeld)
	letters, err = p.collectLetters(opUnpark, command{Keys: []string{key}})
	require.NoError(t, err)
	assert.Equal(t, []position{{5, 0}, {8, 0}}, positionsOf(letters))
	assert.Contains(t, letters[0].storedSubject, kindEvicted)
	assert.Empty(t, p.parked.kind(key))
	assert.Equal(t, kindHeld, p.parked.kind(shortHash("other")))

	for call := 1; call <= 3; call++ { // of a dead letter, of the parked ones, and of the end of that
		log.arm(call)
		_, err = p.collectLetters(opReplayDead, command{DeadLetters: []uint64{first}, Keys: []string{key}})
		assert.ErrorIs(t, err, errLogFails)
	}
	log.arm(0)
	p.cancel()
	_, err = p.collectLetters(opUnpark, command{})
	assert.ErrorIs(t, err, context.Canceled)
}

// TestDroppedLetters checks that a command drops the dead letters of events that were accepted before it, counts them, and delivers
// those of later ones.
func TestDroppedLetters(t *testing.T) {
	log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
	r, w := newIdleRunner(t, log, 1, Settings{}, accepts(t))
	p := w.own(0, checkpoint{Counts: map[string]int64{countParked: 10}})
	for seq := uint64(3); seq <= 6; seq++ {
		storeLetter(t, r.queue, DeadLetter{Seq: seq, Key: "k", Parked: true, Verdicts: int(seq) - 2}, kindHeld)
	}
	later, err := p.lettersOf(opDrop, command{Keys: []string{shortHash("k")}}, 5)
	require.NoError(t, err)
	assert.Equal(t, []position{{6, 0}}, positionsOf(later))
	assert.Equal(t, map[string]int64{countParked: 4, countDropped: 6}, p.counts)
	assert.True(t, p.dirty)
	left, err := p.lettersOf(opUnpark, command{Keys: []string{shortHash("k")}}, 5)
	require.NoError(t, err)
	assert.Equal(t, []position{{6, 0}}, positionsOf(left), "the others are deleted")
	log.arm(3)
	_, err = p.lettersOf(opDrop, command{Keys: []string{shortHash("k")}}, 7)
	assert.ErrorIs(t, err, errLogFails)
	assert.EqualValues(t, 6, p.counts[countDropped])
	log.arm(0)
	for seq, m := range map[uint64]eventlog.Message{
		11: {Data: []byte(`{"keys":`), Header: map[string]string{opHeader: opUnpark}}, 12: {Data: []byte(`{"keys":["k"]}`), Header: map[string]string{opHeader: "later"}},
	} {
		p.nextPage, m.Sequence = seq, seq
		require.NoError(t, p.applyCommand(m), "a command that cannot be read holds up nothing")
		assert.Equal(t, seq+1, p.nextPage)
	}
	assert.False(t, p.applyingCommand)
	assert.Empty(t, p.openPages)
	log.arm(1)
	assert.ErrorIs(t, p.applyCommand(eventlog.Message{Data: []byte(`{"keys":["k"]}`), Header: map[string]string{opHeader: opUnpark}}), errLogFails)
	assert.Equal(t, []bool{false, false}, []bool{p.applyingCommand, p.letters.reading})
}

// TestTasksOfLetters checks the task of a dead letter that is replayed: it is mapped with the current subscriptions, unless these or the
// event do not allow it.
func TestTasksOfLetters(t *testing.T) {
	suppressed := func(v event.Value) bool { return v.Get("userId").Str() == "gone" }
	mapped := 0
	_, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{Suppressed: suppressed, beforeMapping: func(event.Event) { mapped++ }}, accepts(t))
	p, pg := w.own(0, checkpoint{}), &page{holdsLetters: true}
	for name, c := range map[string]struct {
		subscription, event string
		stopped             bool
		cause               fault.Cause
		outcome             runtime.Outcome
	}{
		"it can be sent":                                 {"all", `{"type":"track","userId":"a"}`, false, "", ""},
		"its subscription is removed":                    {"old", `{"type":"track"}`, false, fault.CauseSubscriptionRemoved, ""},
		"it is removed, and the event cannot be read":    {"old", `{`, false, fault.CauseInvalidEvent, ""},
		"the event cannot be read":                       {"all", `{`, false, fault.CauseInvalidEvent, ""},
		"it has stopped the process":                     {"all", `{"type":"track"}`, true, fault.CauseProcessCrashed, runtime.Refused},
		"it has, and its subscription is removed":        {"old", `{"type":"track"}`, true, fault.CauseSubscriptionRemoved, ""},
		"its user is suppressed":                         {"all", `{"type":"track","userId":"gone"}`, false, fault.CauseSuppressed, runtime.Skipped},
		"its user is suppressed, and this is a deletion": {"all", `{"type":"delete","userId":"gone"}`, false, fault.CauseNotSubscribed, runtime.Skipped},
	} {
		mapped = 0
		l := &DeadLetter{Subscription: c.subscription, Event: []byte(c.event), Key: "u:a", Source: "web", storedSubject: "s"}
		one := p.newLetterTask(l, pg, 3, c.stopped)
		assert.Equal(t, []any{"u:a", "web", 3, len(c.event), "s"}, []any{one.key, one.source, one.eventIndex, one.bytes, one.taskOf}, name)
		assert.Equal(t, c.subscription, one.item.Subscription.Name(), name)
		assert.Equal(t, map[bool]int{true: 1}[c.subscription == "all" && !c.stopped && c.event != "{"], mapped, name)
		if c.cause == "" {
			assert.Nil(t, one.refusal, name)
			continue
		}
		if assert.NotNil(t, one.refusal, name) {
			assert.Equal(t, []any{c.cause, c.outcome}, []any{one.refusal.Cause, one.refusal.Outcome}, name)
		}
	}
}

// unreliableLetters is a log of which a call on the dead letters fails a number of times.
type unreliableLetters struct {
	*memlog.Log
	call  string
	fails atomic.Int32
}

func (l *unreliableLetters) failure(call, stream string) error {
	if call == l.call && stream == deadStream && l.fails.Add(-1) >= 0 {
		return errLogFails
	}
	return nil
}

func (l *unreliableLetters) Get(ctx context.Context, stream string, seq uint64) (eventlog.Message, error) {
	if err := l.failure("Get", stream); err != nil {
		return eventlog.Message{}, err
	}
	return l.Log.Get(ctx, stream, seq)
}

func (l *unreliableLetters) Last(ctx context.Context, stream, subject string) (eventlog.Message, error) {
	if err := l.failure("Last", stream); err != nil {
		return eventlog.Message{}, err
	}
	return l.Log.Last(ctx, stream, subject)
}

func (l *unreliableLetters) Delete(ctx context.Context, stream string, seq uint64) error {
	if err := l.failure("Delete", stream); err != nil {
		return err
	}
	return l.Log.Delete(ctx, stream, seq)
}

// TestReplaysOnAnUnreliableLog checks that a dead letter, or its event, is replayed once, counted once and then deleted, however often the log
// fails meanwhile, and that a later event of the user waits for a command whose dead letters cannot be read.
func TestReplaysOnAnUnreliableLog(t *testing.T) {
	replayLetters := func(t *testing.T, q *Queue) (int, error) {
		return q.ReplayDeadLetters(t.Context(), DeadLetterFilter{})
	}
	replayEvents := func(t *testing.T, q *Queue) (int, error) {
		return q.Replay(t.Context(), ReplayRequest{Instance: "main"})
	}
	for name, c := range map[string]struct {
		call      string
		replay    func(t *testing.T, q *Queue) (int, error)
		atOnce    int64 // verdicts that are known at once
		delivered int64 // the event, its replay if the dead letter is not replayed itself, and a later event
	}{
		"the letters of a command cannot be read": {"Get", replayLetters, 0, 2}, "a letter cannot be deleted": {"Delete", replayLetters, 1, 2},
		"the letter of an event cannot be found": {"Last", replayEvents, 1, 3}, "the letter of an event cannot be deleted": {"Delete", replayEvents, 1, 3},
	} {
		synctest.Test(t, func(t *testing.T) {
			log := &unreliableLetters{Log: memlog.New(memlog.Options{}).Connect(), call: c.call}
			var sent atomic.Int32
			q, r := deliverOn(t, log, Settings{}, answeringInstance(t, func() error {
				if sent.Add(1) == 1 {
					return fault.FromStatus(400, "never")
				}
				return nil
			}))
			appendEvent(t, q, "a")
			counts := func() map[string]int64 { return r.Status()[0].Counts }
			require.Equal(t, int64(1), counts()[countDead], name)
			log.fails.Store(5)
			n, err := c.replay(t, q)
			require.NoError(t, err, name)
			require.Equal(t, 1, n, name)
			require.NoError(t, q.Append(t.Context(), []NewEvent{eventOf("a", 1)}))
			time.Sleep(3 * time.Second)
			assert.Equal(t, c.atOnce, counts()[countDelivered], name)
			time.Sleep(10 * time.Second)
			assert.Equal(t, []int64{c.delivered, 0}, []int64{counts()[countDelivered], counts()[countDead]}, name)
			assert.Empty(t, lettersOf(t, q, DeadLetterFilter{}), name)
			assert.EqualValues(t, 3, sent.Load(), name)
		})
	}
}

// TestTheNewestOfTwoLetters checks that of two dead letters of an event the newer one is used, and the other one deleted, also if the log fails
// at first.
func TestTheNewestOfTwoLetters(t *testing.T) {
	log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
	r, w := newIdleRunner(t, log, 1, Settings{}, accepts(t))
	p, key := w.own(0, checkpoint{}), shortHash("k")
	for name, read := range map[string]func() ([]*DeadLetter, error){
		"of a command": func() ([]*DeadLetter, error) { return p.collectLetters(opUnpark, command{Keys: []string{key}}) },
		"of a portion": func() ([]*DeadLetter, error) { letters, _, err := p.readPortion(key, 10); return letters, err },
	} {
		for _, kinds := range [][2]string{{kindHeld, kindEvicted}, {kindEvicted, kindHeld}} {
			require.NoError(t, log.PurgeSubjects(t.Context(), parkStream, ">"))
			for _, kind := range kinds {
				storeLetter(t, r.queue, DeadLetter{Seq: 5, Key: "k", Parked: true}, kind)
			}
			storeLetter(t, r.queue, DeadLetter{Seq: 6, Key: "k", Parked: true}, kindHeld)
			failed := map[string]bool{}
			for failAt := 1; ; failAt++ {
				log.arm(failAt)
				letters, err := read()
				_, call := log.arm(0)
				if err == nil {
					require.Len(t, letters, 2, name)
					assert.Contains(t, letters[0].storedSubject, kinds[1], name)
					break
				}
				require.ErrorIs(t, err, errLogFails)
				failed[call] = true
			}
			assert.True(t, failed["Delete "+parkStream], name)
			assert.Len(t, lettersOf(t, r.queue, DeadLetterFilter{}), 2, name)
		}
	}
}

// TestManyLettersAreReplayed checks that each of many dead letters of a command is delivered, counted and deleted once, however they are divided.
func TestManyLettersAreReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int32
		q, r := deliverTo(t, Settings{MaxInFlight: 50}, answeringInstance(t, func() error { sent.Add(1); return nil }))
		const letters = 2*maxHandedLetters + 3
		for seq := range uint64(letters) {
			storeLetter(t, q, DeadLetter{Seq: seq + 1, Key: fmt.Sprint("u:", seq%7)}, "")
		}
		n, err := q.ReplayDeadLetters(t.Context(), DeadLetterFilter{})
		require.NoError(t, err)
		require.Equal(t, letters, n)
		time.Sleep(time.Minute)
		synctest.Wait() // the maintenance begins a round at the same moment
		assert.EqualValues(t, letters, sent.Load())
		assert.Empty(t, lettersOf(t, q, DeadLetterFilter{}))
		p := r.workers["main"].partitions[0]
		assert.Equal(t, []any{int64(0), 0, 0, 0}, []any{p.counts[countEvents], p.taskCount, len(p.openPages), len(p.letters.bySubject)})
		assert.EqualValues(t, letters, p.counts[countDelivered])
		assert.EqualValues(t, -letters, p.counts[countDead], "which nothing has counted before")
	})
}
