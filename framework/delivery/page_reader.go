package delivery

import (
	"errors"
	"iter"
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
	holdsLetters   bool      // its events are dead letters that a command reads
	acceptedMillis int64     // in milliseconds since 1970
	readAt         time.Time // when it was read from the log

	// The worker's mutex guards the fields below once the page is among the open pages.

	verdictsLeft  []uint16         // verdicts that each event waits for
	earlyOutcomes map[int][]string // verdicts of unfinished events
	eventsLeft    int              // unfinished events of the instance's sources
	fullyRead     bool             // all its events have tasks or verdicts
	pinnedBytes   int              // of its data if tasks keep it in memory
}

// Values in verdictsLeft of events without verdicts.
const (
	verdictsUnknown = 1<<16 - 1 // of an event that is not mapped yet
	verdictsNone    = 1<<16 - 2 // of an event of another source, which gets none
)

// isFinishedLocked reports whether all events have their verdicts. The worker's mutex is held.
func (p *page) isFinishedLocked() bool { return p.fullyRead && p.eventsLeft == 0 }

// pageReader reads the events of one page.
type pageReader struct {
	partition        *partition
	page             *page
	bytes            int  // of the page's data
	copies           bool // tasks get copies of their events
	events           []parsedEvent
	own              []eventRange // of the instance's sources; the others may not be parsed
	duplicates       map[int]bool // the events whose messageId was seen before; nil for none
	onlySubscription string       // the only subscription to run; "" for all

	origins   []position        // of replayed events, by index; nil if unknown
	unmatched []unmatchedEvents // whose outcomes are not recorded yet

	candidates [4]*runtime.Subscription // for the list of an event's subscriptions
	tasks      [4]*task                 // for the list of an event's tasks
}

// ownEvents returns the events of the instance's sources by index.
func (r *pageReader) ownEvents() iter.Seq2[int, *parsedEvent] {
	return func(yield func(int, *parsedEvent) bool) {
		for _, own := range r.own {
			for i := own.from; i < own.to; i++ {
				if !yield(i, &r.events[i]) {
					return
				}
			}
		}
	}
}

// openPage adds the page to the partition's open pages. The events whose bit is set are finished.
func (r *pageReader) openPage(finished []byte) {
	p, pg, n := r.partition, r.page, 0
	pg.verdictsLeft = slices.Repeat([]uint16{verdictsNone}, len(r.events))
	for i := range r.ownEvents() {
		n++
		if pg.verdictsLeft[i] = verdictsUnknown; hasBit(finished, i) {
			pg.verdictsLeft[i] = 0
			continue
		}
		pg.eventsLeft++
	}
	p.worker.mu.Lock()
	defer p.worker.mu.Unlock()
	p.openPages, p.nextPage = append(p.openPages, pg), pg.seq+1
	p.eventsPerPage += (float64(n) - p.eventsPerPage) / 16
	r.copies = p.copiesEventsLocked()
}

// readEvents maps the events of the page and starts their tasks.
func (r *pageReader) readEvents() error {
	if err := r.waitForCapacity(); err != nil {
		return err
	}
	for i, e := range r.ownEvents() {
		if err := r.readEvent(i, e); err != nil {
			return err
		}
	}
	r.closePage()
	return nil
}

// waitForCapacity waits until the partition can hold another event.
func (r *pageReader) waitForCapacity() error {
	r.partition.worker.mu.Lock()
	defer r.partition.worker.mu.Unlock()
	return r.partition.waitForCapacityLocked()
}

// readEvent maps one event and starts its tasks.
func (r *pageReader) readEvent(i int, e *parsedEvent) error {
	p := r.partition
	err := e.err
	if r.duplicates[i] {
		err = errDuplicate
	}
	if r.page.verdictsLeft[i] == 0 { // safe without the mutex: no other goroutine uses it before the tasks start
		return p.ctx.Err()
	}
	stopped := err == nil && p.mapping.beginMapping(p.logID, r.page.seq, i, false)
	var tasks []*task
	var verdicts []runtime.Verdict
	switch {
	case err != nil:
	case stopped:
		tasks = r.refuseStopped(i, e.event)
	default:
		tasks, verdicts = r.mapEvent(i, e.event)
	}
	p.mapping.endMapping()
	if err != nil || len(tasks)+len(verdicts) == 0 {
		r.noteUnmatched(i, unmatchedOutcome(err))
		return p.ctx.Err()
	}
	return r.startTasks(i, tasks, verdicts)
}

// startTasks starts the tasks of an event and records its final verdicts, once the partition can hold them.
func (r *pageReader) startTasks(i int, tasks []*task, verdicts []runtime.Verdict) error {
	p, w := r.partition, r.partition.worker
	w.mu.Lock()
	defer w.mu.Unlock()
	r.recordUnmatchedLocked()
	if err := p.waitForCapacityLocked(); err != nil {
		return err
	}
	r.page.verdictsLeft[i] = uint16(len(tasks) + len(verdicts))
	for _, v := range verdicts {
		p.countVerdictLocked(countSkipped, v.Subscription, v.Cause, v.Reason)
		p.recordOutcomeLocked(r.page, i, countSkipped)
	}
	if len(tasks) > 0 && !r.copies {
		p.pinPageLocked(r.page, r.bytes)
	}
	for _, t := range tasks {
		w.startTaskLocked(t)
	}
	r.copies = p.copiesEventsLocked()
	return nil
}

// unmatchedEvents are consecutive events without tasks that have the same outcome.
type unmatchedEvents struct {
	eventRange
	outcome string
}

// noteUnmatched notes that an event has no tasks.
func (r *pageReader) noteUnmatched(i int, outcome string) {
	if n := len(r.unmatched); n > 0 && r.unmatched[n-1].to == i && r.unmatched[n-1].outcome == outcome {
		r.unmatched[n-1].to++
		return
	}
	r.unmatched = append(r.unmatched, unmatchedEvents{eventRange{i, i + 1}, outcome})
}

// recordUnmatchedLocked records the outcomes of the events without tasks that were read since the last call. Most events of a log concern
// few of its instances, so they are recorded together.
func (r *pageReader) recordUnmatchedLocked() {
	for _, u := range r.unmatched {
		clear(r.page.verdictsLeft[u.from:u.to])
		r.partition.finishEventsLocked(r.page, u.outcome, u.to-u.from)
		r.partition.worker.runner.metrics.countUnmatched(r.partition.worker.id, u.outcome, u.to-u.from)
	}
	r.unmatched = r.unmatched[:0]
}

var errDuplicate = errors.New("the messageId was accepted before")

// mapEvent runs the matching subscriptions on an event. It returns final verdicts for skipped subscriptions and tasks for the
// others. A task that could not be mapped has a refusal.
func (r *pageReader) mapEvent(i int, e event.Event) (tasks []*task, verdicts []runtime.Verdict) {
	plan := r.partition.worker.instance.Plan
	if f := r.partition.worker.runner.settings.beforeMapping; f != nil {
		f(e)
	}
	cause, known, copied := fault.Cause(""), false, false
	tasks = r.tasks[:0]
	for _, s := range plan.Candidates(e, r.candidates[:0]) {
		if r.onlySubscription != "" && r.onlySubscription != s.Name() {
			continue
		}
		matches, panicked := matchQuery(s, e)
		if !matches && !panicked {
			continue
		}
		if !known {
			cause, known = r.partition.worker.runner.skipCause(e), true
		}
		if r.copies && !copied {
			e, copied = copyOf(e), true
		}
		item, v := prepareMatch(plan, s, e, i, panicked)
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

// matchQuery reports whether the query of a subscription matches an event, and whether that panicked.
func matchQuery(s *runtime.Subscription, e event.Event) (matches, panicked bool) {
	defer func() { panicked = recover() != nil }()
	return s.Query().Match(e.Value()), false
}

// prepareMatch prepares an event for a subscription whose query matches it, or panicked: then Prepare returns the panic as a verdict.
func prepareMatch(plan *runtime.Plan, s *runtime.Subscription, e event.Event, i int, panicked bool) (runtime.Item, *runtime.Verdict) {
	if panicked {
		return plan.Prepare(s, e, i)
	}
	return plan.PrepareMatching(s, e, i)
}

// newTask returns a task for an event. If refused is not nil, the task becomes a dead letter.
func (r *pageReader) newTask(i int, e event.Event, item runtime.Item, refused *runtime.Verdict) *task {
	return &task{
		item: item, partition: r.partition, page: r.page, eventIndex: i, source: r.events[i].source, key: tasks.KeyOf(item), refusal: refused,
		bytes: len(e.Raw()) + item.Payload.Size(), origin: r.originOf(i), erased: isErasedLine([]byte(e.Raw())),
	}
}

// closePage marks the page as fully read.
func (r *pageReader) closePage() {
	w := r.partition.worker
	w.mu.Lock()
	defer w.mu.Unlock()
	r.recordUnmatchedLocked()
	r.page.fullyRead = true
	r.partition.closeFinishedLocked(r.page)
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
