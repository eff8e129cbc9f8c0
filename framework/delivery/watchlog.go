package delivery

import (
	"context"
	"errors"
	"slices"
	"time"
)

// scrubEvery is how often the files of the embedded log are read.
const scrubEvery = 24 * time.Hour

// watchLog looks at the log once a second, and stops the work on partitions whose log has been replaced or has lost its end.
func (r *Runner) watchLog() {
	ctx, cancel := context.WithTimeout(r.ctx, 5*time.Second)
	defer cancel()
	if err := r.queue.log.check(ctx); err != nil {
		if r.ctx.Err() == nil {
			r.log.Debug("checking the log", "error", err)
		}
		return
	}
	view, short := r.queue.log.current()
	var lost []*partition
	r.all(func(w *worker) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, p := range w.parts {
			if !p.closing && (p.logID != view.created || !short && p.next > view.last+1 && p.readBefore(view)) {
				lost = append(lost, p)
			}
		}
	})
	for _, p := range lost {
		r.log.Error("the log is not the one that is being read: it was replaced, or has lost its end", "instance", p.worker.id, "partition", p.n)
		r.lose(p)
	}
}

// readBefore reports whether the partition had read all it has read when the log was looked at.
func (p *partition) readBefore(v logView) bool { return p.took.Before(v.at.Add(-time.Second)) }

// current is the log as it was seen last; short says that it may yet turn out to have its end.
func (l *logWatch) current() (v logView, short bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.view, !l.short.IsZero() && !l.queue.isEmbedded() && time.Since(l.short) <= leaderGrace
}

// fits reports whether a checkpoint fits the log, so that its partition may be worked on.
func (r *Runner) fits(ctx context.Context, c storedCheckpoint) (logView, bool) {
	view, short := r.queue.log.current()
	bad, err := r.queue.verify(ctx, c, view)
	if err != nil {
		r.log.Debug("comparing a checkpoint with the log", "error", err)
		return view, false
	}
	if bad == nil {
		r.queue.log.forgive(c.subject)
		return view, true
	}
	if !short && time.Since(view.at) < 5*time.Second && r.queue.log.blame(*bad) {
		r.log.Error("a partition is not delivered: " + bad.String() + "; see landfall checkpoints repair --dry-run")
	}
	return view, false
}

// refuseBad is a CheckpointError if checkpoints of the instances do not fit the log. A cluster whose leader may not know the log's
// end yet is given some time.
func (r *Runner) refuseBad(ctx context.Context, instances []string) error {
	for began := time.Now(); ; {
		list, err := r.queue.badCheckpoints(ctx, instances)
		if err != nil {
			return err
		}
		var bad []BadState
		for _, b := range list {
			if slices.Contains(instances, b.Instance) {
				bad = append(bad, b.BadState)
			}
		}
		if len(bad) == 0 {
			return nil
		}
		if r.queue.isEmbedded() || time.Since(began) > leaderGrace {
			return &CheckpointError{bad}
		}
		if pause(ctx, 500*time.Millisecond) != nil {
			return errors.Join(ctx.Err(), &CheckpointError{bad})
		}
	}
}

// runScrub reads the files of the embedded log now and then, until the Runner stops.
func (r *Runner) runScrub() {
	for pause(r.ctx, r.config.Scrub) == nil {
		if err := r.queue.scrub(r.ctx); err != nil && r.ctx.Err() == nil {
			r.log.Warn("checking the log's files", "error", err)
		}
		if pause(r.ctx, scrubEvery) != nil {
			return
		}
	}
}
