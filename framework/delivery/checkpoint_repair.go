package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/fault"
)

// anchor is a page of the log and when it was stored. If the log has a page of that number with another time, it is another log,
// or it has lost its end and reused the numbers.
type anchor struct {
	Seq  uint64 `json:"seq"`
	Time int64  `json:"time"` // nanoseconds since 1970
}

// lastPage returns the last page that the checkpoint mentions.
func (cp checkpoint) lastPage() uint64 {
	top := max(cp.Low, 1) - 1
	for _, r := range cp.Done {
		top = max(top, r[1])
	}
	for text := range cp.Partial {
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			top = max(top, n)
		}
	}
	return top
}

// Causes of a BadCheckpoint.
const (
	beyondEnd = "beyond"   // the checkpoint is beyond the end of the log
	otherLog  = "replaced" // the log has other events there than those that were delivered
	noState   = "missing"  // the checkpoint is missing
)

// BadCheckpoint is a checkpoint that does not match the log, and where a repair would set it.
type BadCheckpoint struct {
	Instance  string `json:"instance"`
	Partition int    `json:"partition"`
	Cause     string `json:"cause"`  // beyond, replaced or missing
	At        uint64 `json:"at"`     // the last page that it mentions
	LogEnd    uint64 `json:"logEnd"` // the last page of the log
	To        uint64 `json:"to"`     // the page at which delivery continues after a repair
}

// String describes the problem.
func (b BadCheckpoint) String() string {
	where := fmt.Sprintf("%s, partition %d", b.Instance, b.Partition)
	switch b.Cause {
	case beyondEnd:
		return fmt.Sprintf("%s: its checkpoint is at page %d, but the log ends at page %d", where, b.At, b.LogEnd)
	case otherLog:
		return fmt.Sprintf("%s: the log has other events up to page %d than those that were delivered", where, b.At)
	}
	return where + ": its checkpoint is missing"
}

// plannedRepair is a BadCheckpoint with what is needed to repair it.
type plannedRepair struct {
	BadCheckpoint
	subject  string
	revision uint64
	repaired checkpoint
}

// CheckpointError means that checkpoints do not match the log, so that events would be skipped. The delivery does not start.
type CheckpointError struct{ Checkpoints []BadCheckpoint }

func (e *CheckpointError) Error() string {
	return fmt.Sprintf("%s not match the log (%s): the log has lost its end, or the two come from different backups. "+
		"Events would be skipped, so nothing is delivered. To see the new positions, run landfall checkpoints repair --dry-run; to set them, run it without --dry-run",
		fault.Count(len(e.Checkpoints), "checkpoint")+fault.Plural(len(e.Checkpoints), " does", " do"), e.Checkpoints[0])
}

// storedCheckpoint is a checkpoint as read from its stream.
type storedCheckpoint struct {
	subject    string
	instance   string
	partition  int
	revision   uint64
	checkpoint checkpoint
}

// allCheckpoints is the filter of the checkpoints of all instances.
const allCheckpoints = "book.>"

// eachCheckpoint calls f for each checkpoint whose subject matches a filter, in no particular order. It gets each by its subject: a
// scan can miss those that other processes write in the meantime.
func (q *Queue) eachCheckpoint(ctx context.Context, filter string, f func(storedCheckpoint) error) error {
	subjects, err := q.store.Subjects(ctx, checkpointsStream, filter)
	if err != nil {
		return err
	}
	for _, subject := range subjects {
		parts := strings.Split(subject, ".")
		n, err := strconv.Atoi(parts[len(parts)-1])
		if err != nil || len(parts) != 3 {
			continue // not a checkpoint
		}
		m, err := q.store.Last(ctx, checkpointsStream, subject)
		if errors.Is(err, eventlog.ErrNotFound) {
			continue // deleted in the meantime
		}
		if err == nil {
			err = f(storedCheckpoint{subject, parseToken(parts[1]), n, m.Sequence, parseCheckpoint(m.Data)})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// verifyCheckpoint compares a checkpoint with the log. It returns nil if they match, and otherwise the planned repair.
func (q *Queue) verifyCheckpoint(ctx context.Context, c storedCheckpoint, v logView) (*plannedRepair, error) {
	cp := c.checkpoint
	cause, since := "", int64(0)
	switch at, err := q.anchorTime(ctx, cp.Anchor, v); {
	case err != nil:
		return nil, err
	case cp.lastPage() > v.last:
		cause = beyondEnd
		if cp.LogCreated != 0 && cp.LogCreated != v.created && (cp.Anchor == nil || cp.Anchor.Time >= v.created || at == 0) {
			since = v.created - 1 // nothing in the new log was delivered
		} else if at != 0 && cp.Anchor != nil && at != cp.Anchor.Time {
			since = cp.Anchor.Time
		}
	case cp.LogCreated == 0 || cp.lastPage() == 0: // of an earlier version, or without progress
		return nil, nil
	case cp.Anchor != nil && cp.Anchor.Seq < v.first: // the anchor is trimmed
		return nil, nil
	case cp.LogCreated == v.created:
		if cp.Anchor == nil || at == 0 || at == cp.Anchor.Time {
			return nil, nil // missing pages are counted as lost
		}
		cause, since = otherLog, cp.Anchor.Time
	case cp.Anchor != nil && at == cp.Anchor.Time && at < v.created: // restored from a backup
		return nil, nil
	default:
		cause, since = otherLog, v.created-1
		if cp.Anchor != nil {
			since = min(since, cp.Anchor.Time)
		}
	}
	bad := &plannedRepair{
		BadCheckpoint: BadCheckpoint{Instance: c.instance, Partition: c.partition, Cause: cause, At: cp.lastPage(), LogEnd: v.last},
		subject:       c.subject, revision: c.revision,
	}
	return bad, q.planRepair(ctx, bad, cp, v, since)
}

// anchorTime returns when the page of an anchor was stored, 0 if it is not there.
func (q *Queue) anchorTime(ctx context.Context, a *anchor, v logView) (int64, error) {
	if a == nil || a.Seq < v.first || a.Seq > v.last || a.Seq == 0 {
		return 0, nil
	}
	m, err := q.store.Get(ctx, eventsStream, a.Seq)
	if errors.Is(err, eventlog.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return m.Time.UnixNano(), nil
}

// planRepair sets where delivery continues: at the end of the log, or at the first page stored after since if the log has pages
// that the checkpoint does not know.
func (q *Queue) planRepair(ctx context.Context, bad *plannedRepair, cp checkpoint, v logView, since int64) error {
	end := v.last + 1
	if since != 0 {
		to, err := q.firstMessageAfter(ctx, eventsStream, eventlog.Info{FirstSeq: v.first, LastSeq: v.last}, time.Unix(0, since))
		if err != nil {
			return err
		}
		end = to
	}
	fixed := checkpoint{Low: min(cp.Low, end), Start: min(cp.Start, end), Counts: cp.Counts, LogCreated: v.created}
	for _, r := range cp.Done {
		if r[0] < end {
			fixed.Done = append(fixed.Done, [2]uint64{r[0], min(r[1], end-1)})
		}
	}
	for seq, bits := range cp.Partial {
		if n, err := strconv.ParseUint(seq, 10, 64); err == nil && n < end {
			fixed.setPartial(seq, bits)
		}
	}
	if end > 1 {
		newAnchor := anchor{Seq: end - 1}
		at, err := q.anchorTime(ctx, &newAnchor, v)
		if err != nil {
			return err
		}
		if newAnchor.Time = at; at != 0 {
			fixed.Anchor = &newAnchor
		}
	}
	bad.repaired, bad.To = fixed, fixed.Low
	return nil
}

// findBadCheckpoints returns the checkpoints that do not match the log. A listed instance without checkpoints counts as bad if
// other partitions of it have one, or if all checkpoints were lost.
func (q *Queue) findBadCheckpoints(ctx context.Context, instances []string) ([]plannedRepair, error) {
	known := map[string]map[int]checkpoint{}
	var stored []storedCheckpoint
	err := q.eachCheckpoint(ctx, allCheckpoints, func(c storedCheckpoint) error {
		if known[c.instance] == nil {
			known[c.instance] = map[int]checkpoint{}
		}
		known[c.instance][c.partition] = c.checkpoint
		stored = append(stored, c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := q.monitor.checkLog(ctx); err != nil { // after the checkpoints were read, since other processes write them as the log grows
		return nil, err
	}
	q.monitor.mu.Lock()
	view, orphaned := q.monitor.view, q.monitor.state.Orphaned
	q.monitor.mu.Unlock()
	var list []plannedRepair
	for _, c := range stored {
		bad, err := q.verifyCheckpoint(ctx, c, view)
		if err != nil {
			return nil, err
		}
		if bad != nil {
			list = append(list, *bad)
		}
	}
	for _, id := range instances {
		if len(known[id]) > 0 && !areUnused(known[id]) || len(known[id]) == 0 && orphaned {
			list = append(list, q.missingCheckpoints(id, known[id], view)...)
		}
	}
	slices.SortFunc(list, func(a, b plannedRepair) int {
		return cmp.Or(cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Partition, b.Partition))
	})
	return list, nil
}

// missingCheckpoints returns a repair for each partition of an instance that has no checkpoint.
func (q *Queue) missingCheckpoints(instance string, known map[int]checkpoint, view logView) (list []plannedRepair) {
	for n := range q.partitions {
		if _, ok := known[n]; ok {
			continue
		}
		first := max(view.first, 1)
		list = append(list, plannedRepair{
			BadCheckpoint: BadCheckpoint{Instance: instance, Partition: n, Cause: noState, LogEnd: view.last, To: first},
			subject:       checkpointSubject(instance, n), repaired: checkpoint{Low: first, LogCreated: view.created},
		})
	}
	return list
}

// areUnused reports whether no process has delivered with the checkpoints: their creation was interrupted.
func areUnused(checkpoints map[int]checkpoint) bool {
	for _, cp := range checkpoints {
		if cp.Owner != "" || len(cp.Counts) > 0 {
			return false
		}
	}
	return true
}

// RepairOptions configure RepairCheckpoints.
type RepairOptions struct {
	Instances  []string // instances that must have checkpoints
	DryRun     bool     // only report what would change
	AcceptLoss bool     // acknowledge lost ranges and damaged files
}

// RepairCheckpoints sets checkpoints that do not match the log to a position at which no event is skipped. Events that may have
// been delivered already are delivered again. It returns the checkpoints that were, or would be, set. If another process writes a
// checkpoint at the same time, the repair is repeated.
func (q *Queue) RepairCheckpoints(ctx context.Context, r RepairOptions) ([]BadCheckpoint, error) {
	var done []BadCheckpoint
	err := eventlog.RetryWhile(ctx, eventlog.ErrConflict, 20, 100*time.Millisecond, func() error {
		repaired, err := q.repairCheckpoints(ctx, r)
		done = append(done, repaired...)
		return err
	})
	if err != nil || r.DryRun {
		return done, err
	}
	return done, q.monitor.updateState(ctx, func(s *logState) {
		s.Orphaned = false
		if r.AcceptLoss {
			s.Damaged = nil
			for i := range s.Lost {
				s.Lost[i].Accepted = true
			}
		}
	})
}

// repairCheckpoints makes one attempt to set the bad checkpoints, and stops at the first error. It returns those that were, or
// would be, set.
func (q *Queue) repairCheckpoints(ctx context.Context, r RepairOptions) ([]BadCheckpoint, error) {
	list, err := q.findBadCheckpoints(ctx, r.Instances)
	if err != nil {
		return nil, err
	}
	done := make([]BadCheckpoint, 0, len(list))
	for _, bad := range list {
		if !r.DryRun {
			if _, err := q.appendMessage(ctx, checkpointsStream, bad.repaired.toMessage(bad.subject, bad.revision)); err != nil {
				return done, fmt.Errorf("setting the checkpoint of %s, partition %d: %w", bad.Instance, bad.Partition, err)
			}
			q.monitor.clearBadCheckpoint(bad.subject)
		}
		done = append(done, bad.BadCheckpoint)
	}
	return done, nil
}

// addBadCheckpoint records a checkpoint that does not match the log. It reports whether that is news.
func (l *logMonitor) addBadCheckpoint(bad plannedRepair) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was, known := l.badCheckpoints[bad.subject]
	l.badCheckpoints[bad.subject] = bad
	return !known || was.Cause != bad.Cause
}

// clearBadCheckpoint removes the record of a bad checkpoint.
func (l *logMonitor) clearBadCheckpoint(subject string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.badCheckpoints, subject)
	delete(l.doubtedSince, subject)
}

// clearBadCheckpoints removes the records that gone accepts: another process has written the checkpoint, or the instance is gone.
func (l *logMonitor) clearBadCheckpoints(gone func(plannedRepair) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for subject, b := range l.badCheckpoints {
		if gone(b) {
			delete(l.badCheckpoints, subject)
			delete(l.doubtedSince, subject)
		}
	}
}
