package delivery

import (
	"errors"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/tasks"
)

func hasBit(bits []byte, i int) bool { return i/8 < len(bits) && bits[i/8]&(1<<(i%8)) != 0 }

// page is a message of the log with unfinished events.
type page struct {
	seq            uint64
	replayed       bool      // its events are replayed
	holdsLetters   bool      // its events are letters that a command reads
	acceptedMillis int64     // in milliseconds since 1970
	readAt         time.Time // when it was read from the log

	// The worker's mutex guards the fields below once the page is among the open pages.

	verdictsLeft  []uint16         // verdicts that each event waits for
	earlyOutcomes map[int][]string // verdicts of unfinished events
	eventsLeft    int              // unfinished events
	fullyRead     bool             // all its events have tasks or verdicts
}

// verdictsUnknown is the value in verdictsLeft of an event that is not mapped yet.
const verdictsUnknown = 1<<16 - 1

// isFinishedLocked reports whether all events have their verdicts. The worker's mutex is held.
func (p *page) isFinishedLocked() bool { return p.fullyRead && p.eventsLeft == 0 }

// pageReader reads the events of one page.
type pageReader struct {
	partition        *partition
	page             *page
	source           string
	onlySubscription string // the only subscription to run; "" for all

	origins []position // of replayed events, by index; nil if unknown
}

// rememberIDs remembers the messageIds of events and does nothing more.
func (r *pageReader) rememberIDs(lines [][]byte) {
	for _, line := range lines {
		if e, err := event.Parse(line); err == nil {
			r.isDuplicate(e)
		}
	}
}

// isDuplicate reports whether the messageId of an event was seen before, and remembers it. Replayed events are never duplicates.
func (r *pageReader) isDuplicate(e event.Event) bool {
	return !r.page.replayed && r.partition.recentIDs.addID(r.source, e.Value().Get("messageId").Str(), r.page.seq, r.page.acceptedMillis)
}

// openPage adds the page, with n events, to the partition's open pages. The events whose bit is set are finished.
func (r *pageReader) openPage(n int, finished []byte) {
	p, pg := r.partition, r.page
	pg.verdictsLeft, pg.eventsLeft = slices.Repeat([]uint16{verdictsUnknown}, n), n
	for i := range n {
		if hasBit(finished, i) {
			pg.verdictsLeft[i] = 0
			pg.eventsLeft--
		}
	}
	p.worker.mu.Lock()
	defer p.worker.mu.Unlock()
	p.openPages, p.nextPage = append(p.openPages, pg), pg.seq+1
	p.eventsPerPage += (float64(n) - p.eventsPerPage) / 16
}

// readEvent maps one event and starts its tasks.
func (r *pageReader) readEvent(i int, line []byte) error {
	p, w := r.partition, r.partition.worker
	e, err := event.Parse(line)
	if isErasedLine(line) {
		err = errErased
	}
	if err == nil && r.isDuplicate(e) {
		err = errDuplicate
	}
	if r.page.verdictsLeft[i] == 0 { // safe without the mutex: no other goroutine uses it before the tasks start
		return nil
	}
	stopped := err == nil && p.mapping.beginMapping(p.logID, r.page.seq, i, false)
	var tasks []*task
	var verdicts []runtime.Verdict
	switch {
	case err != nil:
	case stopped:
		tasks = r.refuseStopped(i, e)
	default:
		tasks, verdicts = r.mapEvent(i, e)
	}
	p.mapping.endMapping()
	w.mu.Lock()
	defer w.mu.Unlock()
	r.page.verdictsLeft[i] = uint16(max(len(tasks)+len(verdicts), 1))
	if err != nil || len(tasks)+len(verdicts) == 0 {
		p.recordOutcomeLocked(r.page, i, p.unmatchedOutcome(err))
		return nil
	}
	for _, v := range verdicts {
		p.countVerdictLocked(countSkipped, v.Subscription, v.Cause, v.Reason)
		p.recordOutcomeLocked(r.page, i, countSkipped)
	}
	for _, t := range tasks {
		w.startTaskLocked(t)
	}
	return nil
}

var errDuplicate = errors.New("the messageId was accepted before")

// mapEvent runs the matching subscriptions on an event. It returns final verdicts for skipped subscriptions and tasks for the
// others. A task that could not be mapped has a refusal.
func (r *pageReader) mapEvent(i int, e event.Event) (tasks []*task, verdicts []runtime.Verdict) {
	plan := r.partition.worker.instance.Plan
	if f := r.partition.worker.runner.settings.beforeMapping; f != nil {
		f(e)
	}
	cause := r.partition.worker.runner.skipCause(e)
	for _, s := range plan.Candidates(e, nil) {
		if r.onlySubscription != "" && r.onlySubscription != s.Name() {
			continue
		}
		item, v := plan.Prepare(s, e, i)
		if v != nil && v.Cause == fault.CauseNotSubscribed {
			continue
		}
		if cause != "" {
			v = skippedVerdict(s.Name(), cause)
		}
		if v != nil && v.Outcome == runtime.Skipped {
			verdicts = append(verdicts, *v)
			continue
		}
		if v != nil {
			item = runtime.Item{Subscription: s, Event: e}
		}
		tasks = append(tasks, r.newTask(i, e, item, v))
	}
	return tasks, verdicts
}

// newTask returns a task for an event. If refused is not nil, the task becomes a dead letter.
func (r *pageReader) newTask(i int, e event.Event, item runtime.Item, refused *runtime.Verdict) *task {
	return &task{
		item: item, partition: r.partition, page: r.page, eventIndex: i, source: r.source, key: tasks.KeyOf(item), refusal: refused,
		bytes: len(e.Raw()) + item.Payload.Size(), origin: r.originOf(i),
	}
}

// closePage marks the page as fully read.
func (r *pageReader) closePage() {
	w := r.partition.worker
	w.mu.Lock()
	defer w.mu.Unlock()
	r.page.fullyRead = true
	r.partition.dropFinishedPagesLocked()
}

func (r *pageReader) originOf(i int) position {
	if i < len(r.origins) {
		return r.origins[i]
	}
	return position{}
}

// isSuppressed reports whether the user of an event is suppressed, and the event does not delete the user.
func (r *Runner) isSuppressed(e event.Event) bool {
	f := r.settings.Suppressed
	return f != nil && e.Value().Get("type").Str() != "delete" && f(e.Value())
}
