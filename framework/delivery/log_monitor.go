package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// logView is the range of the log at the time of a request. It includes everything acknowledged before requestedAt and may lack
// what was written later.
type logView struct {
	created       int64
	first, last   uint64
	trimsRecorded bool // the process that last opened the log records what it trims
	requestedAt   time.Time
	rewritten     []uint64 // pages that were deleted because a copy without erased events replaces them, sorted; read if pages are gone
}

// withoutRewritten returns the parts of ranges that are not rewritten pages.
func (v *logView) withoutRewritten(ranges []LostRange) (list []LostRange) {
	for _, r := range ranges {
		i, _ := slices.BinarySearch(v.rewritten, r.First)
		for ; i < len(v.rewritten) && v.rewritten[i] <= r.Last; i++ {
			if seq := v.rewritten[i]; r.First < seq {
				list = append(list, LostRange{First: r.First, Last: seq - 1})
			}
			r.First = v.rewritten[i] + 1
		}
		if r.First <= r.Last {
			list = append(list, r)
		}
	}
	return list
}

// logMonitor compares the log with its recorded state to detect losses.
type logMonitor struct {
	queue   *Queue
	checkMu sync.Mutex // serializes what writes the state

	mu             sync.Mutex // guards the fields below
	view           logView
	state          logState
	revision       uint64
	shortSince     time.Time                // since when the log has ended before state.High; zero if it does not
	loggedLost     map[uint64]bool          // first pages of the lost ranges already logged
	badCheckpoints map[string]plannedRepair // checkpoints that do not match the log, by subject
	doubtedSince   map[string]time.Time     // since when a checkpoint has been beyond the end of the log, by subject
	trimmed        uint64                   // pages up to this one were trimmed by this process
	openedByOlder  bool                     // a process of an earlier version opened the log before; it does not record what it trims
	olderSeenAt    time.Time                // when a process of an earlier version last owned a checkpoint
	newFindings    []eventlog.FileDamage    // damaged files to record
}

func newLogMonitor(q *Queue) *logMonitor {
	return &logMonitor{queue: q, loggedLost: map[uint64]bool{}, badCheckpoints: map[string]plannedRepair{}, doubtedSince: map[string]time.Time{}}
}

// checkLog compares the log with its state, and records and logs what is missing.
func (l *logMonitor) checkLog(ctx context.Context) error {
	l.checkMu.Lock()
	defer l.checkMu.Unlock()
	for try := 0; ; try++ {
		err := l.refreshStateLocked(ctx)
		if err == nil {
			break
		}
		if !errors.Is(err, eventlog.ErrConflict) {
			return err
		}
		if try == 5 {
			return nil // other processes check too
		}
	}
	l.mu.Lock()
	found := l.newFindings
	l.mu.Unlock()
	if len(found) == 0 {
		return nil
	}
	err := l.recordDamagedFilesLocked(ctx, found)
	if err == nil {
		l.mu.Lock()
		l.newFindings = l.newFindings[len(found):]
		l.mu.Unlock()
	}
	return err
}

// refreshStateLocked reads the log and records what has changed. It returns a conflict if another process has written
// the state. checkMu is held.
//
// The state is read before the log, because the log grows in the meantime and must not seem shorter than the state says. A page
// that another process trims in between does not count as lost: that process writes the state first, so the write here is
// rejected.
func (l *logMonitor) refreshStateLocked(ctx context.Context) error {
	state, revision, err := l.loadState(ctx)
	if err != nil {
		return err
	}
	view, deleted, err := l.readView(ctx, state.Trimmed)
	if err != nil {
		return err
	}
	if revision == 0 {
		info, err := l.queue.store.Info(ctx, checkpointsStream)
		if err != nil {
			return err
		}
		state = logState{Created: view.created, Trimmed: max(view.first, 1) - 1, High: view.last, Orphaned: info.LastSeq == 0 && view.last > 0}
	}
	was := state
	l.mu.Lock()
	state.Trimmed = max(state.Trimmed, l.trimmed)
	l.mu.Unlock()
	short := l.noteView(state, view)
	next := state.afterView(view, deleted, short, view.first > state.Trimmed+1 && (!view.trimsRecorded || l.hasOlderVersions(ctx)))
	if revision == 0 || !next.equal(was) {
		if revision, err = l.writeState(ctx, next, revision); err != nil {
			return err
		}
	}
	l.mu.Lock()
	l.state, l.revision, l.openedByOlder = next, revision, false
	l.mu.Unlock()
	l.logLostRanges(next)
	return nil
}

// readView returns the range of the log and the pages within it that are gone, except for those that were rewritten. Pages up to trimmed were
// trimmed.
func (l *logMonitor) readView(ctx context.Context, trimmed uint64) (logView, []LostRange, error) {
	asked := time.Now()
	info, err := l.queue.store.Info(ctx, eventsStream)
	if err != nil {
		return logView{}, nil, err
	}
	view := logView{created: info.Created.UnixNano(), first: info.FirstSeq, last: info.LastSeq, requestedAt: asked}
	_, view.trimsRecorded = info.Labels[trimsRecordedKey]
	if info.Missing == 0 {
		if view.first > trimmed+1 {
			view.rewritten, err = l.queue.rewrittenPages(ctx)
		}
		return view, nil, err
	}
	if info.Missing > maxListedDeleted {
		return view, []LostRange{{First: info.FirstSeq, Last: info.LastSeq}}, nil
	}
	missing, err := l.queue.store.Missing(ctx, eventsStream)
	if err != nil {
		return logView{}, nil, err
	}
	if view.rewritten, err = l.queue.rewrittenPages(ctx); err != nil { // they are written before their pages are deleted
		return logView{}, nil, err
	}
	return view, view.withoutRewritten(rangesOf(missing)), nil
}

// noteView stores a view of the log and reports whether the log has lost its end. On a cluster, a new or an outgoing leader may
// not know the end, so it must be missing for leaderGrace.
func (l *logMonitor) noteView(s logState, v logView) (short bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.view = v
	if v.last >= s.High {
		l.shortSince = time.Time{}
		return false
	}
	if l.shortSince.IsZero() {
		l.shortSince = time.Now()
	}
	return !l.queue.store.Shared() || time.Since(l.shortSince) > leaderGrace
}

// loadState reads the stored state; the revision is 0 if none is stored.
func (l *logMonitor) loadState(ctx context.Context) (s logState, revision uint64, err error) {
	m, err := l.queue.store.Last(ctx, checkpointsStream, logStateSubject)
	if errors.Is(err, eventlog.ErrNotFound) {
		return logState{}, 0, nil
	}
	if err != nil {
		return logState{}, 0, err
	}
	if err := json.Unmarshal(m.Data, &s); err != nil {
		return logState{}, 0, err
	}
	return s, m.Sequence, nil
}

func (l *logMonitor) writeState(ctx context.Context, s logState, revision uint64) (uint64, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return 0, err
	}
	return l.queue.appendMessage(ctx, checkpointsStream, eventlog.Write{Subject: logStateSubject, Data: data, Conditional: true, Revision: revision})
}

// updateState changes the stored state with f. It repeats that if another process writes the state at the same time.
func (l *logMonitor) updateState(ctx context.Context, f func(*logState)) error {
	l.checkMu.Lock()
	defer l.checkMu.Unlock()
	return l.updateStateLocked(ctx, f)
}

// updateStateLocked is updateState with checkMu held.
func (l *logMonitor) updateStateLocked(ctx context.Context, f func(*logState)) error {
	for try := 0; ; try++ {
		s, revision, err := l.loadState(ctx)
		if err != nil {
			return err
		}
		f(&s)
		revision, err = l.writeState(ctx, s, revision)
		if err == nil {
			l.mu.Lock()
			l.state, l.revision = s, revision
			l.mu.Unlock()
			return nil
		}
		if try == 5 || !errors.Is(err, eventlog.ErrConflict) {
			return err
		}
	}
}

// recordDamagedFilesLocked records damaged files in the state. checkMu is held.
func (l *logMonitor) recordDamagedFilesLocked(ctx context.Context, findings []eventlog.FileDamage) error {
	findings = slices.DeleteFunc(slices.Clone(findings), func(f eventlog.FileDamage) bool { return f.Torn })
	if len(findings) == 0 {
		return nil
	}
	return l.updateStateLocked(ctx, func(s *logState) {
		for _, f := range findings {
			s.Damaged = append(s.Damaged, DamagedFile{FileDamage: f, Found: time.Now().UTC().Truncate(time.Second)})
		}
		s.Damaged = s.Damaged[max(0, len(s.Damaged)-maxDamagedFiles):]
	})
}

// logLostRanges logs the lost ranges that this process has not logged yet.
func (l *logMonitor) logLostRanges(s logState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range s.Lost {
		if r.Accepted || l.loggedLost[r.First] {
			continue
		}
		l.loggedLost[r.First] = true
		l.queue.config.Log.Error("pages of the log are lost: the events on them cannot be delivered or replayed; see landfall doctor",
			"first", r.First, "last", r.Last, "pages", r.Pages(), "found", r.Found)
	}
}

// hasOlderVersions reports whether a process of an earlier version has used the log recently, or before this process opened it.
func (l *logMonitor) hasOlderVersions(ctx context.Context) bool {
	l.mu.Lock()
	opened := l.openedByOlder
	l.mu.Unlock()
	if opened || !l.queue.store.Shared() {
		return opened
	}
	err := l.queue.eachCheckpoint(ctx, allCheckpoints, func(c storedCheckpoint) error {
		l.noteOlderOwner(c.checkpoint)
		return nil
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	return err != nil || !l.olderSeenAt.IsZero() && time.Since(l.olderSeenAt) < olderGrace
}

// noteOlderOwner records the time if a process of an earlier version owns the checkpoint.
func (l *logMonitor) noteOlderOwner(cp checkpoint) {
	if cp.Owner != "" && cp.LogCreated == 0 {
		l.mu.Lock()
		l.olderSeenAt = time.Now()
		l.mu.Unlock()
	}
}

// noteOpenedByOlder records that a process of an earlier version opened the log before.
func (l *logMonitor) noteOpenedByOlder() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.openedByOlder = true
}

// close records where the log ends.
func (l *logMonitor) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := l.checkLog(ctx); err != nil {
		l.queue.config.Log.Debug("checking the log", "error", err)
	}
}

// currentView returns the latest view of the log.
func (l *logMonitor) currentView() logView {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.view
}

// viewAfter returns a view of the log that was requested after t.
func (l *logMonitor) viewAfter(ctx context.Context, t time.Time) (logView, error) {
	if v := l.currentView(); v.requestedAt.After(t) {
		return v, nil
	}
	if err := l.checkLog(ctx); err != nil {
		return logView{}, err
	}
	return l.currentView(), nil
}

// isConclusive reports whether a view proves that a checkpoint does not match the log. On a cluster, a checkpoint of the same log
// must be beyond the end for leaderGrace.
func (l *logMonitor) isConclusive(bad *plannedRepair, v logView, log int64) bool {
	if !l.queue.store.Shared() || bad.Cause != beyondEnd || log != 0 && log != v.created {
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

// isOnHold reports whether a backup is being made, as far as known.
func (l *logMonitor) isOnHold() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.isHeld(time.Now())
}
