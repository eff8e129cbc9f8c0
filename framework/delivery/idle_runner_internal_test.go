package delivery

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// newIdleRunner returns a runner that does nothing by itself, with one worker, for tests that call its parts.
func newIdleRunner(t *testing.T, log eventlog.Log, partitions int, s Settings, in Instance) (*Runner, *worker) {
	t.Helper()
	q, err := Open(t.Context(), Config{Dir: t.TempDir(), Partitions: partitions, MinFreeBytes: 1}.On(log))
	require.NoError(t, err)
	r := idleRunner(t, q, s)
	w := newWorker(r, in)
	r.workers[w.id] = w
	t.Cleanup(func() {
		w.dispatcher.Stop()
		w.cancel()
		w.goroutines.Wait()
		q.Close()
	})
	return r, w
}

// idleRunner returns a runner of a queue that does nothing by itself, without workers.
func idleRunner(t *testing.T, q *Queue, s Settings) *Runner {
	s = s.withDefaults()
	return &Runner{queue: q, settings: s, metrics: s.Metrics, log: slog.New(slog.DiscardHandler), leases: newLeases(q, s.Lease), name: "me", ctx: t.Context(), workers: map[string]*worker{}}
}

// own gives a worker a partition, whose lease lasts, and which nothing reads.
func (w *worker) own(n int, cp checkpoint) *partition {
	p := w.newPartition(n, cp, 1, time.Now().Add(w.runner.settings.Lease))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.partitions[n] = p
	return p
}

// accepts returns an instance whose remote accepts everything.
func accepts(t *testing.T) Instance { return answeringInstance(t, func() error { return nil }) }
