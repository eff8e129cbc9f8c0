package delivery

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
)

// TestEventsAtPositions checks which positions of the log have an event, and what is said of it: commands have none, and a replayed event
// has the source that sent it first.
func TestEventsAtPositions(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 8})
	for _, w := range []eventlog.Write{
		{Subject: "ev.a=2Eb.3", Data: []byte("{\"n\":1}\n{}      \n{\"n\":3}\n")},
		{Subject: "ctl.main.2", Data: []byte("{\"n\":4}\n"), Header: map[string]string{opHeader: opReplayEvents, sourceHeader: "web", originsHeader: "1:2-2"}},
		{Subject: "ctl.main.2", Data: []byte(`{"keys":["k"]}`), Header: map[string]string{opHeader: opDrop}},
		{Subject: "ev.odd", Data: []byte("{}")},
	} {
		_, err := q.store.Append(t.Context(), eventsStream, []eventlog.Write{w})
		require.NoError(t, err)
	}
	for _, c := range []struct {
		seq       uint64
		index     int
		raw       string
		source    string
		partition int
	}{{1, 0, `{"n":1}`, "a.b", 3}, {1, 2, `{"n":3}`, "a.b", 3}, {2, 0, `{"n":4}`, "web", 2}} {
		e, err := q.Event(t.Context(), c.seq, c.index)
		require.NoError(t, err)
		assert.Equal(t, []any{c.seq, c.index, c.raw, c.source, c.partition}, []any{e.Seq, e.Index, string(e.Raw), e.Source, e.Partition})
	}
	for _, at := range [][2]int{{0, 0}, {1, -1}, {1, 1}, {1, 3}, {2, 1}, {3, 0}, {4, 0}, {5, 0}} {
		_, err := q.Event(t.Context(), uint64(at[0]), at[1])
		assert.ErrorIs(t, err, ErrEventNotFound, at)
	}
	found, err := q.Find(t.Context(), FindRequest{Match: func(line []byte) bool { return strings.Contains(string(line), "n") }, Limit: 9, MaxBytes: 1 << 20})
	require.NoError(t, err)
	require.Len(t, found.Events, 3)
	for i, want := range []StoredEvent{{Seq: 2, Source: "web", Partition: 2, Replay: "main", Original: EventSource{1, 2}}, {Seq: 1, Index: 2, Source: "a.b", Partition: 3}, {Seq: 1, Source: "a.b", Partition: 3}} {
		got := found.Events[i]
		got.Raw, got.At = nil, time.Time{}
		assert.Equal(t, want, got)
	}
	var stored []string
	require.NoError(t, q.EachStored(t.Context(), func(raw []byte) { stored = append(stored, string(raw)) }))
	assert.Equal(t, []string{`{"n":1}`, `{"n":3}`, `{"n":4}`}, stored[:3], "neither commands nor what is erased")
}

// TestLatestEventsOfAUser checks that the events of a user are found by both kinds of ids, also if these are written with escapes, and no others.
func TestLatestEventsOfAUser(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 16})
	add := func(key string, raw ...string) {
		_, err := q.store.Append(t.Context(), eventsStream, []eventlog.Write{{Subject: partitionSubject("ev", "web", q.partitionOf(key)), Data: []byte(strings.Join(raw, "\n") + "\n")}})
		require.NoError(t, err)
	}
	add("u:ann", `{"n":1,"userId":"ann"}`, `{}                    `, `{"n":2,"userId":"other"}`, `{"n":3,"userId":"\u0061nn"}`, `ann, which is no JSON`)
	add("a:ann", `{"n":4,"anonymousId":"ann"}`, `{"n":5,"anonymousId":"ann","userId":"other"}`)
	add("u:other", `{"n":6,"userId":"other","name":"ann"}`)
	list, whole, err := q.Latest(t.Context(), "ann", 10)
	require.NoError(t, err)
	assert.True(t, whole)
	var positions []string
	for _, e := range list {
		assert.Equal(t, "web", e.Source)
		positions = append(positions, fmt.Sprint(e.Seq, "-", e.Index))
	}
	assert.Equal(t, []string{"2-0", "1-3", "1-0"}, positions)
	all, _, err := q.Latest(t.Context(), "", 10)
	require.NoError(t, err)
	assert.Len(t, all, 7, "all but the one that is erased")
	assert.Len(t, q.userSubjects("ann"), 2)
	one := &Queue{partitions: 1}
	assert.Equal(t, []string{"ev.*.0"}, one.userSubjects("ann"), "filters must not overlap")
}

// TestProgressOfEvents checks what is said of an event from the checkpoint of its partition.
func TestProgressOfEvents(t *testing.T) {
	p := Progress{map[int]storedCheckpoint{2: {checkpoint: checkpoint{Start: 3, Low: 6, Done: [][2]uint64{{8, 8}}, Partial: map[string]string{"7": "Ag"}}}}}
	for _, c := range []struct {
		partition int
		seq       uint64
		index     int
		want      EventProgress
	}{{2, 2, 0, EventBefore}, {2, 3, 0, EventFinished}, {2, 5, 0, EventFinished}, {2, 6, 0, EventWaiting}, {2, 7, 0, EventWaiting}, {2, 7, 1, EventFinished}, {2, 8, 5, EventFinished}, {2, 9, 0, EventWaiting}, {1, 4, 0, EventWaiting}} {
		assert.Equal(t, c.want, p.Of(&StoredEvent{Partition: c.partition, Seq: c.seq, Index: c.index}), c)
	}
}

// TestWaitingEventsAreCounted checks how many events of an instance wait, up to a limit, and that only the chosen instances are read.
func TestWaitingEventsAreCounted(t *testing.T) {
	log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
	q, err := Open(t.Context(), Config{Partitions: 2}.On(log))
	require.NoError(t, err)
	defer q.Close()
	for seq := range 6 {
		_, err := q.store.Append(t.Context(), eventsStream, []eventlog.Write{{Subject: fmt.Sprintf("ev.web.%d", seq%2), Data: []byte("{}\n{}\n{}\n")}})
		require.NoError(t, err)
	}
	c := storedCheckpoint{partition: 0, checkpoint: checkpoint{Low: 2, Partial: map[string]string{"3": "BA"}}} // pages 3 and 5, of which one event is finished
	for limit, want := range map[int]int{-1: 0, 0: 0, 1: 1, 3: 3, 4: 4, 5: 5, 6: 5, 100: 5} {
		n, err := q.countWaiting(t.Context(), c, limit)
		require.NoError(t, err)
		assert.Equal(t, want, n, limit)
	}
	c.checkpoint.Done = [][2]uint64{{5, 5}}
	n, err := q.countWaiting(t.Context(), c, 100)
	require.NoError(t, err)
	assert.Equal(t, 2, n)
	leases := newLeases(q, time.Minute)
	for _, id := range []string{"a.b", "c"} {
		for n := range 2 {
			_, err := leases.writeCheckpoint(t.Context(), "", checkpointSubject(id, n), 0, checkpoint{Low: uint64(3 + 2*n)})
			require.NoError(t, err)
		}
	}
	require.NoError(t, q.dead.publishRecords(t.Context(), []record{{"dead.a=2Eb.0.1-0-x", []byte("{}")}, {"dead.c.0.1-0-x", []byte("{}")}, {"dead.c.0.2-0-x", []byte("{}")}}))
	require.NoError(t, q.parked.publishRecords(t.Context(), []record{{"park.a=2Eb.0.k.held.1-0-x", []byte("{}")}}))
	list, err := q.Backlogs(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, []Backlog{{"a.b", 9, 1, 1}, {"c", 9, 0, 2}}, list, "two pages of the first partition and one of the second")
	log.arm(0)
	list, err = q.Backlogs(t.Context(), func(id string) bool { return id == "c" })
	require.NoError(t, err)
	assert.Equal(t, []Backlog{{"c", 9, 0, 2}}, list)
	letters, err := q.CountDeadLetters(t.Context(), "a.b")
	require.NoError(t, err)
	assert.Equal(t, 2, letters)
}

// TestInstancesInUseAreNotMoved checks that a runner neither renames nor forgets an instance that it delivers to, and that the process
// knows afterwards what was moved, also many dead letters.
func TestInstancesInUseAreNotMoved(t *testing.T) {
	log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
	r, w := newIdleRunner(t, log, 2, Settings{}, accepts(t))
	for n := range 2 {
		_, err := r.leases.writeCheckpoint(t.Context(), "", checkpointSubject("main", n), 0, checkpoint{Low: uint64(n + 5)})
		require.NoError(t, err)
	}
	const letters = maxCommandItems + 1
	for seq := range uint64(letters) {
		storeLetter(t, r.queue, DeadLetter{Seq: seq}, "")
	}
	storeLetter(t, r.queue, DeadLetter{Seq: 1, Key: "k", Parked: true}, kindHeld)
	_, err := r.RenameInstance(t.Context(), "main", "new")
	assert.ErrorContains(t, err, "still delivered to")
	_, err = r.ForgetInstance(t.Context(), "main")
	assert.ErrorContains(t, err, "still delivered to")
	delete(r.workers, "main")
	moved, err := r.RenameInstance(t.Context(), "main", "new")
	require.NoError(t, err)
	assert.Equal(t, MoveResult{Checkpoints: 2, DeadLetters: letters + 1}, moved)
	for n := range 2 {
		_, ok := r.leases.latestOf(checkpointSubject("main", n))
		assert.False(t, ok)
		s, ok := r.leases.latestOf(checkpointSubject("new", n))
		assert.True(t, ok)
		assert.EqualValues(t, n+5, parseCheckpoint(s.data).Low)
		stored, err := log.Last(t.Context(), checkpointsStream, checkpointSubject("new", n))
		require.NoError(t, err)
		assert.Equal(t, stored.Sequence, s.revision)
	}
	require.NoError(t, r.queue.DeadLetters(t.Context(), DeadLetterFilter{}, func(l *DeadLetter) error {
		assert.Equal(t, "new", l.Instance)
		return nil
	}))
	left, err := r.queue.CountDeadLetters(t.Context(), "main")
	require.NoError(t, err)
	assert.Zero(t, left)
	calls := 0
	for failAt := 1; failAt < 20; failAt++ {
		log.arm(failAt)
		if err := r.reloadCheckpoints(t.Context(), "new"); err == nil {
			break
		}
		calls++
	}
	assert.Equal(t, 3, calls)
	for name, move := range map[string]func() error{
		"forget": func() error { _, err := r.ForgetInstance(t.Context(), "none"); return err },
		"rename": func() error { _, err := r.RenameInstance(t.Context(), "none", "either"); return err },
	} {
		calls = 0
		for failAt := 1; failAt < 20; failAt++ {
			log.arm(failAt)
			if err := move(); err == nil {
				break
			} else if assert.ErrorIs(t, err, errLogFails, name) {
				calls++
			}
		}
		assert.GreaterOrEqual(t, calls, 6, name)
	}
	log.arm(0)
	moved, err = r.ForgetInstance(t.Context(), "new")
	require.NoError(t, err)
	assert.Equal(t, MoveResult{Checkpoints: 2, DeadLetters: letters + 1}, moved)
	_, ok := r.leases.latestOf(checkpointSubject("new", 0))
	assert.False(t, ok)
	list, err := r.queue.Backlogs(t.Context(), nil)
	require.NoError(t, err)
	assert.Empty(t, list)
	r.workers["main"] = w
}

// TestSubjectsOfLetters checks that a dead letter whose subject has no partition is an error and not one of partition 0.
func TestSubjectsOfLetters(t *testing.T) {
	l, err := parseDeadLetter(eventlog.Message{Subject: "dead.i.7.1-0-x", Sequence: 4, Data: []byte("{\"id\":\"old\"}\n{\"id\":\"a\",\"verdicts\":3}\n")})
	require.NoError(t, err)
	assert.Equal(t, []any{"a", 7, uint64(4), 3, "dead.i.7.1-0-x"}, []any{l.ID, l.partition, l.storedSeq, l.verdictCount, l.storedSubject}, "the last line counts")
	l, err = parseDeadLetter(eventlog.Message{Subject: "dead.i.0.1-0-x", Data: []byte("{}")})
	require.NoError(t, err)
	assert.Equal(t, 1, l.verdictCount, "its own")
	for subject, data := range map[string]string{"dead.i": "{}", "dead.i.x.1": "{}", "dead.i.0.1": "{", "dead": "{}"} {
		_, err := parseDeadLetter(eventlog.Message{Subject: subject, Data: []byte(data)})
		assert.Error(t, err, subject)
	}
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	require.NoError(t, q.dead.publishRecords(t.Context(), []record{{"dead.i.0.1-0-x", []byte("{")}}))
	assert.ErrorContains(t, q.DeadLetters(t.Context(), DeadLetterFilter{}, func(*DeadLetter) error { return errors.New("visited") }), "reading a dead letter")
}
