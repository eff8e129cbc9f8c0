package delivery

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/internal/storedtime"
)

// trimLog deletes events that every instance has finished: those older than the retention, and the oldest ones if the log is
// close to its limit or the disk is short. Unfinished events stay, however old they are. It reports whether it found something to
// delete.
func (r *Runner) trimLog(ctx context.Context) (trimmed bool, err error) {
	workers, known := r.workersToTrimFor()
	if !known || !r.queue.canDeleteSafely() {
		return false, nil
	}
	byAge := r.settings.MayDeleteByAge()
	if byAge {
		if err := r.queue.trimRewritten(ctx); err != nil {
			return false, err
		}
	}
	state, err := r.queue.store.Info(ctx, eventsStream)
	if err != nil || state.Messages == 0 {
		return false, err
	}
	low, err := r.lowestUnfinished(ctx, workers, state.LastSeq+1)
	if err != nil {
		return false, err
	}
	to := state.FirstSeq
	if byAge {
		if to, err = r.queue.firstRetained(ctx, eventsStream, state, r.queue.config.Retention); err != nil {
			return false, err
		}
	}
	if limit := uint64(r.queue.config.MaxBytes); limit > 0 && state.Bytes > limit/10*8 {
		share := float64(state.Bytes-limit/10*6) / float64(state.Bytes)
		to = max(to, state.FirstSeq+uint64(share*float64(state.LastSeq-state.FirstSeq)))
	}
	if need := r.queue.diskNeeded(); need > 0 {
		share := min(float64(max(need, minTrimBytes))/float64(max(state.Bytes, 1)), 1)
		to = max(to, state.FirstSeq+uint64(share*float64(state.LastSeq+1-state.FirstSeq)))
	}
	if to = min(to, low); to > state.FirstSeq {
		return true, r.queue.purgeEvents(ctx, to)
	}
	return false, nil
}

// purgeEvents deletes the pages before one, which all instances have finished.
func (q *Queue) purgeEvents(ctx context.Context, to uint64) error {
	if q.journal != nil {
		if first := q.journal.firstUnfinished(); first > 0 {
			to = min(to, first)
		}
	}
	onHold := false
	err := q.monitor.updateState(ctx, func(s *logState) {
		if onHold = s.isHeld(time.Now()); !onHold {
			s.Trimmed = max(s.Trimmed, to-1)
		}
	})
	if onHold {
		return nil
	}
	if err != nil && q.store.Shared() {
		return err // other processes would count these pages as lost
	}
	q.monitor.mu.Lock()
	q.monitor.trimmed = max(q.monitor.trimmed, to-1)
	q.monitor.mu.Unlock()
	if err != nil {
		q.config.Log.Debug("recording what is trimmed failed: trying again later", "error", err) // for example because the disk is full, which purging fixes
	}
	if q.journal != nil {
		if err := q.journal.forgetTransferred(ctx, true); err != nil {
			return err
		}
	}
	return q.store.PurgeBefore(ctx, eventsStream, to)
}

// FinishedBefore returns the first page of the log that an instance has not finished, or the one after the last if all are finished.
func (r *Runner) FinishedBefore(ctx context.Context) (uint64, error) {
	workers, known := r.workersToTrimFor()
	if !known {
		return 0, errors.New("the instances are being replaced")
	}
	state, err := r.queue.store.Info(ctx, eventsStream)
	if err != nil {
		return 0, err
	}
	return r.lowestUnfinished(ctx, workers, state.LastSeq+1)
}

// workersToTrimFor returns the workers of all instances in the config. They are not known before the first SetInstances, and while
// one is replacing workers.
func (r *Runner) workersToTrimFor() (list []*worker, known bool) {
	if !r.setMu.TryLock() {
		return nil, false
	}
	defer r.setMu.Unlock()
	r.eachWorker(func(w *worker) { list = append(list, w) })
	return list, r.started
}

// lowestUnfinished returns the first page that an instance has not finished, or last if there is none. It includes instances that
// only other processes have in their config.
func (r *Runner) lowestUnfinished(ctx context.Context, workers []*worker, last uint64) (uint64, error) {
	low := last
	var failed error
	first := func(cp checkpoint, subjects []string) {
		for _, subject := range subjects {
			m, err := r.queue.store.First(ctx, eventsStream, subject, cp.Low)
			switch {
			case err == nil:
				low = min(low, m.Sequence)
			case !errors.Is(err, eventlog.ErrNotFound):
				failed = err
			}
		}
	}
	known := map[string]bool{}
	for _, w := range workers {
		for n := range r.queue.partitions {
			subject := checkpointSubject(w.id, n)
			known[subject] = true
			s, ok := r.leases.latestOf(subject)
			if !ok {
				low = 0
				continue
			}
			p := partition{worker: w, number: n}
			first(parseCheckpoint(s.data), p.logSubjects())
		}
	}
	for subject, cp := range r.leases.checkpointsInUse(r.name) {
		r.queue.monitor.noteOlderOwner(cp)
		if rest := strings.TrimPrefix(subject, "book."); !known[subject] {
			_, n, _ := strings.Cut(rest, ".")
			first(cp, []string{"ctl." + rest, "ev.*." + n})
		}
	}
	return low, failed
}

// firstRetained returns the sequence of the first message of a stream that is not older than retention. The first messages may be from when the
// clock was ahead: they are at least as old as the first one after them.
func (q *Queue) firstRetained(ctx context.Context, stream string, state eventlog.Info, retention time.Duration) (uint64, error) {
	now := time.Now()
	cut := now.Add(-retention)
	if !storedtime.WasAhead(state.FirstTime, now) {
		return q.firstMessageAfter(ctx, stream, state, cut)
	}
	first, err := q.findMessage(ctx, stream, state, func(at time.Time) bool { return !storedtime.WasAhead(at, now) })
	if err != nil {
		return 0, err
	}
	behind := state
	behind.FirstSeq, behind.FirstTime = first, time.Time{}
	to, err := q.firstMessageAfter(ctx, stream, behind, cut)
	if err != nil || to > first {
		return to, err
	}
	return state.FirstSeq, nil
}

// firstMessageAfter returns the sequence of the first message of a stream that was stored after t.
func (q *Queue) firstMessageAfter(ctx context.Context, stream string, state eventlog.Info, t time.Time) (uint64, error) {
	if state.FirstTime.After(t) {
		return state.FirstSeq, nil
	}
	return q.findMessage(ctx, stream, state, func(at time.Time) bool { return at.After(t) })
}

// findMessage returns the sequence of the first message of a stream whose time is one that is wanted, as those of all messages after it are.
func (q *Queue) findMessage(ctx context.Context, stream string, state eventlog.Info, wanted func(time.Time) bool) (uint64, error) {
	from, to := state.FirstSeq, state.LastSeq+1 // the answer is in [from, to]
	for from < to {
		mid := from + (to-from)/2
		m, err := q.store.First(ctx, stream, ">", mid)
		switch {
		case errors.Is(err, eventlog.ErrNotFound):
			to = mid
		case err != nil:
			return 0, err
		case wanted(m.Time):
			to = mid
		default:
			from = m.Sequence + 1
		}
	}
	return from, nil
}
