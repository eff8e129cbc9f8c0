package delivery

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/internal/diskspace"
)

// TestUnfinishedEventsOfThisProcess checks which pages this process keeps: those from the first unfinished one of an instance on, and all
// while it is not known what an instance has finished.
func TestUnfinishedEventsOfThisProcess(t *testing.T) {
	log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
	r, _ := newIdleRunner(t, log, 2, Settings{}, Instance{Plan: accepts(t).Plan, Sources: []string{"web"}})
	for i := range 10 {
		subject := []string{"ev.web.0", "ev.web.1", "ev.app.0", "ev.app.1", "ctl.main.0"}[i%5]
		_, err := log.Append(t.Context(), eventsStream, []eventlog.Write{{Subject: subject, Data: []byte("{}")}})
		require.NoError(t, err)
	}
	_, err := r.FinishedBefore(t.Context())
	require.Error(t, err, "no instances were set")
	r.started = true
	know := func(n int, cp checkpoint, revision uint64) {
		r.leases.recordWrite(eventlog.Write{Subject: checkpointSubject("main", n), Data: cp.toMessage("", 0).Data}, revision)
	}
	know(1, checkpoint{Low: 3}, 1)
	for i, c := range []struct{ low, want uint64 }{{0, 0}, {1, 1}, {2, 5}, {5, 5}, {6, 6}, {7, 7}, {8, 7}, {99, 7}} {
		if c.low > 0 {
			know(0, checkpoint{Low: c.low}, uint64(i+2))
		}
		low, err := r.FinishedBefore(t.Context())
		require.NoError(t, err)
		assert.Equal(t, c.want, low, c.low)
	}
	know(1, checkpoint{Low: 99}, 99)
	low, err := r.FinishedBefore(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 11, low, "all are finished")
	r.leases.recordWrite(eventlog.Write{Subject: "proc.other", Data: []byte(memberAlive)}, 1)
	r.leases.recordWrite(eventlog.Write{Subject: "book.theirs.1", Data: checkpoint{Owner: "other", Low: 4}.toMessage("", 0).Data}, 1)
	low, err = r.FinishedBefore(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 4, low, "another process may deliver the events of all sources")
	r.setMu.Lock()
	_, err = r.FinishedBefore(t.Context())
	r.setMu.Unlock()
	assert.ErrorContains(t, err, "being replaced")
}

// TestTrimsThatCannotBeRecorded checks that nothing is deleted on a cluster if it cannot be recorded, since the others would count it as
// lost. A process with a log of its own remembers it, because the deletion may free the space that is missing.
func TestTrimsThatCannotBeRecorded(t *testing.T) {
	for _, shared := range []bool{false, true} {
		log := &failingLog{Log: memlog.New(memlog.Options{Shared: shared}).Connect()}
		q, err := Open(t.Context(), Config{Partitions: 1}.On(log))
		require.NoError(t, err)
		for range 5 {
			require.NoError(t, q.Append(t.Context(), []NewEvent{{Source: "web", Key: "u", Raw: []byte("{}")}}))
		}
		log.arm(1)
		err = q.purgeEvents(t.Context(), 4)
		log.arm(0)
		assert.Equal(t, shared, errors.Is(err, errLogFails))
		info, err := log.Info(t.Context(), eventsStream)
		require.NoError(t, err)
		assert.EqualValues(t, map[bool]int{false: 4, true: 1}[shared], info.FirstSeq)
		require.NoError(t, q.monitor.checkLog(t.Context()))
		assert.Empty(t, q.Problems())
		require.NoError(t, q.purgeEvents(t.Context(), 3))
		assert.EqualValues(t, map[bool]int{false: 3, true: 2}[shared], q.monitor.state.Trimmed, "it does not go back")
		q.Close()
	}
}

// TestDeletionsOnAShortDisk checks that finished events are deleted while the disk is short, that it is tried again after a while if there
// are none, and that nothing is deleted if the disk is filling too fast.
func TestDeletionsOnAShortDisk(t *testing.T) {
	r := newTrimmer(t, Config{Retention: 1000 * time.Hour})
	free, _, err := diskspace.Of(t.TempDir())
	require.NoError(t, err)
	q, log := r.queue, r.queue.store
	left := func() uint64 {
		r.trimShortDisk(t.Context())
		info, err := log.Info(t.Context(), eventsStream)
		require.NoError(t, err)
		return info.Messages
	}
	r.addEvents(t, 4, 10)
	assert.EqualValues(t, 4, left(), "there is no disk")
	q.store, q.config.Dir = diskLog{log.(*memlog.Log), t.TempDir()}, t.TempDir()
	defer func() { q.store = log }()
	q.config.MinFreeBytes = 1
	r.limits.lastFreeBytes = 0
	assert.EqualValues(t, 4, left(), "it is not short")
	q.config.MinFreeBytes = free * 2
	r.limits.lastFreeBytes = 1 << 60
	assert.EqualValues(t, 4, left(), "another process fills it")
	assert.Zero(t, r.limits.lastFruitlessTrim)
	assert.Zero(t, left())
	fruitless := r.limits.lastFruitlessTrim
	assert.WithinDuration(t, time.Now(), fruitless, time.Minute)
	q.store = log
	r.addEvents(t, 4, 10)
	q.store = diskLog{log.(*memlog.Log), q.config.Dir}
	r.limits.lastFruitlessTrim = time.Now()
	assert.EqualValues(t, 4, left(), "there was nothing a moment ago")
	r.limits.lastFruitlessTrim = time.Now().Add(-trimRetryDelay)
	assert.Zero(t, left())
}

// TestParkedEventsAreMeasured checks that the size of the parked events is measured, and that the last one stands if it cannot be.
func TestParkedEventsAreMeasured(t *testing.T) {
	log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
	r, _ := newIdleRunner(t, log, 1, Settings{MaxParkedBytes: 100}, accepts(t))
	r.measureParked(t.Context())
	assert.False(t, r.isParkingFull())
	storeLetter(t, r.queue, DeadLetter{Seq: 1, Key: "k", Parked: true}, kindHeld)
	log.arm(1)
	r.measureParked(t.Context())
	assert.False(t, r.isParkingFull())
	r.measureParked(t.Context())
	assert.True(t, r.isParkingFull())
	assert.Greater(t, r.limits.parkedBytes, uint64(100))
}

// TestDeadLettersExpire checks which dead letters are deleted: those that are too old, and the oldest beyond the limit of their size, by one process.
func TestDeadLettersExpire(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	log := &failingLog{Log: memlog.New(memlog.Options{Shared: true, Now: func() time.Time { return now }}).Connect()}
	r, _ := newIdleRunner(t, log, 1, Settings{DeadLetterRetention: 10 * time.Hour, MaxDeadLetterBytes: 1 << 40}, accepts(t))
	expired := func(bound string) float64 {
		var m dto.Metric
		require.NoError(t, r.metrics.expired.WithLabelValues(bound).(prometheus.Metric).Write(&m))
		return m.GetCounter().GetValue()
	}
	left := func() (seqs []uint64) {
		require.NoError(t, r.queue.DeadLetters(t.Context(), DeadLetterFilter{}, func(l *DeadLetter) error { seqs = append(seqs, l.Seq); return nil }))
		slices.Sort(seqs)
		return seqs
	}
	now = time.Now().Add(1000 * time.Hour) // the clock is ahead
	storeLetter(t, r.queue, DeadLetter{Seq: 99}, "")
	begin := time.Now().Add(-20 * time.Hour)
	for seq := range uint64(20) {
		now = begin.Add(time.Duration(seq)*time.Hour + time.Minute)
		storeLetter(t, r.queue, DeadLetter{Seq: seq, Event: bytes.Repeat([]byte("x"), 100)}, "")
	}
	now = time.Now()
	require.NoError(t, r.leases.sendHeartbeat(t.Context(), "me", memberAlive))
	require.NoError(t, r.leases.sendHeartbeat(t.Context(), "first", memberAlive))
	require.NoError(t, r.expireDeadLetters(t.Context()))
	assert.Len(t, left(), 21, "another process does that")
	require.NoError(t, r.leases.sendHeartbeat(t.Context(), "first", memberLeft))
	require.NoError(t, r.expireDeadLetters(t.Context()))
	assert.Equal(t, []uint64{10, 11, 12, 13, 14, 15, 16, 17, 18, 19}, left())
	assert.Equal(t, []float64{11, 0}, []float64{expired("age"), expired("size")})
	assert.Equal(t, "age", r.limits.nearLimit)

	info, err := log.Info(t.Context(), deadStream)
	require.NoError(t, err)
	r.settings.MaxDeadLetterBytes = int64(info.Bytes)
	require.NoError(t, r.expireDeadLetters(t.Context()))
	assert.Len(t, left(), 10, "exactly the limit")
	r.settings.MaxDeadLetterBytes = int64(info.Bytes) - 1
	require.NoError(t, r.expireDeadLetters(t.Context()))
	rest := left()
	assert.Equal(t, uint64(19), rest[len(rest)-1], "the newest stay")
	assert.True(t, len(rest) >= 8 && len(rest) < 10, "%d are left: about a tenth less than the limit", len(rest))
	assert.EqualValues(t, 10-len(rest), expired("size"))
	r.settings.MaxDeadLetterBytes = 1
	require.NoError(t, r.expireDeadLetters(t.Context()))
	assert.Empty(t, left())
	assert.EqualValues(t, 10, expired("size"))
	require.NoError(t, r.expireDeadLetters(t.Context()))
	assert.Empty(t, r.limits.nearLimit)
}

// TestReplaysNeedSpace checks that nothing is replayed while the disk is short.
func TestReplaysNeedSpace(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	require.NoError(t, q.Append(t.Context(), []NewEvent{{Source: "web", Key: "u", Raw: []byte("{}x")}}))
	log := q.store
	q.store, q.config.MinFreeBytes = diskLog{log.(*memlog.Log), q.config.Dir}, 1<<60
	_, err := q.Replay(t.Context(), ReplayRequest{Instance: "i"})
	q.store = log
	assert.ErrorIs(t, err, ErrFull)
	assert.Empty(t, commandsOf(t, q, "i"))
}

// TestCopiesOfPagesOfAWrongClock checks that a rewritten page which was stored while the clock was ahead is deleted once its copy is too old, and lets
// those behind it be deleted.
func TestCopiesOfPagesOfAWrongClock(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1, Retention: time.Nanosecond})
	require.NoError(t, q.store.Prepare(t.Context(), []eventlog.StreamConfig{rewrittenConfig()}))
	for seq, ahead := range map[uint64]time.Duration{1: 90_000 * time.Hour, 2: -time.Hour} {
		page := eventlog.Message{Subject: "ev.web.0", Sequence: seq, Time: time.Now().Add(ahead)}
		_, err := q.store.Append(t.Context(), rewrittenStream, []eventlog.Write{rewrittenWrite(page, []byte("{}"))})
		require.NoError(t, err)
	}
	q.monitor.mu.Lock()
	q.monitor.state.Trimmed = 2
	q.monitor.mu.Unlock()
	require.NoError(t, q.trimRewritten(t.Context()))
	pages, err := q.rewrittenPages(t.Context())
	require.NoError(t, err)
	assert.Empty(t, pages)
}

// TestPagesAreTrimmedWithTheirCopies checks which rewritten pages are deleted: those that are before all pages of the log and too old,
// unless a backup is being made.
func TestPagesAreTrimmedWithTheirCopies(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1, Retention: time.Hour})
	require.NoError(t, q.store.Prepare(t.Context(), []eventlog.StreamConfig{rewrittenConfig()}))
	for seq, age := range map[uint64]time.Duration{3: 3 * time.Hour, 5: 2 * time.Hour, 7: time.Hour + time.Minute, 8: time.Hour - time.Minute, 9: 0} {
		page := eventlog.Message{Subject: "ev.web.0", Sequence: seq, Time: time.Now().Add(-age)}
		_, err := q.store.Append(t.Context(), rewrittenStream, []eventlog.Write{rewrittenWrite(page, []byte("{}"))})
		require.NoError(t, err)
	}
	for _, c := range []struct {
		trimmed uint64
		held    bool
		want    []uint64
	}{{2, false, []uint64{3, 5, 7, 8, 9}}, {9, true, []uint64{3, 5, 7, 8, 9}}, {5, false, []uint64{7, 8, 9}}, {20, false, []uint64{8, 9}}} {
		hold := time.Duration(0)
		if c.held {
			hold = time.Hour
		}
		require.NoError(t, q.holdTrimming(t.Context(), hold))
		q.monitor.state.Trimmed = c.trimmed
		require.NoError(t, q.trimRewritten(t.Context()))
		pages, err := q.rewrittenPages(t.Context())
		require.NoError(t, err)
		assert.Equal(t, c.want, pages, c)
	}
	require.NoError(t, q.endRestoredHold(t.Context()))
	assert.False(t, q.monitor.isOnHold())
	require.NoError(t, q.holdTrimming(t.Context(), time.Hour))
	assert.True(t, q.monitor.isOnHold())
	require.NoError(t, q.endRestoredHold(t.Context()))
	assert.False(t, q.monitor.isOnHold(), "the hold of a backup does not last in the queue that was restored from it")
}

// TestErrorsOfVisitors checks that the error of a function which visits the log is reported, whether the page is in the log or was
// rewritten, and that it visits no more pages than it wants.
func TestErrorsOfVisitors(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	for range 4 {
		require.NoError(t, q.Append(t.Context(), []NewEvent{{Source: "web", Key: "u", Raw: []byte("{}x")}}))
	}
	require.NoError(t, q.store.Prepare(t.Context(), []eventlog.StreamConfig{rewrittenConfig()}))
	for _, seq := range []uint64{1, 3} {
		m, err := q.store.Get(t.Context(), eventsStream, seq)
		require.NoError(t, err)
		_, err = q.store.Append(t.Context(), rewrittenStream, []eventlog.Write{rewrittenWrite(m, m.Data)})
		require.NoError(t, err)
		require.NoError(t, q.store.Delete(t.Context(), eventsStream, seq))
	}
	for _, fails := range []bool{false, true} {
		for last := uint64(1); last <= 4; last++ {
			var seen []uint64
			err := q.scanEvents(t.Context(), eventlog.Query{Filters: []string{"ev.>"}}, func(m eventlog.Message) (bool, error) {
				if seen = append(seen, m.Sequence); m.Sequence == last && fails {
					return true, errLogFails
				}
				return m.Sequence < last, nil
			})
			assert.Equal(t, fails, errors.Is(err, errLogFails), last)
			assert.Equal(t, []uint64{1, 2, 3, 4}[:last], seen)
		}
	}
}

// TestRewrittenPagesThatCannotBeRead checks that a copy without the place of its page is an error.
func TestRewrittenPagesThatCannotBeRead(t *testing.T) {
	page := eventlog.Message{Subject: "ev.web.3", Sequence: 7, Time: time.Unix(1000, 5).UTC(), Header: map[string]string{"A": "b"}}
	w := rewrittenWrite(page, []byte("{}"))
	got, err := parseRewritten(eventlog.Message{Subject: w.Subject, Header: w.Header, Data: w.Data})
	require.NoError(t, err)
	page.Data = []byte("{}")
	assert.Equal(t, page, got)
	assert.Equal(t, map[string]string{"A": "b"}, page.Header, "the page's header is not changed")
	for name, m := range map[string]eventlog.Message{
		"no sequence": {Subject: "page.x", Header: w.Header}, "no time": {Subject: w.Subject, Header: map[string]string{pageSubjectHeader: "ev.web.3"}}, "no subject": {Subject: w.Subject, Header: map[string]string{pageTimeHeader: w.Header[pageTimeHeader]}},
		"a short subject": {Subject: w.Subject, Header: map[string]string{pageSubjectHeader: "ev.web", pageTimeHeader: w.Header[pageTimeHeader]}},
	} {
		_, err := parseRewritten(m)
		assert.Error(t, err, name)
	}
}

// TestLettersThatCannotBeWritten checks that a dead letter is written again until that works, and that its event is finished then and not
// before. A partition that is released gives up, and the event is read again.
func TestLettersThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
		r, w := newIdleRunner(t, log, 1, Settings{}, refusingInstance(t))
		p := w.own(0, checkpoint{Low: 1})
		state := func() []any {
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			return []any{p.pendingWrites, p.taskCount, p.counts[countDead]}
		}
		log.failAppend.Store(true)
		p.addTasks(t, "u:a", 1, 0, false)
		time.Sleep(10 * time.Second)
		assert.Equal(t, []any{1, 1, int64(0)}, state())
		log.failAppend.Store(false)
		time.Sleep(time.Second)
		assert.Equal(t, []any{0, 0, int64(1)}, state())
		assert.Len(t, lettersOf(t, r.queue, DeadLetterFilter{}), 1)

		log.failAppend.Store(true)
		p.addTasks(t, "u:b", 1, 0, false)
		time.Sleep(500 * time.Millisecond)
		assert.Equal(t, []any{1, 1, int64(1)}, state())
		w.mu.Lock()
		p.closing = true
		w.mu.Unlock()
		time.Sleep(time.Second)
		assert.Equal(t, []any{0, 1, int64(1)}, state(), "it is not tried again")
	})
}
