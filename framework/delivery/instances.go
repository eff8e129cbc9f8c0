package delivery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// maxCounted limits how many waiting events of an instance Backlogs counts, since it reads them.
const maxCounted = 100_000

// Backlog is what the queue holds for an instance, which may no longer be in the config.
type Backlog struct {
	Instance string `json:"instance"`
	Waiting  int    `json:"waiting"` // accepted and unfinished events, counted up to 100,000
	Parked   int    `json:"parked"`
	Dead     int    `json:"dead"`
}

// Backlogs returns the backlogs of the instances that choose accepts, nil for all, sorted by id. It reads the waiting events.
func (q *Queue) Backlogs(ctx context.Context, choose func(instance string) bool) ([]Backlog, error) {
	all := map[string]*Backlog{}
	err := q.eachCheckpoint(ctx, allCheckpoints, func(c storedCheckpoint) error {
		if choose != nil && !choose(c.instance) {
			return nil
		}
		if all[c.instance] == nil {
			all[c.instance] = &Backlog{Instance: c.instance}
		}
		r := all[c.instance]
		n, err := q.countWaiting(ctx, c, maxCounted-r.Waiting)
		r.Waiting += n
		return err
	})
	if err != nil {
		return nil, err
	}
	list := []Backlog{}
	for id, r := range all {
		if r.Parked, err = q.countLetters(ctx, parkStream, "park."+subjectToken(id)+".>"); err != nil {
			return nil, err
		}
		if r.Dead, err = q.countLetters(ctx, deadStream, "dead."+subjectToken(id)+".>"); err != nil {
			return nil, err
		}
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b Backlog) int { return cmp.Compare(a.Instance, b.Instance) })
	return list, nil
}

// CountDeadLetters returns the number of dead letters and parked events of an instance.
func (q *Queue) CountDeadLetters(ctx context.Context, instance string) (int, error) {
	dead, err := q.countLetters(ctx, deadStream, "dead."+subjectToken(instance)+".>")
	if err != nil {
		return 0, err
	}
	parked, err := q.countLetters(ctx, parkStream, "park."+subjectToken(instance)+".>")
	return dead + parked, err
}

func (q *Queue) countLetters(ctx context.Context, stream, subject string) (int, error) {
	subjects, err := q.store.Subjects(ctx, stream, subject)
	return len(subjects), err
}

// countWaiting counts the events of a partition that a checkpoint does not list as finished, up to limit.
func (q *Queue) countWaiting(ctx context.Context, c storedCheckpoint, limit int) (n int, err error) {
	if limit <= 0 {
		return 0, nil
	}
	waiting := eventlog.Query{Filters: []string{"ev.*." + strconv.Itoa(c.partition)}, From: c.checkpoint.Low}
	err = q.store.Scan(ctx, eventsStream, waiting, func(m eventlog.Message) (bool, error) {
		all, bits := c.checkpoint.finishedEvents(m.Sequence)
		for i := range countLines(m.Data) {
			if !all && !hasBit(bits, i) {
				n++
			}
		}
		return n < limit, nil
	})
	return min(n, limit), err
}

// MoveResult is how much RenameInstance has moved or ForgetInstance has deleted.
type MoveResult struct {
	Checkpoints int `json:"checkpoints"`
	DeadLetters int `json:"letters"`
}

// ErrUnknownStart is wrapped by RenameInstance if an earlier version made the checkpoints of the new instance and that instance
// has delivered events. Such checkpoints do not say where the instance started, so the events waiting for the old one cannot be
// told from those that the new one has delivered.
var ErrUnknownStart = errors.New("the checkpoints of the new instance do not say where it started")

// RenameInstance moves the dead letters and the waiting events of an instance to another one. This process must not be delivering to
// the new instance; other processes notice the change and restart it. After a crash it can be repeated.
func (q *Queue) RenameInstance(ctx context.Context, from, to string) (m MoveResult, err error) {
	for _, stream := range []string{parkStream, deadStream} { // before the checkpoints: later events of parked users wait for them
		n, err := q.moveLetters(ctx, stream, from, to)
		m.DeadLetters += n
		if err != nil {
			return m, err
		}
	}
	old, err := q.checkpointsOf(ctx, from)
	if err != nil {
		return m, err
	}
	renamed, err := q.checkpointsOf(ctx, to)
	if err != nil {
		return m, err
	}
	for n, c := range old {
		if err := q.moveCheckpoint(ctx, c, renamed[n], to); err != nil {
			return m, err
		}
		m.Checkpoints++
	}
	return m, nil
}

// checkpointsOf returns the checkpoints of an instance by partition.
func (q *Queue) checkpointsOf(ctx context.Context, id string) (map[int]storedCheckpoint, error) {
	list := map[int]storedCheckpoint{}
	err := q.eachCheckpoint(ctx, "book."+subjectToken(id)+".*", func(c storedCheckpoint) error {
		list[c.partition] = c
		return nil
	})
	return list, err
}

// moveCheckpoint makes the new instance continue at the old checkpoint, and deletes the old one.
func (q *Queue) moveCheckpoint(ctx context.Context, old, renamed storedCheckpoint, to string) error {
	merged, changed, err := mergeCheckpoints(old.checkpoint, renamed.checkpoint, renamed.revision > 0)
	if err != nil {
		return err
	}
	if changed {
		if _, err := q.appendMessage(ctx, checkpointsStream, merged.toMessage(checkpointSubject(to, old.partition), renamed.revision)); err != nil {
			return fmt.Errorf("writing the checkpoint of %s, partition %d: %w: try again", to, old.partition, err)
		}
	}
	return q.store.PurgeSubjects(ctx, checkpointsStream, old.subject)
}

// mergeCheckpoints returns the checkpoint of a renamed instance, which continues where the old one ended. What the new one has
// finished since its start stays finished.
func mergeCheckpoints(old, renamed checkpoint, exists bool) (merged checkpoint, changed bool, err error) {
	start := cmp.Or(old.Start, old.Low)
	if !exists {
		merged = old
		merged.Owner, merged.Start = "", start
		return merged, true, nil
	}
	began := renamed.Start
	if began == 0 && len(renamed.Counts) == 0 {
		began = renamed.Low
	}
	switch {
	case began == 0 && old.Low < renamed.Low:
		return checkpoint{}, false, ErrUnknownStart
	case began <= old.Low: // merged already, or nothing waits
		return renamed, false, nil
	}
	merged = renamed
	merged.Sources = unionOf(old.Sources, renamed.Sources) // those that the next owner does not receive are removed then
	if merged.Removed = maps.Clone(old.Removed); merged.Removed != nil {
		maps.Copy(merged.Removed, renamed.Removed)
	} else {
		merged.Removed = renamed.Removed
	}
	merged.Owner, merged.Start, merged.Low, merged.DedupeFrom = "", start, old.Low, old.DedupeFrom
	merged.Done, merged.Partial = nil, nil
	for _, r := range old.Done {
		if r[0] < began {
			merged.Done = append(merged.Done, [2]uint64{r[0], min(r[1], began-1)})
		}
	}
	if renamed.Low > began {
		merged.Done = append(merged.Done, [2]uint64{began, renamed.Low - 1})
	}
	merged.Done = append(merged.Done, renamed.Done...)
	for _, cp := range []checkpoint{old, renamed} {
		for seq, bits := range cp.Partial {
			merged.setPartial(seq, bits)
		}
	}
	return merged, true, nil
}

// unionOf returns the texts of two lists; nil if one of them is empty, which stands for all.
func unionOf(a, b []string) []string {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	list := slices.Concat(a, b)
	slices.Sort(list)
	return slices.Compact(list)
}

// moveLetters stores the dead letters of an instance under another one and deletes the old ones.
func (q *Queue) moveLetters(ctx context.Context, stream, from, to string) (moved int, err error) {
	var list []*DeadLetter
	subject := map[string]string{parkStream: "park.", deadStream: "dead."}[stream] + subjectToken(from) + ".>"
	for {
		list = list[:0]
		err := q.eachDeadLetter(ctx, stream, subject, func(l *DeadLetter) (bool, error) {
			list = append(list, l)
			return len(list) < maxCommandItems, nil
		})
		if err != nil || len(list) == 0 {
			return moved, err
		}
		for _, l := range list {
			if err := q.moveLetter(ctx, l, to); err != nil {
				return moved, err
			}
			moved++
		}
	}
}

func (q *Queue) moveLetter(ctx context.Context, l *DeadLetter, to string) error {
	parts := strings.Split(l.storedSubject, ".")
	parts[1] = subjectToken(to)
	l.Instance = to
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if _, err := q.appendMessage(ctx, l.streamName(), eventlog.Write{Subject: strings.Join(parts, "."), Data: data}); err != nil {
		return err
	}
	return q.deleteLetter(ctx, l)
}

// ForgetInstance deletes the checkpoints and dead letters of an instance. Its waiting events will not be delivered.
func (q *Queue) ForgetInstance(ctx context.Context, id string) (m MoveResult, err error) {
	for stream, kind := range map[string]string{parkStream: "park.", deadStream: "dead."} {
		subject := kind + subjectToken(id) + ".>"
		n, err := q.countLetters(ctx, stream, subject)
		if err != nil {
			return m, err
		}
		m.DeadLetters += n
		if err := q.store.PurgeSubjects(ctx, stream, subject); err != nil {
			return m, err
		}
	}
	old, err := q.checkpointsOf(ctx, id)
	if err != nil {
		return m, err
	}
	for _, c := range old {
		if err := q.store.PurgeSubjects(ctx, checkpointsStream, c.subject); err != nil {
			return m, err
		}
		m.Checkpoints++
	}
	return m, nil
}

// RenameInstance is like Queue.RenameInstance while the runner delivers. It stops the new instance in the meantime. The runner
// must not deliver to the old one.
func (r *Runner) RenameInstance(ctx context.Context, from, to string) (MoveResult, error) {
	r.setMu.Lock()
	defer r.setMu.Unlock()
	r.mu.Lock()
	w := r.workers[to]
	if r.workers[from] != nil {
		r.mu.Unlock()
		return MoveResult{}, fmt.Errorf("the instance %q is still delivered to", from)
	}
	delete(r.workers, to)
	r.mu.Unlock()
	if w != nil {
		r.stopWorkers(ctx, []*worker{w})
	}
	m, err := r.queue.RenameInstance(ctx, from, to)
	err = errors.Join(err, r.reloadCheckpoints(ctx, from, to))
	if w != nil {
		r.mu.Lock()
		r.workers[to] = newWorker(r, w.instance)
		r.mu.Unlock()
		r.rebalance()
	}
	return m, err
}

// ForgetInstance is like Queue.ForgetInstance. The runner must not deliver to the instance.
func (r *Runner) ForgetInstance(ctx context.Context, id string) (MoveResult, error) {
	r.setMu.Lock()
	defer r.setMu.Unlock()
	r.mu.Lock()
	known := r.workers[id] != nil
	r.mu.Unlock()
	if known {
		return MoveResult{}, fmt.Errorf("the instance %q is still delivered to", id)
	}
	m, err := r.queue.ForgetInstance(ctx, id)
	return m, errors.Join(err, r.reloadCheckpoints(ctx, id))
}

// reloadCheckpoints updates the leases with the stored checkpoints of instances.
func (r *Runner) reloadCheckpoints(ctx context.Context, ids ...string) error {
	for _, id := range ids {
		stored, err := r.queue.checkpointsOf(ctx, id)
		if err != nil {
			return err
		}
		for n := range r.queue.partitions {
			if c, ok := stored[n]; ok {
				data, err := json.Marshal(c.checkpoint)
				if err != nil {
					return err
				}
				r.leases.recordWrite(eventlog.Write{Subject: c.subject, Data: data}, c.revision)
				continue
			}
			r.leases.forgetSubject(checkpointSubject(id, n))
		}
	}
	return nil
}
