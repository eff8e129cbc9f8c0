package delivery

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
)

// lease gives a worker a partition with a checkpoint in the log, as if it had acquired it.
func (w *worker) lease(t *testing.T, n int) *partition {
	t.Helper()
	cp := checkpoint{Owner: "me", Low: 1}
	revision, err := w.runner.leases.writeCheckpoint(t.Context(), "me", checkpointSubject(w.id, n), 0, cp)
	require.NoError(t, err)
	p := w.own(n, cp)
	p.revision = revision
	return p
}

// TestWhichCheckpointsAreWritten checks when the checkpoint of a partition is written: at once if events were delivered, less often if only
// others were read or it is large, and otherwise only to renew the lease.
func TestWhichCheckpointsAreWritten(t *testing.T) {
	const soon, renew = time.Second, 10 * time.Second
	for name, c := range map[string]struct {
		age     time.Duration
		change  func(p *partition)
		written bool
	}{
		"nothing has changed":          {renew - 1, func(*partition) {}, false},
		"the lease is to be renewed":   {renew, func(*partition) {}, true},
		"events were delivered":        {0, func(p *partition) { p.dirty = true }, true},
		"events were read":             {soon - 1, func(p *partition) { p.hasRead = true }, false},
		"events were read a while ago": {soon, func(p *partition) { p.hasRead = true }, true},
		"it is large":                  {soon - 1, func(p *partition) { p.dirty, p.openPages = true, make([]*page, 257) }, false},
		"it is large, after a while":   {soon, func(p *partition) { p.dirty, p.openPages = true, make([]*page, 257) }, true},
		"it is nearly large":           {0, func(p *partition) { p.dirty, p.openPages = true, make([]*page, 256) }, true},
		"the partition is released":    {renew, func(p *partition) { p.dirty, p.closing = true, true }, false},
		"the partition is abandoned":   {renew, func(p *partition) { p.dirty, p.abandoned = true, true }, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{Lease: 50 * time.Second}, accepts(t))
			p := w.lease(t, 0)
			time.Sleep(c.age)
			c.change(p)
			for i := range p.openPages {
				p.openPages[i] = &page{seq: uint64(i + 1), eventsLeft: 1, verdictsLeft: []uint16{1}}
			}
			p.nextPage = uint64(len(p.openPages) + 5)
			dirty, revision, renewed := p.dirty, p.revision, p.renewedAt
			r.writeCheckpoints()
			assert.Equal(t, c.written, p.revision > revision, name)
			if !c.written {
				assert.Equal(t, []any{dirty, renewed}, []any{p.dirty, p.renewedAt}, name)
				return
			}
			assert.Equal(t, []any{false, false, time.Now(), time.Now().Add(50 * time.Second)}, []any{p.dirty, p.hasRead, p.renewedAt, p.leaseUntil}, name)
			stored, err := r.queue.checkpointsOf(t.Context(), "main")
			require.NoError(t, err)
			assert.Equal(t, []any{p.revision, "me"}, []any{stored[0].revision, stored[0].checkpoint.Owner}, name)
			if len(p.openPages) == 0 {
				assert.Equal(t, p.nextPage, stored[0].checkpoint.Low, name)
			}
			known, _ := r.leases.latestOf(checkpointSubject("main", 0))
			assert.Equal(t, p.revision, known.revision, name)
		})
	}
}

// TestCheckpointsThatAreWrittenTogether checks that a partition which another process has taken over is given up, and that the others are
// written all the same. What the log does not take is written again.
func TestCheckpointsThatAreWrittenTogether(t *testing.T) {
	for _, taken := range []int{-1, 0, 1, 2} {
		log := &failingLog{Log: memlog.New(memlog.Options{Shared: true}).Connect()}
		r, w := newIdleRunner(t, log, 3, Settings{}, accepts(t))
		for n := range 3 {
			p := w.lease(t, n)
			p.dirty, p.nextPage = true, uint64(n+7)
			if n == taken {
				_, err := newLeases(r.queue, time.Minute).writeCheckpoint(t.Context(), "other", checkpointSubject("main", n), p.revision, checkpoint{Owner: "other", Low: 50})
				require.NoError(t, err)
			}
		}
		log.arm(0)
		r.writeCheckpoints()
		calls, _ := log.arm(0)
		if taken < 0 {
			assert.Equal(t, 1, calls, "one write for all")
		}
		stored, err := r.queue.checkpointsOf(t.Context(), "main")
		require.NoError(t, err)
		for n, c := range stored {
			p := w.partitions[n]
			if n == taken {
				assert.Nil(t, p)
				assert.EqualValues(t, 50, c.checkpoint.Low)
				continue
			}
			assert.Equal(t, []any{c.revision, uint64(n + 7), false}, []any{p.revision, c.checkpoint.Low, p.dirty}, "%d of %d", n, taken)
		}
	}
	log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
	r, w := newIdleRunner(t, log, 1, Settings{}, accepts(t))
	p := w.lease(t, 0)
	p.dirty = true
	log.arm(1)
	r.writeCheckpoints()
	assert.Equal(t, []any{true, p}, []any{p.dirty, w.partitions[0]})
	revision := p.revision
	r.writeCheckpoints()
	assert.Greater(t, p.revision, revision)
}

// TestCheckpointsOfAReleasedPartition checks that a checkpoint which was to be written when its partition was released changes nothing, also if the
// partition was acquired again since.
func TestCheckpointsOfAReleasedPartition(t *testing.T) {
	r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{}, accepts(t))
	var logged bytes.Buffer
	r.log = slog.New(slog.NewTextHandler(&logged, nil))
	p := w.lease(t, 0)
	close(p.done)
	late := pendingCheckpoint{p, checkpointSubject("main", 0), checkpoint{Owner: "me", Low: 5}, p.revision}
	p.nextPage = 33
	r.releasePartition(t.Context(), p)
	again := w.own(0, checkpoint{Low: 33})
	r.writeCheckpointBatch([]pendingCheckpoint{late})
	assert.Same(t, again, w.partitions[0])
	assert.False(t, again.abandoned)
	stored, err := r.queue.checkpointsOf(t.Context(), "main")
	require.NoError(t, err)
	assert.Equal(t, []any{"", uint64(33)}, []any{stored[0].checkpoint.Owner, stored[0].checkpoint.Low})
	assert.Empty(t, logged.String())
	r.abandonPartition(p)
	assert.Same(t, again, w.partitions[0])
}

// lateLog is a log of a cluster that has accepted a conflicting write and does not know it yet.
type lateLog struct {
	*failingLog
	late int // how often it does not know
}

func (l *lateLog) Append(ctx context.Context, stream string, writes []eventlog.Write) (uint64, error) {
	if l.late > 0 {
		return 0, eventlog.ErrConflict
	}
	return l.failingLog.Append(ctx, stream, writes)
}

func (l *lateLog) Last(ctx context.Context, stream, subject string) (eventlog.Message, error) {
	l.late--
	return l.failingLog.Last(ctx, stream, subject)
}

// TestCheckpointsOfALateServer checks that a conflict with a write that the server does not know yet is no lost lease: the write is
// repeated until it is known.
func TestCheckpointsOfALateServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lateLog{failingLog: &failingLog{Log: memlog.New(memlog.Options{Shared: true}).Connect()}}
		q, err := Open(t.Context(), Config{Partitions: 1}.On(log))
		require.NoError(t, err)
		defer q.Close()
		l := newLeases(q, time.Minute)
		write := func(ctx context.Context, revision uint64) (uint64, error) {
			return l.writeCheckpoint(ctx, "me", checkpointSubject("i", 0), revision, checkpoint{Owner: "me"})
		}
		log.late = 3
		began := time.Now()
		first, err := write(t.Context(), 0)
		require.NoError(t, err, "nothing is stored yet")
		assert.Equal(t, 60*time.Millisecond, time.Since(began))
		log.late = 2
		second, err := write(t.Context(), first)
		require.NoError(t, err, "its own last write is the newest that is known")
		assert.Greater(t, second, first)
		log.late = 1000
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = write(ctx, second)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		log.late = 1
		log.arm(1)
		_, err = write(t.Context(), second)
		assert.ErrorIs(t, err, errLogFails)
		log.late = 0
	})
}
