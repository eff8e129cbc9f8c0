package delivery

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/internal/pause"
)

// scrubInterval is how often the files of the embedded log are checked.
const scrubInterval = 24 * time.Hour

// watchLog checks the log once, and abandons the partitions whose log was replaced or has lost its end.
func (r *Runner) watchLog() {
	ctx, cancel := context.WithTimeout(r.ctx, 5*time.Second)
	defer cancel()
	if err := r.queue.monitor.checkLog(ctx); err != nil {
		if r.ctx.Err() == nil {
			r.log.Debug("checking the log", "error", err)
		}
		return
	}
	view := r.queue.monitor.currentView()
	var lost []*partition
	known := map[string]bool{}
	r.eachWorker(func(w *worker) {
		w.mu.Lock()
		defer w.mu.Unlock()
		known[w.id] = true
		for _, p := range w.partitions {
			if !p.closing && p.isContradictedByLocked(view, !r.queue.store.Shared()) {
				lost = append(lost, p)
			}
		}
	})
	if len(lost) > 0 {
		r.queue.feeds.dropPages()
	}
	for _, p := range lost {
		r.log.Error("the log was replaced or has lost its end while it was read: the partition is not delivered", "instance", p.worker.id, "partition", p.number)
		r.abandonPartition(p)
	}
	r.queue.monitor.clearBadCheckpoints(func(b plannedRepair) bool {
		s, ok := r.leases.latestOf(b.subject)
		return !known[b.Instance] || ok && s.revision > b.revision
	})
}

// isContradictedByLocked reports whether the log cannot be the one that the partition reads: it was created at another time, or ends before
// the next page. Only a view requested after the last read counts. On a cluster the end must be missing for leaderGrace, as a
// replaced leader that does not know it yet reports an earlier end.
func (p *partition) isContradictedByLocked(v logView, embedded bool) bool {
	switch {
	case !p.lastRead.Before(v.requestedAt):
		return false
	case p.logID != v.created:
		return true
	case p.nextPage <= v.last+1:
		p.logShortSince = time.Time{}
		return false
	case p.logShortSince.IsZero():
		p.logShortSince = v.requestedAt
	}
	return embedded || v.requestedAt.Sub(p.logShortSince) > leaderGrace
}

// checkpointFits reports whether a checkpoint received at seen matches the log, so that its partition may be acquired. It
// compares it with a later view, because the checkpoint may be ahead of an earlier one.
func (r *Runner) checkpointFits(ctx context.Context, c storedCheckpoint, seen time.Time) (logView, bool) {
	r.queue.monitor.noteOlderOwner(c.checkpoint)
	view, err := r.queue.monitor.viewAfter(ctx, seen)
	if err != nil {
		r.log.Debug("checking the log before acquiring a partition", "error", err)
		return view, false
	}
	bad, err := r.queue.verifyCheckpoint(ctx, c, view)
	if err != nil {
		r.log.Debug("comparing a checkpoint with the log", "error", err)
		return view, false
	}
	if bad == nil {
		r.queue.monitor.clearBadCheckpoint(c.subject)
		return view, true
	}
	if r.queue.monitor.isConclusive(bad, view, c.checkpoint.LogCreated) && r.queue.monitor.addBadCheckpoint(*bad) {
		r.log.Error("a partition is not delivered: " + bad.String() + "; see landfall checkpoints repair --dry-run")
	}
	return view, false
}

// rejectBadCheckpoints returns a CheckpointError if checkpoints of the instances do not match the log. On a cluster it waits for
// leaderGrace first, as the leader may not know the end of the log yet.
func (r *Runner) rejectBadCheckpoints(ctx context.Context, instances []string) error {
	for began := time.Now(); ; {
		list, err := r.queue.findBadCheckpoints(ctx, instances)
		if err != nil {
			return err
		}
		var bad []BadCheckpoint
		for _, b := range list {
			if slices.Contains(instances, b.Instance) {
				bad = append(bad, b.BadCheckpoint)
			}
		}
		if len(bad) == 0 {
			return nil
		}
		if !r.queue.store.Shared() || time.Since(began) > leaderGrace {
			return &CheckpointError{bad}
		}
		if pause.For(ctx, 500*time.Millisecond) != nil {
			return errors.Join(ctx.Err(), &CheckpointError{bad})
		}
	}
}

// runScrub checks the files of the embedded log periodically until the Runner stops.
func (r *Runner) runScrub() {
	for pause.For(r.ctx, r.settings.ScrubDelay) == nil {
		if err := r.queue.scrubFiles(r.ctx); err != nil && r.ctx.Err() == nil {
			r.log.Warn("checking the log's files", "error", err)
		}
		if pause.For(r.ctx, scrubInterval) != nil {
			return
		}
	}
}
