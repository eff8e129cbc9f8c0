package delivery

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
)

// TestDeliveryDoesNotStartOnABadCheckpoint checks that the checkpoints of the instances that start must match the log, on a cluster after a while.
func TestDeliveryDoesNotStartOnABadCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, shared := range []bool{false, true} {
			q, _ := newFailingQueue(t, memlog.Options{Shared: shared})
			r := &Runner{queue: q}
			require.NoError(t, r.rejectBadCheckpoints(t.Context(), []string{"other"}))
			began := time.Now()
			var bad *CheckpointError
			require.ErrorAs(t, r.rejectBadCheckpoints(t.Context(), []string{"i", "other"}), &bad)
			assert.Equal(t, shared, time.Since(began) > leaderGrace)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			require.Error(t, r.rejectBadCheckpoints(ctx, []string{"i"}))
			_, err := q.RepairCheckpoints(t.Context(), RepairOptions{})
			require.NoError(t, err)
			require.NoError(t, r.rejectBadCheckpoints(t.Context(), []string{"i", "other"}))
		}
	})
}

// TestFirstSetOfInstancesIsChecked checks that a runner refuses its first instances if their checkpoint does not match the log, and deletes nothing
// until it has some.
func TestFirstSetOfInstancesIsChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, _ := newFailingQueue(t, memlog.Options{})
		_, err := newLeases(q, time.Minute).writeCheckpoint(t.Context(), "", checkpointSubject("main", 0), 0, checkpoint{Low: 99})
		require.NoError(t, err)
		r, err := NewRunner(t.Context(), q, Settings{TrimInterval: 1000 * time.Hour})
		require.NoError(t, err)
		defer r.Stop(t.Context())
		var bad *CheckpointError
		require.ErrorAs(t, r.SetInstances(t.Context(), []Instance{{Plan: crashPlan(t)}}), &bad)
		_, known := r.workersToTrimFor()
		assert.False(t, known)
		require.NoError(t, r.SetInstances(t.Context(), nil), "the checkpoints of other instances do not matter")
		_, known = r.workersToTrimFor()
		assert.True(t, known)
	})
}

// TestFailuresAtTheStart checks that a runner does not start while the log cannot be written, and sets no instances whose checkpoints it
// cannot create; later it does.
func TestFailuresAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, log := newFailingQueue(t, memlog.Options{})
		log.failAppend.Store(true)
		_, err := NewRunner(t.Context(), q, Settings{})
		require.ErrorIs(t, err, errLogFails)
		log.failAppend.Store(false)
		r, err := NewRunner(t.Context(), q, Settings{TrimInterval: 1000 * time.Hour})
		require.NoError(t, err)
		defer r.Stop(t.Context())
		log.failAppend.Store(true)
		in := accepts(t)
		require.ErrorIs(t, r.SetInstances(t.Context(), []Instance{in}), errLogFails)
		assert.False(t, r.Runs(in.Plan))
		log.failAppend.Store(false)
		require.NoError(t, r.SetInstances(t.Context(), []Instance{in}))
		assert.True(t, r.Runs(in.Plan))
	})
}

// failingDiskLog is a failingLog with a directory, so that its queue has a journal.
type failingDiskLog struct {
	*failingLog
	dir string
}

func (l failingDiskLog) Dir() string { return l.dir }

// TestUnreadableJournals lets each call fail while a queue is opened whose journal has events that are not in the log: it is not opened,
// and none is lost.
func TestUnreadableJournals(t *testing.T) {
	store, failed := memlog.New(memlog.Options{}), map[string]bool{}
	q, log := openFaulty(t, store)
	log.failEvents(errInjected)
	require.NoError(t, q.Append(t.Context(), []NewEvent{eventOf("a", 0), eventOf("b", 0)}))
	log.dead.Store(true)
	q.Close()
	for failAt := 1; ; failAt++ {
		log := failingDiskLog{&failingLog{Log: store.Connect()}, t.TempDir()}
		log.arm(failAt)
		q, err := Open(t.Context(), Config{Dir: log.dir, MinFreeBytes: 1}.On(log))
		_, call := log.arm(0)
		if err == nil {
			require.NoError(t, q.settle(t.Context()))
			assert.Equal(t, map[string][]string{"a": {"a-0"}, "b": {"b-0"}}, storedEvents(t, q))
			q.Close()
			break
		}
		require.ErrorIs(t, err, errLogFails)
		failed[call] = true
	}
	assert.Subset(t, slices.Collect(maps.Keys(failed)), []string{"Info JOURNAL", "Scan JOURNAL", "the end of Scan JOURNAL"})
}

// keptJournal is a log whose journal cannot be purged.
type keptJournal struct{ failingDiskLog }

func (l keptJournal) PurgeBefore(ctx context.Context, stream string, seq uint64) error {
	if stream == journalStream {
		return errInjected
	}
	return l.failingDiskLog.PurgeBefore(ctx, stream, seq)
}

// TestNothingIsTrimmedBeforeTheJournal checks that events are not deleted while the journal still has them: after a crash they would be
// transferred again.
func TestNothingIsTrimmedBeforeTheJournal(t *testing.T) {
	log := keptJournal{failingDiskLog{&failingLog{Log: memlog.New(memlog.Options{}).Connect()}, t.TempDir()}}
	q, err := Open(t.Context(), Config{Dir: log.dir, Partitions: 1, MinFreeBytes: 1}.On(log))
	require.NoError(t, err)
	defer q.Close()
	require.NoError(t, q.Append(t.Context(), []NewEvent{eventOf("a", 0)}))
	require.NoError(t, q.settle(t.Context()))
	require.ErrorIs(t, q.purgeEvents(t.Context(), 2), errInjected)
	assert.Equal(t, map[string][]string{"a": {"a-0"}}, storedEvents(t, q))
}

// unreadableStream is a log whose messages cannot be read a number of times.
type unreadableStream struct {
	*memlog.Log
	fails, reads atomic.Int32
}

func (l *unreadableStream) Read(ctx context.Context, stream string, q eventlog.Query) (eventlog.Reader, error) {
	l.reads.Add(1)
	if l.fails.Add(-1) >= 0 {
		return nil, errLogFails
	}
	return l.Log.Read(ctx, stream, q)
}

// TestCheckpointsAreReadLater checks that a process whose checkpoints cannot be read tries it again now and then, and starts once they can.
func TestCheckpointsAreReadLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &unreadableStream{Log: memlog.New(memlog.Options{}).Connect()}
		q, err := Open(t.Context(), Config{Partitions: 1}.On(log))
		require.NoError(t, err)
		defer q.Close()
		log.fails.Store(5)
		began := time.Now()
		r, err := NewRunner(t.Context(), q, Settings{})
		require.NoError(t, err)
		assert.Equal(t, 5*time.Second, time.Since(began))
		assert.EqualValues(t, 6, log.reads.Load())
		r.Stop(t.Context())
	})
}
