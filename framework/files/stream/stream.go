// Package stream delivers a file of events through plans, in order and with bounded memory, and reports the verdicts of each event. It
// implements `landfall run`.
//
// A program makes a [Runner] with its plans and calls [Runner.Run] with the file: one JSON object per line. Config.OnEvent gets
// each event with its verdicts, in the order of the file, and a [Summary] counts them.
//
// Batches of one lane are delivered one after the other, and failed items are retried in their place; different lanes run in parallel.
// The events of a user are delivered to each instance in the order of the file: an event is sent when the outcome of the earlier ones is
// known. The package must not depend on the queue, and stores nothing on disk. A Runner is used once, by one goroutine.
package stream

import (
	"cmp"
	"context"
	"io"
	"net/http"

	"github.com/landfall-dev/landfall/framework/dispatch"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// Limits of the events that wait for their batches to fill or for earlier events, in number and in bytes. At a limit, incomplete
// batches are delivered.
const (
	MaxWaiting      = 20_000
	maxWaitingBytes = 64 << 20
)

// Config configures a Runner.
type Config struct {
	Plans []*runtime.Plan
	// Complete adds missing fields to an input event; if nil, events are left as they are. It is called by one goroutine.
	Complete func(event.Event) event.Event
	// Suppressed reports whether the user of an event is suppressed, so that the event is skipped unless it deletes the user; may be nil.
	Suppressed func(event.Value) bool
	// OnEvent is called for every event in input order; may be nil. If it returns an error, the run ends. The verdicts of an event share
	// memory with those of its batch: retaining one retains all of them.
	OnEvent func(Event) error
	Retry   Retry
	// Parallel is the maximum number of concurrent batches; default 8. Batches of one lane are never concurrent.
	Parallel int
}

// Event is one line of the input with its verdicts: one for each subscription that it matches, or a single skipped one if it matches
// none.
type Event struct {
	Index    int
	Line     int // from 1
	Matched  bool
	Verdicts []runtime.Verdict
}

// Runner delivers the events of one input. It can be used once.
type Runner struct {
	config   Config
	sender   *sender
	pending  pendingEvents
	next     int                     // the index of the next event
	prepared []*task                 // buffer for the tasks of one event
	matching []*runtime.Subscription // buffer for the matching subscriptions of one event
}

// New returns a Runner.
func New(config Config) *Runner {
	if config.Complete == nil {
		config.Complete = func(e event.Event) event.Event { return e }
	}
	if config.OnEvent == nil {
		config.OnEvent = func(Event) error { return nil }
	}
	return &Runner{config: config}
}

// Run delivers events, one JSON object per line, until the input or ctx ends. It skips blank lines. A line that is not a valid event gets
// a refused verdict. If Run returns early, a read of the input may still be in progress.
func (r *Runner) Run(ctx context.Context, input io.Reader) error {
	r.sender = newSender(ctx, r.config.Retry, cmp.Or(r.config.Parallel, 8), func(t *task) {
		r.pending.addVerdict(t.Value.item.Index, t.Value.verdicts)
	})
	defer r.sender.close()
	return r.processInput(ctx, input)
}

// processInput receives parsed lines until the input or ctx ends.
func (r *Runner) processInput(ctx context.Context, input io.Reader) error {
	lines, stop, failed := make(chan []line, 2), make(chan struct{}), make(chan error, 1)
	defer close(stop)
	go func() { failed <- readAhead(input, r.config.Complete, lines, stop) }()
	for {
		select {
		case ahead, more := <-lines:
			if !more {
				return r.finishInput(<-failed)
			}
			if err := r.addLines(ctx, ahead); err != nil {
				return err
			}
		case <-ctx.Done(): // a read of the input may block forever
			return ctx.Err()
		}
	}
}

// finishInput delivers all pending events, unless reading the input failed.
func (r *Runner) finishInput(failed error) error {
	if failed != nil {
		return failed
	}
	return r.flushAll()
}

// addLines adds a group of lines and recycles it.
func (r *Runner) addLines(ctx context.Context, ahead []line) error {
	for i := range ahead {
		if err := r.addLine(ctx, &ahead[i]); err != nil {
			return err
		}
	}
	linePool.Put(ahead)
	return nil
}

// addLine prepares one line, and adds it to its batches.
func (r *Runner) addLine(ctx context.Context, l *line) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e := Event{Index: r.next, Line: l.number}
	r.next++
	if r.prepared = r.prepared[:0]; l.err != nil {
		e.Verdicts = []runtime.Verdict{unreadableVerdict(l.err)}
	} else {
		e.Matched, e.Verdicts = r.prepareEvent(e.Index, l.event)
	}
	crowded, full := r.addEvent(e, l.bytes)
	for _, lane := range crowded {
		if err := r.sender.dispatcher.WaitLane(ctx, lane); err != nil {
			return err
		}
	}
	if full {
		return r.flushAll()
	}
	return r.reportComplete()
}

// addEvent adds an event and its prepared tasks. It returns the lanes that are crowded, and reports whether too
// much is pending.
func (r *Runner) addEvent(e Event, bytes int) (crowded []dispatch.Lane, full bool) {
	d := r.sender.dispatcher
	d.Lock()
	defer d.Unlock()
	r.sender.recycleLocked()
	full = r.pending.addEvent(e, len(r.prepared), bytes)
	for _, t := range r.prepared {
		lane := t.Lane
		if d.AddLocked(t) {
			crowded = append(crowded, lane)
		}
	}
	return crowded, full
}

// unreadableVerdict returns the verdict of a line that is not a valid event.
func unreadableVerdict(err error) runtime.Verdict {
	return runtime.Verdict{
		Outcome: runtime.Refused, Status: http.StatusBadRequest, Code: fault.CodeInvalidEvent,
		Reporter: fault.ReporterIntegrations, Cause: fault.CauseInvalidEvent, Reason: "the line is not a valid event: " + err.Error(),
	}
}

// prepareEvent prepares the tasks of an event for every matching subscription. It returns the verdicts of the others.
func (r *Runner) prepareEvent(index int, e event.Event) (matched bool, verdicts []runtime.Verdict) {
	if f := r.config.Suppressed; f != nil && e.Value().Get("type").Str() != "delete" && f(e.Value()) {
		return false, []runtime.Verdict{runtime.NotDelivered(runtime.Skipped, fault.CauseSuppressed)}
	}
	for _, plan := range r.config.Plans {
		r.matching = plan.Candidates(e, r.matching[:0])
		for _, s := range r.matching {
			item, verdict := plan.Prepare(s, e, index)
			switch {
			case verdict == nil:
				r.prepared = append(r.prepared, r.sender.newTask(plan, item))
			case verdict.Cause != fault.CauseNotSubscribed:
				verdicts = append(verdicts, *verdict)
			}
		}
	}
	if len(r.prepared)+len(verdicts) == 0 {
		return false, append(verdicts, r.unmatchedVerdict(e))
	}
	return true, verdicts
}

// unmatchedVerdict returns the verdict of an event that matches no subscription. If there is only one subscription, the verdict names it.
func (r *Runner) unmatchedVerdict(e event.Event) runtime.Verdict {
	v := runtime.Verdict{
		Outcome: runtime.Skipped, Status: http.StatusBadRequest, Code: fault.CodeInvalidPayload,
		Reporter: fault.ReporterIntegrations, Cause: fault.CauseNotSubscribed, Reason: "the event matches no subscription",
	}
	offered, last := 0, (*runtime.Plan)(nil)
	for _, plan := range r.config.Plans {
		if n := len(plan.Offered(e)); n > 0 {
			offered, last = offered+n, plan
		}
	}
	if offered == 1 {
		v.Instance, v.Subscription, v.Reason = last.ID(), last.Offered(e)[0].Name(), fault.CauseNotSubscribed.Text()
	}
	return v
}

// flushAll delivers all pending events and reports them.
func (r *Runner) flushAll() error {
	if err := r.sender.flush(); err != nil {
		return err
	}
	return r.reportComplete()
}

// reportComplete reports the events at the front that have all their verdicts.
func (r *Runner) reportComplete() error {
	r.sender.dispatcher.Lock()
	complete := r.pending.takeComplete()
	r.sender.dispatcher.Unlock()
	for _, e := range complete {
		if err := r.config.OnEvent(e); err != nil {
			return err
		}
	}
	return nil
}
