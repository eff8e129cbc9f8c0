package delivery

import (
	"context"
	"errors"
	"slices"
	"time"
)

// scrubInterval is how often the files of the embedded log are read.
const scrubInterval = 24 * time.Hour

// watchLog looks at the log once a second, and stops the work on partitions whose log has been replaced or has lost its end.
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
			if !p.closing && p.contradicts(view, r.queue.isEmbedded()) {
				lost = append(lost, p)
			}
		}
	})
	for _, p := range lost {
		r.log.Error("the log is not the one that is being read: it was replaced, or has lost its end", "instance", p.worker.id, "partition", p.number)
		r.abandonPartition(p)
	}
	r.queue.monitor.clearBadCheckpoints(func(b plannedRepair) bool {
		s, ok := r.leases.lookup(b.subject)
		return !known[b.Instance] || ok && s.revision > b.revision
	})
}

// contradicts reports whether the log cannot be the one that the partition reads: it is another one, or ends before what was read.
// Only a view that was asked for after the last page was taken says so. In a cluster the end has to be missing for some time, since
// a leader that has been replaced without knowing it yet answers with an earlier end.
func (p *partition) contradicts(v logView, embedded bool) bool {
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

// currentView is the log as it was seen last.
func (l *logMonitor) currentView() logView {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.view
}

// viewAfter is the log as it was seen after a time.
func (l *logMonitor) viewAfter(ctx context.Context, t time.Time) (logView, error) {
	if v := l.currentView(); v.requestedAt.After(t) {
		return v, nil
	}
	if err := l.checkLog(ctx); err != nil {
		return logView{}, err
	}
	return l.currentView(), nil
}

// checkpointFits reports whether a checkpoint that was seen at a time fits the log, so that its partition may be worked on. It is compared
// with the log as it is after that time: a checkpoint may well be ahead of an earlier view.
func (r *Runner) checkpointFits(ctx context.Context, c storedCheckpoint, seen time.Time) (logView, bool) {
	r.queue.monitor.noteOlderOwner(c.checkpoint)
	view, err := r.queue.monitor.viewAfter(ctx, seen)
	if err != nil {
		r.log.Debug("looking at the log before a partition is taken", "error", err)
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

// isConclusive reports whether a view of the log is proof enough that a checkpoint of a log does not fit. In a cluster, a checkpoint of
// the same log has to be beyond its end for some time.
func (l *logMonitor) isConclusive(bad *plannedRepair, v logView, log int64) bool {
	if l.queue.isEmbedded() || bad.Cause != beyondEnd || log != 0 && log != v.created {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	since, ok := l.doubtedSince[bad.subject]
	if !ok {
		since = v.requestedAt
		l.doubtedSince[bad.subject] = since
	}
	return v.requestedAt.Sub(since) > leaderGrace
}

// rejectBadCheckpoints is a CheckpointError if checkpoints of the instances do not fit the log. A cluster whose leader may not know the log's
// end yet is given some time.
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
		if r.queue.isEmbedded() || time.Since(began) > leaderGrace {
			return &CheckpointError{bad}
		}
		if sleepContext(ctx, 500*time.Millisecond) != nil {
			return errors.Join(ctx.Err(), &CheckpointError{bad})
		}
	}
}

// runScrub reads the files of the embedded log now and then, until the Runner stops.
func (r *Runner) runScrub() {
	for sleepContext(r.ctx, r.settings.ScrubDelay) == nil {
		if err := r.queue.scrubFiles(r.ctx); err != nil && r.ctx.Err() == nil {
			r.log.Warn("checking the log's files", "error", err)
		}
		if sleepContext(r.ctx, scrubInterval) != nil {
			return
		}
	}
}
