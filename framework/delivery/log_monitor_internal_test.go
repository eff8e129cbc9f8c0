package delivery

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
)

// TestLostPagesAreFound deletes pages behind the queue's back. They are recorded and logged once, and again only by another process, until
// an operator acknowledges them.
func TestLostPagesAreFound(t *testing.T) {
	var logged bytes.Buffer
	store := memlog.New(memlog.Options{})
	open := func() *Queue {
		q, err := Open(t.Context(), Config{Partitions: 1, Log: slog.New(slog.NewTextHandler(&logged, nil))}.On(store.Connect()))
		require.NoError(t, err)
		return q
	}
	q := open()
	for range 9 {
		require.NoError(t, q.Append(t.Context(), []NewEvent{{Source: "web", Key: "u", Raw: []byte(`{}`)}}))
	}
	require.NoError(t, q.monitor.checkLog(t.Context()))
	assert.Empty(t, q.Problems())
	for _, seq := range []uint64{3, 4, 6} {
		require.NoError(t, q.store.Delete(t.Context(), eventsStream, seq))
	}
	for range 2 {
		require.NoError(t, q.monitor.checkLog(t.Context()))
	}
	d := q.Damage()
	assert.EqualValues(t, 3, d.LostPages)
	assert.Equal(t, [][2]uint64{{3, 4}, {6, 6}}, [][2]uint64{{d.Lost[0].First, d.Lost[0].Last}, {d.Lost[1].First, d.Lost[1].Last}})
	assert.Equal(t, 2, strings.Count(logged.String(), "level=ERROR"))
	require.Len(t, q.Problems(), 1)
	assert.Equal(t, "3 pages of the log are lost, in 2 ranges from 3 to 6: the events there were accepted and cannot be delivered", q.Problems()[0].What)
	require.NoError(t, q.store.PurgeBefore(t.Context(), eventsStream, 3))
	require.NoError(t, q.monitor.checkLog(t.Context()))
	assert.EqualValues(t, 5, q.Damage().LostPages, "the first two are gone without having been trimmed")
	q.Close()
	logged.Reset()
	q = open()
	defer q.Close()
	assert.Equal(t, 3, strings.Count(logged.String(), "level=ERROR"))
	_, err := q.RepairCheckpoints(t.Context(), RepairOptions{DryRun: true, AcceptLoss: true})
	require.NoError(t, err)
	assert.Len(t, q.Problems(), 1, "a dry run changes nothing")
	_, err = q.RepairCheckpoints(t.Context(), RepairOptions{})
	require.NoError(t, err)
	assert.Len(t, q.Problems(), 1)
	q.monitor.state.Damaged = []DamagedFile{{}}
	_, err = q.RepairCheckpoints(t.Context(), RepairOptions{AcceptLoss: true})
	require.NoError(t, err)
	assert.Empty(t, q.Problems())
}

// TestAnInterruptedTrimLosesNothing checks a log that a process has left while it trimmed: NATS marks the last page as deleted before it deletes
// the others.
func TestAnInterruptedTrimLosesNothing(t *testing.T) {
	q, err := Open(t.Context(), Config{Partitions: 1}.On(memlog.New(memlog.Options{}).Connect()))
	require.NoError(t, err)
	defer q.Close()
	for range 9 {
		require.NoError(t, q.Append(t.Context(), []NewEvent{{Source: "web", Key: "u", Raw: []byte(`{}`)}}))
	}
	require.NoError(t, q.monitor.checkLog(t.Context()))
	require.NoError(t, q.monitor.updateState(t.Context(), func(s *logState) { s.Trimmed = 4 }))
	for _, c := range []struct{ deleted, lost uint64 }{{4, 0}, {2, 0}, {5, 1}} {
		require.NoError(t, q.store.Delete(t.Context(), eventsStream, c.deleted))
		require.NoError(t, q.monitor.checkLog(t.Context()))
		assert.Equal(t, c.lost, q.Damage().LostPages, c.deleted)
	}
	assert.EqualValues(t, 5, q.Damage().Lost[0].First)
}

// TestLossesAreNotGuessed lets each call fail while missing pages are looked for: what cannot be read is no loss.
func TestLossesAreNotGuessed(t *testing.T) {
	for name, remove := range map[string]func(q *Queue) error{
		"inside":   func(q *Queue) error { return q.store.Delete(t.Context(), eventsStream, 3) },
		"at start": func(q *Queue) error { return q.store.PurgeBefore(t.Context(), eventsStream, 3) },
	} {
		log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
		q, err := Open(t.Context(), Config{Partitions: 1}.On(log))
		require.NoError(t, err)
		for range 5 {
			require.NoError(t, q.Append(t.Context(), []NewEvent{{Source: "web", Key: "u", Raw: []byte(`{}`)}}))
		}
		require.NoError(t, q.monitor.checkLog(t.Context()))
		require.NoError(t, remove(q))
		calls := 0
		for failAt := 1; failAt < 20; failAt++ {
			log.arm(failAt)
			if err = q.monitor.checkLog(t.Context()); err == nil {
				break
			}
			calls++
			require.ErrorIs(t, err, errLogFails)
			assert.Empty(t, q.Problems(), "%s, call %d", name, failAt)
		}
		log.arm(0)
		require.NoError(t, err)
		assert.GreaterOrEqual(t, calls, 4, name)
		assert.Len(t, q.Problems(), 1, name)
		q.Close()
	}
}

// TestTheEndOfTheLogIsGone checks when a log that ends before it did counts as shorter: at once, but on a cluster after a time, as a new
// leader may not know the end.
func TestTheEndOfTheLogIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, shared := range []bool{false, true} {
			l := newLogMonitor(&Queue{store: memlog.New(memlog.Options{Shared: shared}).Connect()})
			short := func(last uint64) bool { return l.noteView(logState{High: 7}, logView{last: last}) }
			assert.False(t, short(7))
			assert.Equal(t, !shared, short(6))
			time.Sleep(leaderGrace)
			assert.Equal(t, !shared, short(6))
			time.Sleep(time.Nanosecond)
			assert.True(t, short(6))
			assert.EqualValues(t, 6, l.currentView().last)
			assert.False(t, short(8))
			assert.Equal(t, !shared, short(6), "it begins again")
		}
	})
}

// conflictingLog is a log in which other processes write the state of the log at the same time.
type conflictingLog struct {
	*memlog.Log
	conflicts int
}

func (l *conflictingLog) Append(ctx context.Context, stream string, writes []eventlog.Write) (uint64, error) {
	if l.conflicts > 0 && writes[0].Subject == logStateSubject {
		l.conflicts--
		return 0, fmt.Errorf("the write: %w", eventlog.ErrConflict)
	}
	return l.Log.Append(ctx, stream, writes)
}

// TestStateThatOthersWriteToo checks that a conflict with another process is tried again, some times.
func TestStateThatOthersWriteToo(t *testing.T) {
	log := &conflictingLog{Log: memlog.New(memlog.Options{Shared: true}).Connect()}
	q, err := Open(t.Context(), Config{Partitions: 1}.On(log))
	require.NoError(t, err)
	defer q.Close()
	l := q.monitor
	for conflicts, works := range map[int]bool{0: true, 5: true, 6: false} {
		log.conflicts = conflicts
		calls := 0
		err := l.updateState(t.Context(), func(s *logState) { calls++; s.Hold++ })
		assert.Equal(t, works, err == nil, conflicts)
		assert.Equal(t, min(conflicts+1, 6), calls)
		log.conflicts = 0
	}
	require.NoError(t, q.Append(t.Context(), []NewEvent{{Source: "web", Key: "u", Raw: []byte(`{}`)}}))
	log.conflicts = 5
	require.NoError(t, l.checkLog(t.Context()))
	assert.EqualValues(t, 1, l.state.High)
	require.NoError(t, q.Append(t.Context(), []NewEvent{{Source: "web", Key: "u", Raw: []byte(`{}`)}}))
	log.conflicts = 6
	require.NoError(t, l.checkLog(t.Context()), "the others check the log too")
	assert.EqualValues(t, 1, l.state.High)
	_, err = log.Log.Append(t.Context(), checkpointsStream, []eventlog.Write{{Subject: logStateSubject, Data: []byte("no JSON")}})
	require.NoError(t, err)
	assert.Error(t, l.checkLog(t.Context()), "a state that cannot be read is not taken for none")
	_, err = log.Log.Append(t.Context(), checkpointsStream, []eventlog.Write{{Subject: logStateSubject, Data: []byte("{}")}})
	require.NoError(t, err)
}

// TestDamagedFilesAreRecorded checks which damaged files are recorded, and how many.
func TestDamagedFilesAreRecorded(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	l := q.monitor
	l.addFindings([]eventlog.FileDamage{{Stream: "EVENTS", File: "torn.blk", Torn: true}})
	require.NoError(t, l.checkLog(t.Context()))
	assert.Empty(t, q.Problems(), "an interrupted write was never acknowledged")
	l.addFindings([]eventlog.FileDamage{{Stream: "EVENTS", File: "1.blk"}, {Stream: "EVENTS", File: "2.blk", CopyPath: "/copy"}})
	for range 2 {
		require.NoError(t, l.checkLog(t.Context()))
	}
	d := q.Damage()
	require.Len(t, d.Files, 2, "recorded once")
	assert.False(t, d.Files[0].Found.IsZero())
	assert.Contains(t, q.Problems()[0].What, "2 files of the queue were damaged; the last: ")
	assert.Contains(t, q.Problems()[0].What, "copy: /copy")
	many := make([]eventlog.FileDamage, maxDamagedFiles)
	for i := range many {
		many[i].File = fmt.Sprint(i)
	}
	l.addFindings(many)
	require.NoError(t, l.checkLog(t.Context()))
	d = q.Damage()
	require.Len(t, d.Files, maxDamagedFiles)
	assert.Equal(t, "0", d.Files[0].File, "the latest are kept")
}

// TestTextOfDamage checks the order of what is damaged, and its text.
func TestTextOfDamage(t *testing.T) {
	l := newLogMonitor(&Queue{})
	q := &Queue{monitor: l}
	for _, at := range []partitionID{{"b", 1}, {"a", 2}, {"a", 1}} {
		bad := plannedRepair{subject: checkpointSubject(at.instance, at.partition), BadCheckpoint: BadCheckpoint{Instance: at.instance, Partition: at.partition, Cause: beyondEnd, At: 9, LogEnd: 4}}
		assert.True(t, l.addBadCheckpoint(bad))
		assert.False(t, l.addBadCheckpoint(bad), "that is known")
		bad.Cause = otherLog
		assert.True(t, l.addBadCheckpoint(bad), "another cause")
	}
	list := q.Damage().Checkpoints
	require.Len(t, list, 3)
	assert.Equal(t, []partitionID{{"a", 1}, {"a", 2}, {"b", 1}}, []partitionID{{list[0].Instance, list[0].Partition}, {list[1].Instance, list[1].Partition}, {list[2].Instance, list[2].Partition}})
	assert.Equal(t, "3 partitions are not delivered: a, partition 1: the log has other events up to page 9 than those that were delivered", q.Problems()[0].What)
	l.clearBadCheckpoints(func(b plannedRepair) bool { return b.Instance == "a" })
	assert.Equal(t, "1 partition is not delivered: b, partition 1: the log has other events up to page 9 than those that were delivered", q.Problems()[0].What)
	l.clearBadCheckpoint("book.b.1")
	assert.Empty(t, q.Problems())
	assert.Equal(t, "i, partition 3: its checkpoint is at page 9, but the log ends at page 4", BadCheckpoint{Instance: "i", Partition: 3, Cause: beyondEnd, At: 9, LogEnd: 4}.String())
	assert.Equal(t, "i, partition 3: its checkpoint is missing", BadCheckpoint{Instance: "i", Partition: 3, Cause: noState}.String())
	l.state.Lost = []LostRange{{First: 5, Last: 5}, {First: 1, Last: 1, Accepted: true}}
	assert.Equal(t, "1 page of the log is lost, in 1 range from 5 to 5: the events there were accepted and cannot be delivered", q.Problems()[0].What)
}

// TestRewrittenPagesAreNotLost checks which parts of the missing ranges count as lost: those without a copy.
func TestRewrittenPagesAreNotLost(t *testing.T) {
	ranges := []LostRange{{First: 2, Last: 4}, {First: 6, Last: 6}, {First: 8, Last: 9}}
	for _, c := range []struct {
		rewritten []uint64
		want      [][2]uint64
	}{
		{nil, [][2]uint64{{2, 4}, {6, 6}, {8, 9}}}, {[]uint64{2, 3, 4, 6, 8, 9}, nil}, {[]uint64{1, 3, 5, 7, 9, 10}, [][2]uint64{{2, 2}, {4, 4}, {6, 6}, {8, 8}}}, {[]uint64{2, 6, 8}, [][2]uint64{{3, 4}, {9, 9}}}, {[]uint64{4}, [][2]uint64{{2, 3}, {6, 6}, {8, 9}}},
	} {
		var got [][2]uint64
		for _, r := range (&logView{rewritten: c.rewritten}).withoutRewritten(ranges) {
			got = append(got, [2]uint64{r.First, r.Last})
		}
		assert.Equal(t, c.want, got, c.rewritten)
	}
}

// TestViewsAreAskedForAgain checks that a view which was asked for before a moment does not say what is in the log at that moment.
func TestViewsAreAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
		q, err := Open(t.Context(), Config{Partitions: 1}.On(log))
		require.NoError(t, err)
		defer q.Close()
		asked := q.monitor.currentView().requestedAt
		time.Sleep(time.Second)
		v, err := q.monitor.viewAfter(t.Context(), asked.Add(-1))
		require.NoError(t, err)
		assert.Equal(t, asked, v.requestedAt)
		v, err = q.monitor.viewAfter(t.Context(), asked)
		require.NoError(t, err)
		assert.Equal(t, time.Now(), v.requestedAt)
		log.arm(1)
		_, err = q.monitor.viewAfter(t.Context(), time.Now())
		assert.ErrorIs(t, err, errLogFails)
		log.arm(0)
	})
}

// TestReplacedLogsAreNoticed checks that the partitions of a log which was replaced while it was read are given up, and that what is known
// of bad checkpoints is forgotten when they are written again or their instance is gone.
func TestReplacedLogsAreNoticed(t *testing.T) {
	log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
	r, w := newIdleRunner(t, log, 3, Settings{}, accepts(t))
	created := r.queue.monitor.currentView().created
	fits, other, closing := w.own(0, checkpoint{Low: 1, LogCreated: created}), w.own(1, checkpoint{Low: 1, LogCreated: created - 1}), w.own(2, checkpoint{Low: 1, LogCreated: created - 1})
	closing.closing = true
	for instance, revision := range map[string]uint64{"main": 5, "gone": 5} {
		r.queue.monitor.addBadCheckpoint(plannedRepair{subject: "book." + instance + ".0", revision: revision, BadCheckpoint: BadCheckpoint{Instance: instance}})
	}
	log.arm(1)
	r.watchLog()
	assert.Len(t, w.partitions, 3, "the log cannot be read, which says nothing")
	assert.Len(t, r.queue.Damage().Checkpoints, 2)
	log.arm(0)
	r.watchLog()
	assert.Equal(t, []bool{false, true, false}, []bool{fits.abandoned, other.abandoned, closing.abandoned})
	require.Len(t, r.queue.Damage().Checkpoints, 1)
	assert.Equal(t, "main", r.queue.Damage().Checkpoints[0].Instance)
	for revision, left := range map[uint64]int{5: 1, 6: 0} {
		r.leases.forgetSubject("book.main.0")
		r.leases.recordWrite(eventlog.Write{Subject: "book.main.0", Data: []byte("{}")}, revision)
		r.queue.monitor.addBadCheckpoint(plannedRepair{subject: "book.main.0", revision: 5, BadCheckpoint: BadCheckpoint{Instance: "main"}})
		r.watchLog()
		assert.Len(t, r.queue.Damage().Checkpoints, left, revision)
	}
}
