// Package stream delivers a file of events through plans, in order and with bounded memory, and reports the verdicts of each event. It
// implements `landfall run`.
//
// Batches of one lane are delivered one after the other, and retried in place so that the order is kept; different lanes run in
// parallel. The package must not depend on the queue, and stores nothing on disk. A Runner is used once, by one goroutine.
package stream

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"

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
	batches  runtime.Batches
	lanes    *lanes
	pending  pendingEvents
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
	return &Runner{config: config, lanes: newLanes(cmp.Or(config.Parallel, 8))}
}

// Run delivers events, one JSON object per line, until the input or ctx ends. It skips blank lines. A line that is not a valid event gets
// a refused verdict. If Run returns early, a read of the input may still be in progress.
func (r *Runner) Run(ctx context.Context, input io.Reader) error {
	return errors.Join(r.processInput(ctx, input), r.lanes.waitAll())
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
				return r.finishInput(ctx, <-failed)
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
func (r *Runner) finishInput(ctx context.Context, failed error) error {
	if failed != nil {
		return failed
	}
	return r.flushAll(ctx)
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

// addLine prepares one line for its batches.
func (r *Runner) addLine(ctx context.Context, l *line) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	index, full := r.pending.addEvent(l.number, l.bytes)
	if l.err != nil {
		r.pending.markPrepared(index, false, []runtime.Verdict{unreadableVerdict(l.err)}, 0)
		return r.reportComplete()
	}
	if err := r.prepareEvent(ctx, index, l.event); err != nil {
		return err
	}
	if full {
		return r.flushAll(ctx)
	}
	return r.reportComplete()
}

// unreadableVerdict returns the verdict of a line that is not a valid event.
func unreadableVerdict(err error) runtime.Verdict {
	return runtime.Verdict{
		Outcome: runtime.Refused, Status: http.StatusBadRequest, Code: fault.CodeInvalidEvent,
		Reporter: fault.ReporterIntegrations, Cause: fault.CauseInvalidEvent, Reason: "the line is not a valid event: " + err.Error(),
	}
}

// prepareEvent prepares an event for every matching subscription.
func (r *Runner) prepareEvent(ctx context.Context, index int, e event.Event) error {
	var verdicts []runtime.Verdict
	open := 0
	for _, plan := range r.config.Plans {
		r.matching = plan.Candidates(e, r.matching[:0])
		for _, s := range r.matching {
			item, verdict := plan.Prepare(s, e, index)
			if verdict != nil {
				if verdict.Cause != fault.CauseNotSubscribed {
					verdicts = append(verdicts, *verdict)
				}
				continue
			}
			open++
			if err := r.addItem(ctx, plan, item); err != nil {
				return err
			}
		}
	}
	matched := open > 0 || len(verdicts) > 0
	if !matched {
		verdicts = append(verdicts, r.unmatchedVerdict(e))
	}
	r.pending.markPrepared(index, matched, verdicts, open)
	return nil
}

// addItem adds an item to its batch, and delivers the batch if it is full.
func (r *Runner) addItem(ctx context.Context, plan *runtime.Plan, item runtime.Item) error {
	if item.Barrier {
		return r.deliverAlone(ctx, plan, item)
	}
	if full := r.batches.Add(plan, item); full != nil {
		return r.deliverBatch(ctx, plan, full)
	}
	return nil
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

// deliverBatch delivers a batch concurrently with other lanes, after earlier batches of its own lane.
func (r *Runner) deliverBatch(ctx context.Context, plan *runtime.Plan, items []runtime.Item) error {
	lane := lane{plan, items[0].Lane}
	return r.lanes.runInLane(lane, func() error {
		defer runtime.Release(items)
		return r.config.Retry.Deliver(ctx, plan, items, r.pending.addVerdicts)
	})
}

// deliverAlone delivers an item after all earlier items and before all later ones.
func (r *Runner) deliverAlone(ctx context.Context, plan *runtime.Plan, item runtime.Item) error {
	if err := r.deliverPending(ctx); err != nil {
		return err
	}
	if err := r.deliverBatch(ctx, plan, []runtime.Item{item}); err != nil {
		return err
	}
	return r.lanes.waitAll()
}

// flushAll delivers all pending events and reports them.
func (r *Runner) flushAll(ctx context.Context) error {
	if err := r.deliverPending(ctx); err != nil {
		return err
	}
	return r.reportComplete()
}

// deliverPending delivers all incomplete batches, and waits for all running ones.
func (r *Runner) deliverPending(ctx context.Context) error {
	for _, b := range r.batches.Flush() {
		if err := r.deliverBatch(ctx, b.Plan, b.Items); err != nil {
			return err
		}
	}
	return r.lanes.waitAll()
}

// reportComplete reports the events at the front that have all their verdicts.
func (r *Runner) reportComplete() error {
	for _, e := range r.pending.takeComplete() {
		if err := r.config.OnEvent(e); err != nil {
			return err
		}
	}
	return nil
}
