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
	view := r.queue.log.current()
	var lost []*partition
	known := map[string]bool{}
	r.all(func(w *worker) {
		w.mu.Lock()
		defer w.mu.Unlock()
		known[w.id] = true
		for _, p := range w.parts {
			if !p.closing && p.contradicts(view, r.queue.isEmbedded()) {
				lost = append(lost, p)
			}
		}
	})
	for _, p := range lost {
		r.log.Error("the log is not the one that is being read: it was replaced, or has lost its end", "instance", p.worker.id, "partition", p.n)
		r.lose(p)
	}
	r.queue.log.forgiveWhere(func(b badState) bool {
		s, ok := r.roster.look(b.subject)
		return !known[b.Instance] || ok && s.revision > b.revision
	})
}

// contradicts reports whether the log cannot be the one that the partition reads: it is another one, or ends before what was read.
// Only a view that was asked for after the last page was taken says so. In a cluster the end has to be missing for some time, since
// a leader that has been replaced without knowing it yet answers with an earlier end.
func (p *partition) contradicts(v logView, embedded bool) bool {
	switch {
	case !p.took.Before(v.asked):
		return false
	case p.logID != v.created:
		return true
	case p.next <= v.last+1:
		p.doubted = time.Time{}
		return false
	case p.doubted.IsZero():
		p.doubted = v.asked
	}
	return embedded || v.asked.Sub(p.doubted) > leaderGrace
}

// current is the log as it was seen last.
func (l *logWatch) current() logView {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.view
}

// viewAfter is the log as it was seen after a time.
func (l *logWatch) viewAfter(ctx context.Context, t time.Time) (logView, error) {
	if v := l.current(); v.asked.After(t) {
		return v, nil
	}
	if err := l.check(ctx); err != nil {
		return logView{}, err
	}
	return l.current(), nil
}

// fits reports whether a checkpoint that was seen at a time fits the log, so that its partition may be worked on. It is compared
// with the log as it is after that time: a checkpoint may well be ahead of an earlier view.
func (r *Runner) fits(ctx context.Context, c storedCheckpoint, seen time.Time) (logView, bool) {
	r.queue.log.meet(c.book)
	view, err := r.queue.log.viewAfter(ctx, seen)
	if err != nil {
		r.log.Debug("looking at the log before a partition is taken", "error", err)
		return view, false
	}
	bad, err := r.queue.verify(ctx, c, view)
	if err != nil {
		r.log.Debug("comparing a checkpoint with the log", "error", err)
		return view, false
	}
	if bad == nil {
		r.queue.log.forgive(c.subject)
		return view, true
	}
	if r.queue.log.convicts(bad, view, c.book.Log) && r.queue.log.blame(*bad) {
		r.log.Error("a partition is not delivered: " + bad.String() + "; see landfall checkpoints repair --dry-run")
	}
	return view, false
}

// convicts reports whether a view of the log is proof enough that a checkpoint of a log does not fit. In a cluster, a checkpoint of
// the same log has to be beyond its end for some time.
func (l *logWatch) convicts(bad *badState, v logView, log int64) bool {
	if l.queue.isEmbedded() || bad.Cause != beyondEnd || log != 0 && log != v.created {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	since, ok := l.doubted[bad.subject]
	if !ok {
		since = v.asked
		l.doubted[bad.subject] = since
	}
	return v.asked.Sub(since) > leaderGrace
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
