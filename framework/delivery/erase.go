package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/dispatch"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// An event that is erased is overwritten in its page with an empty object and spaces, so that the other events of the page keep their positions.
// The event of a dead letter is, too.
const erasedEvent = "{}"

// isErasedLine reports whether the event of a line was erased.
func isErasedLine(line []byte) bool {
	return bytes.HasPrefix(line, []byte(erasedEvent)) && len(bytes.TrimRight(line, " ")) == len(erasedEvent)
}

var errErased = errors.New("the event was erased")

// isErased reports whether an event was erased, or is to be.
func (r *Runner) isErased(e event.Event) bool {
	if f := r.settings.Erased; f != nil && f(e.Value()) {
		return true
	}
	return isErasedLine([]byte(e.Raw()))
}

// skipCause returns why an event is skipped because of its user, or "".
func (r *Runner) skipCause(e event.Event) fault.Cause {
	switch {
	case r.isErased(e):
		return fault.CauseErased
	case r.isSuppressed(e):
		return fault.CauseSuppressed
	}
	return ""
}

// skippedVerdict returns the verdict on an event that is skipped because of its user.
func skippedVerdict(subscription string, cause fault.Cause) *runtime.Verdict {
	v := runtime.NotDelivered(runtime.Skipped, cause)
	v.Subscription = subscription
	return &v
}

// isErased reports whether the event of a task was erased before it was read, or is to be. It does not look at the event's text, which is no longer in
// the caches of the processor if many tasks wait.
func (t *task) isErased() bool {
	f := t.partition.worker.runner.settings.Erased
	return t.erased || f != nil && f(t.item.Event.Value())
}

// skipErasedLocked ends a task whose event was erased or is to be, and reports whether it did.
func (w *worker) skipErasedLocked(t *task) bool {
	if !t.isErased() {
		return false
	}
	w.finishTaskLocked(t, countSkipped, fault.CauseErased, fault.CauseErased.Text())
	return true
}

// EachStored calls visit for the JSON of all events that the queue has: those of the log, with the copies of replays, and those of dead letters.
func (q *Queue) EachStored(ctx context.Context, visit func(raw []byte)) error {
	if err := q.settle(ctx); err != nil {
		return err
	}
	err := q.scanEvents(ctx, eventlog.Query{Filters: []string{"ev.>", "ctl.>"}}, func(m eventlog.Message) (bool, error) {
		if strings.HasPrefix(m.Subject, "ctl.") && m.Header[opHeader] != opReplayEvents {
			return true, nil
		}
		for line := range bytes.Lines(m.Data) {
			if line = bytes.TrimSuffix(line, []byte{'\n'}); !isErasedLine(line) {
				visit(line)
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	return q.DeadLetters(ctx, DeadLetterFilter{}, func(l *DeadLetter) error {
		visit(l.Event)
		return nil
	})
}

// EraseDeadLetters deletes the dead letters whose event matches, and returns how many it has found. Settings.Erased must report the same events:
// parked events are deleted by the process that has their partition, which skips them, so they are still there when it returns. isRemoved
// reports whether an instance is not in the config.
func (q *Queue) EraseDeadLetters(ctx context.Context, match func(event.Value) bool, isRemoved func(instance string) bool) (found int, err error) {
	var deleted []*DeadLetter
	parked := map[partitionID][]string{} // hashes of keys
	err = q.DeadLetters(ctx, DeadLetterFilter{}, func(l *DeadLetter) error {
		empty := l.Instance == "" // of a dead letter that was overwritten as a whole
		if e, err := event.Parse(l.Event); !empty && (err != nil || !match(e.Value()) && !isErasedLine(l.Event)) {
			return nil
		}
		found++
		at := partitionID{l.Instance, l.partition}
		switch {
		case empty, !l.Parked, isRemoved(l.Instance):
			deleted = append(deleted, &DeadLetter{Parked: strings.HasPrefix(l.storedSubject, "park."), storedSeq: l.storedSeq})
		default:
			parked[at] = append(parked[at], parseParkedKey(l.storedSubject))
			if q.shredder() != nil {
				deleted = append(deleted, l) // its key is unparked by the process that has the partition
			}
		}
		return nil
	})
	for _, l := range deleted {
		if err == nil {
			err = q.eraseLetter(ctx, l)
		}
	}
	if err != nil {
		return found, err
	}
	for at, keys := range parked {
		slices.Sort(keys)
		parked[at] = slices.Compact(keys)
	}
	return found, q.sendKeyCommands(ctx, opUnpark, parked)
}

// parseParkedKey returns the hash of the ordering key in the subject of a parked event.
func parseParkedKey(subject string) string {
	if parts := strings.Split(subject, "."); len(parts) > 3 {
		return parts[3]
	}
	return ""
}

// EraseRequest says what Erase overwrites.
type EraseRequest struct {
	Match func(event.Value) bool // selects events
	// HasUser reports whether a text names a user to erase. Such texts are removed from the requests that the dead letters of others keep.
	HasUser func(text string) bool
	// FinishedBefore returns the first page that an instance has not finished: see Runner.FinishedBefore. On a cluster, that page and later ones are left
	// alone. It may be nil if nothing is delivered.
	FinishedBefore func(context.Context) (uint64, error)

	left bool // a compressed group of the journal had no space for what replaces its events
}

// errOnHold means that a backup is being made, which would be damaged.
var errOnHold = errors.New("a backup is being made: the events are overwritten afterwards")

// errStillJournaled means that events were accepted just before they were to be overwritten, and do not fit in their place in the journal.
var errStillJournaled = errors.New("overwriting events in the journal: trying again when they are in the log")

// Erase overwrites the data of events in the log and in the requests of dead letters. In the files of a log in this process it also overwrites
// what was deleted, and writes to such a log wait meanwhile. It returns how many servers of a cluster have overwritten the data, 0 if the log is in
// this process. It can be interrupted and repeated.
func (q *Queue) Erase(ctx context.Context, r EraseRequest) (servers int, err error) {
	if q.monitor.isOnHold() {
		return 0, errOnHold
	}
	if shredder := q.shredder(); shredder != nil {
		servers, err = q.eraseOnCluster(ctx, shredder, &r)
		if err != nil {
			return 0, fmt.Errorf("overwriting events on the cluster: %w", err)
		}
		return servers, nil
	}
	return 0, q.eraseFiles(ctx, &r)
}

// eraseFiles overwrites the data in the files of a log in this process.
func (q *Queue) eraseFiles(ctx context.Context, r *EraseRequest) error {
	eraser, ok := q.store.(eventlog.Eraser)
	if !ok {
		return fmt.Errorf("overwriting events: %w", errors.ErrUnsupported)
	}
	if err := q.settle(ctx); err != nil {
		return err
	}
	if q.journal != nil && q.canDeleteSafely() {
		if err := q.journal.forgetTransferred(ctx, true); err != nil {
			return fmt.Errorf("deleting what the log has from the journal: %w", err)
		}
	}
	err := eraser.Erase(ctx, r.rewriteMessage)
	q.feeds.dropPages()
	if errors.Is(err, eventlog.ErrNoSpace) {
		return fmt.Errorf("overwriting events in the log: %w: they stay until delivery.retention, or a lower delivery.maxBytes, has deleted the page", err)
	}
	if err != nil {
		return fmt.Errorf("overwriting events in the log: %w", err)
	}
	if r.left {
		return errStillJournaled
	}
	if !q.hasDisk() {
		return nil
	}
	if _, err := logFiles(q.config.Dir).EraseCopies(r.isInCopy); err != nil {
		return fmt.Errorf("deleting copies of damaged files: %w", err)
	}
	return nil
}

// HasText reports whether one of the texts of a request matches.
func (x *Exchange) HasText(match func(string) bool) bool {
	return match(x.URL) || match(x.Body) || match(x.Response) || match(x.Error)
}

// ForgetVerdicts removes the requests of the verdicts that this process remembers if they have a text that matches, and the verdicts whose key
// does.
func (r *Runner) ForgetVerdicts(match func(text string) bool) {
	v := &r.verdicts
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range v.ring {
		s := &v.ring[i]
		if match(s.Key) {
			*s = VerdictRecord{At: s.At, Instance: s.Instance, Subscription: s.Subscription, Outcome: s.Outcome, Cause: s.Cause, Key: erasedKey}
			continue
		}
		if s.Request != nil && s.Request.HasText(match) {
			s.Request = nil
		}
		if match(s.Reason) {
			s.Reason = s.Cause.Text()
		}
		if s.Batch != nil {
			s.Batch = s.Batch.without(match)
		}
	}
}

// without returns a batch without the requests that have a text that matches.
func (b *Batch) without(match func(text string) bool) *Batch {
	copied := *b
	copied.Requests = nil
	for _, x := range b.Requests {
		if x.HasText(match) {
			copied.Partial = true
			continue
		}
		copied.Requests = append(copied.Requests, x)
	}
	return &copied
}

// withoutErasedLocked ends the tasks whose events were erased or are to be, and returns the others.
func (w *worker) withoutErasedLocked(list []*dispatch.Task[*task]) []*dispatch.Task[*task] {
	return slices.DeleteFunc(list, func(t *dispatch.Task[*task]) bool { return w.skipErasedLocked(t.Value) })
}

// hasErased reports whether the event of a task was erased, or is to be.
func (w *worker) hasErased(list []*dispatch.Task[*task]) bool {
	return slices.ContainsFunc(list, func(t *dispatch.Task[*task]) bool { return t.Value.isErased() })
}

// deliverTasks sends the events of tasks, except for those that were erased since they were read, and returns the verdicts on all of them.
func (w *worker) deliverTasks(ctx context.Context, list []*dispatch.Task[*task]) []runtime.Verdict {
	items, skipped := make([]runtime.Item, 0, len(list)), map[int]bool(nil)
	for i, t := range list {
		if !t.Value.isErased() {
			items = append(items, t.Value.item)
			continue
		}
		if skipped == nil {
			skipped = map[int]bool{}
		}
		skipped[i] = true
	}
	var sent []runtime.Verdict
	if len(items) > 0 {
		sent = w.instance.Plan.Deliver(ctx, items)
	}
	if skipped == nil {
		return sent
	}
	verdicts := make([]runtime.Verdict, len(list))
	for i, t := range list {
		if skipped[i] {
			verdicts[i] = *skippedVerdict(t.Value.item.Subscription.Name(), fault.CauseErased)
			continue
		}
		verdicts[i], sent = sent[0], sent[1:]
	}
	return verdicts
}

// IsSendingErased reports whether this process is sending an event that is to be erased.
func (r *Runner) IsSendingErased() (sending bool) {
	r.eachWorker(func(w *worker) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for b := range w.sending {
			sending = sending || w.hasErased(b.Tasks)
		}
	})
	return sending
}
