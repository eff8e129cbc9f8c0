package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
)

// TestGroupsOfATransfer checks how many groups are transferred at once, what is known when they are in the log, and what stays if they are not.
func TestGroupsOfATransfer(t *testing.T) {
	q := &Queue{config: Config{Log: slog.New(slog.DiscardHandler)}}
	add := func(j *journal, sizes ...int) {
		for i, size := range sizes {
			j.add(journalGroup{seq: uint64(i + 1), bytes: size})
		}
	}
	open := func() *journal {
		return &journal{queue: q, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), moved: make(chan struct{})}
	}
	for _, c := range []struct {
		sizes []int
		want  int
	}{{nil, 0}, {[]int{1, 2, 3}, 3}, {[]int{transferBytes - 1, 1, 1}, 2}, {[]int{transferBytes, 1}, 1}, {[]int{transferBytes + 5, 1}, 1}, {[]int{1, transferBytes}, 1}} {
		j := open()
		add(j, c.sizes...)
		groups, closed := j.nextGroups()
		assert.Len(t, groups, c.want, c)
		assert.False(t, closed)
		assert.Equal(t, len(groups), cap(groups), "what is added later does not overwrite what is transferred")
	}
	j := open()
	assert.True(t, j.isEmpty())
	add(j, 100, hurriedBytes-101)
	assert.Equal(t, []int{1, 0}, []int{len(j.wake), len(j.hurry)})
	add(j, 1)
	assert.Equal(t, 1, len(j.hurry), "so much is transferred at once")
	assert.Equal(t, hurriedBytes, j.waitingBytes())
	groups, _ := j.nextGroups()
	groups = groups[:2]
	moved, failure := j.moved, errors.New("the log is slow")
	j.noteResult(groups, failure)
	assert.Equal(t, []any{failure, 3, hurriedBytes, uint64(0), 0}, []any{j.failure, len(j.waiting), j.bytes, j.transferred, j.unpurged})
	<-moved
	moved = j.moved
	j.noteResult(groups, nil)
	assert.Equal(t, []any{nil, 1, 1, uint64(2), hurriedBytes - 1}, []any{j.failure, len(j.waiting), j.bytes, j.transferred, j.unpurged})
	<-moved
	j.noteResult(j.waiting, nil)
	assert.Nil(t, j.waiting)
	assert.True(t, j.isEmpty())

	assert.NotNil(t, keptBuffer(make([]byte, 1, 2*transferBytes)))
	assert.Nil(t, keptBuffer(make([]byte, 1, 2*transferBytes+1)), "it is much larger than most need")
}

// TestTheJournalIsPurged checks when the journal deletes what is in the log: when it is idle, all of it, and while it is busy, all but the
// latest group when there is much.
func TestTheJournalIsPurged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
		q, err := Open(t.Context(), Config{Partitions: 1}.On(log))
		require.NoError(t, err)
		defer q.Close()
		require.NoError(t, q.store.Prepare(t.Context(), []eventlog.StreamConfig{{Name: journalStream, Subjects: []string{"journal.>"}}}))
		j := &journal{queue: q, hurry: make(chan struct{}, 1), transferred: 2}
		left := func() uint64 {
			info, err := q.store.Info(t.Context(), journalStream)
			require.NoError(t, err)
			return info.Messages
		}
		write := func() {
			_, err := q.appendMessage(t.Context(), journalStream, eventlog.Write{Subject: journalSubject})
			require.NoError(t, err)
		}
		for range 3 {
			write()
		}
		j.packed = make([]byte, 9)
		j.purgeIfIdle()
		assert.EqualValues(t, 3, left(), "nothing is to be purged")
		assert.Nil(t, j.packed)
		j.unpurged, j.usedAt = 10, time.Now()
		time.Sleep(journalIdle - 1)
		j.purgeIfIdle()
		assert.EqualValues(t, 3, left(), "it was used lately")
		time.Sleep(time.Nanosecond)
		log.arm(1)
		j.purgeIfIdle()
		assert.Equal(t, []any{uint64(3), 10}, []any{left(), j.unpurged}, "it is tried again")
		log.arm(0)
		j.purgeIfIdle()
		assert.Equal(t, []any{uint64(1), 0}, []any{left(), j.unpurged}, "the third group is not transferred")

		for range 2 {
			write()
		}
		j.transferred, j.unpurged = 5, maxJournaled-1
		j.pauseAfter(time.Now(), nil)
		assert.EqualValues(t, 3, left())
		assert.Equal(t, time.Now().Add(-transferInterval), j.usedAt)
		j.unpurged = maxJournaled
		j.pauseAfter(time.Now(), nil)
		assert.EqualValues(t, 1, left(), "the latest group stays")
		began := time.Now()
		notify(j.hurry)
		j.pauseAfter(began, nil)
		assert.Zero(t, time.Since(began), "more waits already")
		j.pauseAfter(began, errLogFails)
		assert.Equal(t, transferRetry, time.Since(began))
	})
}

// TestTheJournalOfAnEarlierProcess checks which groups are transferred after a start: those behind the last one that the log says it has.
// It looks back as far as the journal goes, and a little further, as the clock may have been set.
func TestTheJournalOfAnEarlierProcess(t *testing.T) {
	for name, c := range map[string]struct {
		known   string        // the group that the log says it has
		age     time.Duration // of that message, before the journal's first
		removed bool          // a message after it was deleted
		want    []string
		bytes   int
		sent    int // bytes to purge
	}{
		"nothing is known":              {want: []string{"a", "b", "c"}, bytes: 3},
		"the first":                     {known: "a", want: []string{"b", "c"}, bytes: 2, sent: 1},
		"the first, and pages are gone": {known: "a", removed: true, want: []string{"b", "c"}, bytes: 2, sent: 1},
		"all":                           {known: "c", sent: 3},
		"another":                       {known: "x", want: []string{"a", "b", "c"}, bytes: 3},
		"one that is nearly too old":    {known: "b", age: clockTolerance, want: []string{"c"}, bytes: 1, sent: 2},
		"one that is too old to be one": {known: "b", age: clockTolerance + 1, want: []string{"a", "b", "c"}, bytes: 3},
	} {
		q, now := newMemoryQueue(t, Config{Partitions: 1})
		require.NoError(t, q.store.Prepare(t.Context(), []eventlog.StreamConfig{{Name: journalStream, Subjects: []string{"journal.>"}}}))
		j := &journal{queue: q}
		require.NoError(t, j.recoverGroups(t.Context()))
		assert.Empty(t, j.waiting)
		begin := now.read()
		write := func(stream, subject, id string) {
			_, err := q.appendMessage(t.Context(), stream, eventlog.Write{Subject: subject, Header: map[string]string{journalHeader: id}, Data: []byte("x")})
			require.NoError(t, err)
		}
		now.set(begin.Add(-c.age))
		write(eventsStream, "ev.web.0", "before")
		if c.known != "" {
			write(eventsStream, "ev.web.0", c.known)
		}
		write(eventsStream, "ev.web.0", "")
		write(eventsStream, "ev.web.0", "")
		if c.removed {
			require.NoError(t, q.store.Delete(t.Context(), eventsStream, 3))
		}
		now.set(begin)
		for _, id := range []string{"a", "b", "c"} {
			write(journalStream, journalSubject, id)
		}
		require.NoError(t, j.recoverGroups(t.Context()))
		var ids []string
		for _, g := range j.waiting {
			ids = append(ids, g.id)
		}
		assert.Equal(t, c.want, ids, name)
		assert.Equal(t, []int{c.bytes, c.sent}, []int{j.bytes, j.unpurged}, name)
		assert.EqualValues(t, []uint64{3, uint64(c.sent)}, []uint64{j.written, j.transferred}, name)
	}
}

// TestAnswersToTransfersThatAreLost checks that a transfer counts as successful if the log says that it has the last group, and as failed otherwise.
func TestAnswersToTransfersThatAreLost(t *testing.T) {
	q, log := openFaulty(t, memlog.New(memlog.Options{}))
	defer q.Close()
	j := &journal{queue: q}
	groups := []journalGroup{{id: "g1", records: []record{{"ev.a.1", []byte("1")}}}, {id: "g2", records: []record{{"ev.b.2", []byte("2")}, {"ev.a.1", []byte("3")}}}}
	require.NoError(t, j.transfer(groups))
	var data []string
	require.NoError(t, q.store.Scan(t.Context(), eventsStream, eventlog.Query{Filters: []string{">"}}, func(m eventlog.Message) (bool, error) {
		data = append(data, m.Subject+" "+string(bytes.ReplaceAll(m.Data, []byte("\n"), []byte(",")))+" "+m.Header[journalHeader])
		return true, nil
	}))
	assert.Equal(t, []string{"ev.a.1 1,3, ", "ev.b.2 2, g2"}, data)
	log.failWith(func(string, []eventlog.Write) (before, after error) { return errInjected, nil })
	assert.NoError(t, j.transfer(groups), "it was written before")
	groups[1].id = "g3"
	assert.ErrorIs(t, j.transfer(groups), errInjected)
	log.failWith(func(string, []eventlog.Write) (before, after error) { return nil, errInjected })
	assert.NoError(t, j.transfer(groups), "only the answer was lost")
	groups[1].id = "g4"
	log.failWith(func(string, []eventlog.Write) (before, after error) { return ErrFull, nil })
	assert.ErrorIs(t, j.transfer(groups), ErrFull)
	log.failWith(func(string, []eventlog.Write) (before, after error) { return nil, nil })
}

// TestWaysIntoTheLog checks which events go to the log directly, and which through the journal: that takes few events of several
// partitions, and all while it has some or a write to it has failed.
func TestWaysIntoTheLog(t *testing.T) {
	small := []byte("{}")
	page := make([]byte, pageBytes-2)
	for name, c := range map[string]struct {
		records  []record
		waiting  bool // events are in the journal
		unsure   bool // the last write to it has failed
		journals bool
	}{
		"one event":                   {records: []record{{"ev.a.1", small}}},
		"two of a partition":          {records: []record{{"ev.a.1", small}, {"ev.a.1", small}}},
		"two of two partitions":       {records: []record{{"ev.a.1", small}, {"ev.a.2", small}}, journals: true},
		"one, while others wait":      {records: []record{{"ev.a.1", small}}, waiting: true, journals: true},
		"one, after a failure":        {records: []record{{"ev.a.1", small}}, unsure: true, journals: true},
		"nearly a page":               {records: []record{{"ev.a.1", page}, {"ev.a.1", small[:1]}}},
		"a page":                      {records: []record{{"ev.a.1", page}, {"ev.a.1", small}}, journals: true},
		"many bytes":                  {records: []record{{"ev.a.1", make([]byte, hurriedBytes-1)}, {"ev.a.2", small[:1]}}},
		"nearly as many bytes":        {records: []record{{"ev.a.1", make([]byte, hurriedBytes-2)}, {"ev.a.2", small[:1]}}, journals: true},
		"many bytes, after a failure": {records: []record{{"ev.a.1", make([]byte, hurriedBytes)}}, unsure: true, journals: true},
	} {
		log := &batchLog{Log: memlog.New(memlog.Options{}).Connect()}
		q := &Queue{config: Config{Log: slog.New(slog.DiscardHandler)}, store: log}
		require.NoError(t, log.Prepare(t.Context(), []eventlog.StreamConfig{{Name: eventsStream, Subjects: []string{"ev.>"}}, {Name: journalStream, Subjects: []string{"journal.>"}}, {Name: deadStream, Subjects: []string{"dead.>"}}}))
		q.journal = &journal{queue: q, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), uncertain: c.unsure}
		if c.waiting {
			q.journal.bytes = 1
		}
		p := &publisher{queue: q, stream: eventsStream}
		half := len(c.records) / 2
		require.NoError(t, p.writeGroup([]*writeRequest{{records: c.records[:half], bytes: sizeOf(c.records[:half])}, {records: c.records[half:], bytes: sizeOf(c.records[half:])}}), name)
		for stream, want := range map[string]bool{journalStream: c.journals, eventsStream: !c.journals} {
			info, err := log.Info(t.Context(), stream)
			require.NoError(t, err)
			assert.Equal(t, want, info.Messages > 0, "%s: %s", name, stream)
		}
		letters := &publisher{queue: q, stream: deadStream}
		require.NoError(t, letters.writeGroup([]*writeRequest{{records: []record{{"dead.i.0.1", small}, {"dead.i.0.2", small}}}}), name)
		info, err := log.Info(t.Context(), deadStream)
		require.NoError(t, err)
		assert.EqualValues(t, 2, info.Messages, "letters have no journal")
	}
}

func sizeOf(records []record) (size int) {
	for _, r := range records {
		size += len(r.line)
	}
	return size
}

// TestGroupsOfRequests checks which requests are written together, that no more wait than allowed, and that each is answered once.
func TestGroupsOfRequests(t *testing.T) {
	request := func(size int) *writeRequest { return &writeRequest{bytes: size} }
	many := make([]*writeRequest, maxMessages+1)
	for i := range many {
		many[i] = request(1)
	}
	for _, c := range []struct {
		pending []*writeRequest
		want    int
	}{{nil, 0}, {many[:3], 3}, {many[:maxMessages], maxMessages}, {many, maxMessages}, {[]*writeRequest{request(groupBytes - 1), request(1), request(1)}, 2}, {[]*writeRequest{request(2 * groupBytes), request(1)}, 1}} {
		p := &publisher{}
		for _, r := range c.pending {
			p.pending, p.bytes = append(p.pending, r), p.bytes+r.bytes
		}
		all := p.bytes
		group, closed := p.nextGroup()
		assert.False(t, closed)
		require.Len(t, group, c.want)
		size := 0
		for _, r := range group {
			size += r.bytes
		}
		assert.Equal(t, []int{len(c.pending) - c.want, all - size}, []int{len(p.pending), p.bytes})
		assert.Equal(t, len(p.pending) == 0, p.pending == nil, "an empty list is not kept")
	}

	p := &publisher{wake: make(chan struct{}, 1), done: make(chan struct{})}
	answers := make(chan error, 9)
	submit := func(size int) { p.submit([]record{{"s", make([]byte, size)}}, func(err error) { answers <- err }) }
	submit(maxPending - 1)
	submit(1)
	assert.Empty(t, answers)
	assert.EqualValues(t, maxPending, p.unsavedBytes.Load())
	submit(1)
	err := <-answers
	assert.ErrorIs(t, err, ErrFull)
	assert.ErrorContains(t, err, "too much data is waiting to be written")
	assert.EqualValues(t, maxPending, p.unsavedBytes.Load())
	close(p.done)
	p.close()
	p.bytes = 0
	submit(1)
	assert.ErrorIs(t, <-answers, errClosed)
}

// TestWritesOfAPublisher checks that the callers get the result of their write, or that of their context, and that what is queued is
// written before it is closed.
func TestWritesOfAPublisher(t *testing.T) {
	log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
	q, err := Open(t.Context(), Config{Partitions: 1}.On(log))
	require.NoError(t, err)
	defer q.Close()
	one := func(n int) []record { return []record{{fmt.Sprint("dead.i.0.", n), []byte("{}")}} }
	log.arm(1)
	err = q.dead.publishRecords(t.Context(), one(1))
	require.ErrorIs(t, err, errLogFails)
	assert.ErrorContains(t, err, "writing to DEAD")
	require.NoError(t, q.dead.publishRecords(t.Context(), one(1)))
	assert.Zero(t, q.dead.unsavedBytes.Load())
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	held := &publisher{wake: make(chan struct{}, 1)}
	assert.ErrorIs(t, held.publishRecords(ended, one(1)), context.Canceled)
	answered := make(chan error, 99)
	for n := range 50 {
		q.dead.submit(one(n), func(err error) { answered <- err })
	}
	q.dead.close()
	require.Len(t, answered, 50)
	for range 50 {
		assert.NoError(t, <-answered)
	}
	info, err := q.store.Info(t.Context(), deadStream)
	require.NoError(t, err)
	assert.EqualValues(t, 50, info.Messages)
	q.dead = newPublisher(q, deadStream)
}
