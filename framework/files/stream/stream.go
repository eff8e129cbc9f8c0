// Package stream takes a file of events through plans, in order and in bounded memory, and tells what became of each:
// what `landfall run` does. Failures that may pass are tried again in place, so that nothing overtakes anything.
//
// Batches of different lanes go at the same time, those of one lane one after the other. It keeps nothing on disk and knows
// no queue. A Runner is used once, by one goroutine.
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

// How many events may wait for their batches to fill, or for events before them, and how many bytes these may have. Beyond that
// the batches go as they are.
const (
	MaxWaiting      = 20_000
	maxWaitingBytes = 64 << 20
)

// Config is what a Runner works with.
type Config struct {
	Plans []*runtime.Plan
	// Complete fills in what an event of the input lacks; nil leaves events as they are. It is called by one goroutine.
	Complete func(event.Event) event.Event
	// Each is told of every event, in the order of the input; nil tells nobody. An error ends the run. The verdicts of an event
	// lie beside those of its batch: who keeps one of them keeps all these in memory.
	Each  func(Event) error
	Retry Retry
	// Parallel is how many batches may be under way at once: 8 by default. Those of one lane go one after the other in any
	// case.
	Parallel int
}

// Event is one line of the input and its verdicts: those of the subscriptions that it matches, and a single skipped one
// where it matches none.
type Event struct {
	Index    int
	Line     int // from 1
	Matched  bool
	Verdicts []runtime.Verdict
}

// Runner runs once.
type Runner struct {
	config  Config
	batches runtime.Batches
	lanes   *lanes
	order   order
	chosen  []*runtime.Subscription // room for those of one event
}

// New is a Runner.
func New(config Config) *Runner {
	if config.Complete == nil {
		config.Complete = func(e event.Event) event.Event { return e }
	}
	if config.Each == nil {
		config.Each = func(Event) error { return nil }
	}
	return &Runner{config: config, lanes: newLanes(cmp.Or(config.Parallel, 8))}
}

// Run reads events, one JSON object a line, until the input ends or ctx does. Lines of white space are passed over. A line
// that cannot be read gets its own verdict; the rest go on. Where it ends early, a read of the input may still be under way.
func (r *Runner) Run(ctx context.Context, input io.Reader) error {
	return errors.Join(r.run(ctx, input), r.lanes.wait())
}

func (r *Runner) run(ctx context.Context, input io.Reader) error {
	lines, stop, failed := make(chan []line, 2), make(chan struct{}), make(chan error, 1)
	defer close(stop)
	go func() { failed <- readAhead(input, r.config.Complete, lines, stop) }()
	for {
		select {
		case ahead, more := <-lines:
			if !more {
				return r.end(ctx, <-failed)
			}
			if err := r.addAll(ctx, ahead); err != nil {
				return err
			}
		case <-ctx.Done(): // the input may never give more
			return ctx.Err()
		}
	}
}

// end delivers what waits, unless the input has failed.
func (r *Runner) end(ctx context.Context, failed error) error {
	if failed != nil {
		return failed
	}
	return r.flush(ctx)
}

func (r *Runner) addAll(ctx context.Context, ahead []line) error {
	for i := range ahead {
		if err := r.add(ctx, &ahead[i]); err != nil {
			return err
		}
	}
	aheadPool.Put(ahead)
	return nil
}

// add takes one line as far as its batches.
func (r *Runner) add(ctx context.Context, l *line) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	index, full := r.order.begin(l.number, l.bytes)
	if l.err != nil {
		r.order.offered(index, false, []runtime.Verdict{unreadable(l.err)}, 0)
		return r.tell()
	}
	if err := r.offer(ctx, index, l.event); err != nil {
		return err
	}
	if full {
		return r.flush(ctx)
	}
	return r.tell()
}

func unreadable(err error) runtime.Verdict {
	return runtime.Verdict{
		Outcome: runtime.Refused, Status: http.StatusBadRequest, Code: fault.CodeInvalidEvent,
		Reporter: fault.ReporterIntegrations, Reason: "the line is no event: " + err.Error(),
	}
}

// offer hands an event to every subscription.
func (r *Runner) offer(ctx context.Context, index int, e event.Event) error {
	var verdicts []runtime.Verdict
	open := 0
	for _, plan := range r.config.Plans {
		r.chosen = plan.Choose(e, r.chosen[:0])
		for _, s := range r.chosen {
			item, verdict := plan.Prepare(s, e, index)
			if verdict != nil {
				if verdict.Reason != runtime.NotSubscribed {
					verdicts = append(verdicts, *verdict)
				}
				continue
			}
			open++
			if err := r.take(ctx, plan, item); err != nil {
				return err
			}
		}
	}
	matched := open > 0 || len(verdicts) > 0
	if !matched {
		verdicts = append(verdicts, r.missed(e))
	}
	r.order.offered(index, matched, verdicts, open)
	return nil
}

// take puts an item into its batch, and delivers that where it is full.
func (r *Runner) take(ctx context.Context, plan *runtime.Plan, item runtime.Item) error {
	if item.Barrier {
		return r.alone(ctx, plan, item)
	}
	if full := r.batches.Add(plan, item); full != nil {
		return r.deliver(ctx, plan, full)
	}
	return nil
}

// missed is the verdict of an event that no subscription chooses: where it is offered to but one, that of this one.
func (r *Runner) missed(e event.Event) runtime.Verdict {
	v := runtime.Verdict{
		Outcome: runtime.Skipped, Status: http.StatusBadRequest, Code: fault.CodeInvalidPayload,
		Reporter: fault.ReporterIntegrations, Reason: "the event matches no subscription",
	}
	offered, last := 0, (*runtime.Plan)(nil)
	for _, plan := range r.config.Plans {
		if n := len(plan.Offered(e)); n > 0 {
			offered, last = offered+n, plan
		}
	}
	if offered == 1 {
		v.Instance, v.Subscription, v.Reason = last.ID(), last.Offered(e)[0].Name(), runtime.NotSubscribed
	}
	return v
}

// deliver brings a batch to its end beside others, behind those of its lane.
func (r *Runner) deliver(ctx context.Context, plan *runtime.Plan, items []runtime.Item) error {
	lane := lane{plan, items[0].Lane}
	return r.lanes.run(lane, func() error {
		defer runtime.Release(items)
		return r.config.Retry.Deliver(ctx, plan, items, r.order.decide)
	})
}

// alone delivers an item after everything that came before, and before everything that comes after.
func (r *Runner) alone(ctx context.Context, plan *runtime.Plan, item runtime.Item) error {
	if err := r.settle(ctx); err != nil {
		return err
	}
	if err := r.deliver(ctx, plan, []runtime.Item{item}); err != nil {
		return err
	}
	return r.lanes.wait()
}

// flush settles everything and tells of it.
func (r *Runner) flush(ctx context.Context) error {
	if err := r.settle(ctx); err != nil {
		return err
	}
	return r.tell()
}

// settle delivers every batch as it is, and waits for all that are under way.
func (r *Runner) settle(ctx context.Context) error {
	for _, b := range r.batches.Rest() {
		if err := r.deliver(ctx, b.Plan, b.Items); err != nil {
			return err
		}
	}
	return r.lanes.wait()
}

// tell passes on the events at the front whose verdicts are complete.
func (r *Runner) tell() error {
	for _, e := range r.order.complete() {
		if err := r.config.Each(e); err != nil {
			return err
		}
	}
	return nil
}
