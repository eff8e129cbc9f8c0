// Package stream takes a file of events through plans, in order and in bounded memory, and tells what became of each:
// what `landfall run` does. Failures that may pass are tried again in place, so that nothing overtakes anything.
//
// It keeps nothing on disk and knows no queue. A Runner is used once, by one goroutine.
package stream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// MaxWaiting is how many events may wait for their batches to fill; beyond it the batches go as they are.
const MaxWaiting = 20_000

// Config is what a Runner works with.
type Config struct {
	Plans []*runtime.Plan
	// Each is told of every event, in the order of the input; nil tells nobody. An error ends the run.
	Each  func(Event) error
	Retry Retry
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
	waiting []waiting // events not yet told of, in order
	first   int       // the index of waiting[0]
	next    int       // the index of the next event
}

// waiting is an event some of whose verdicts may be open.
type waiting struct {
	event Event
	open  int
}

// New is a Runner.
func New(config Config) *Runner {
	if config.Each == nil {
		config.Each = func(Event) error { return nil }
	}
	return &Runner{config: config}
}

// Run reads events, one JSON object a line, until the input ends or ctx does. Lines of white space are passed over. A line
// that cannot be read gets its own verdict; the rest go on.
func (r *Runner) Run(ctx context.Context, input io.Reader) error {
	lines := bufio.NewReaderSize(input, 1<<16)
	for line := 1; ; line++ {
		raw, err := readLine(lines)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("reading the events: %w", err)
		}
		if len(bytes.TrimSpace(raw)) > 0 {
			if err := r.add(ctx, line, raw); err != nil {
				return err
			}
		}
		if err != nil {
			return r.flush(ctx)
		}
	}
}

// readLine reads a line of any length, keeping at most one byte more than an event may have.
func readLine(lines *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := lines.ReadSlice('\n')
		if room := event.MaxBytes + 1 - len(line); room > 0 {
			line = append(line, part[:min(room, len(part))]...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimRight(line, "\r\n"), err
		}
	}
}

// add takes one line as far as its batches.
func (r *Runner) add(ctx context.Context, line int, raw []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	index := r.next
	r.next++
	r.waiting = append(r.waiting, waiting{event: Event{Index: index, Line: line}})
	e, err := event.Parse(raw)
	if err != nil {
		r.waiting[index-r.first].event.Verdicts = []runtime.Verdict{unreadable(err)}
		return r.tell()
	}
	if err := r.offer(ctx, index, e); err != nil {
		return err
	}
	if len(r.waiting) >= MaxWaiting {
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
	var missed runtime.Verdict
	subscriptions := 0
	for _, plan := range r.config.Plans {
		for _, s := range plan.Subscriptions() {
			subscriptions++
			item, verdict := plan.Prepare(s, e, index)
			w := &r.waiting[index-r.first]
			switch {
			case verdict == nil:
				w.event.Matched = true
				w.open++
				if full := r.batches.Add(plan, item); full != nil {
					if err := r.deliver(ctx, plan, full); err != nil {
						return err
					}
				}
			case verdict.Reason == runtime.NotSubscribed:
				missed = *verdict
			default:
				w.event.Matched = true
				w.event.Verdicts = append(w.event.Verdicts, *verdict)
			}
		}
	}
	if w := &r.waiting[index-r.first]; !w.event.Matched {
		if subscriptions != 1 {
			missed = runtime.Verdict{
				Outcome: runtime.Skipped, Status: http.StatusBadRequest, Code: fault.CodeInvalidPayload,
				Reporter: fault.ReporterIntegrations, Reason: "the event matches no subscription",
			}
		}
		w.event.Verdicts = []runtime.Verdict{missed}
	}
	return nil
}

// deliver brings a batch to its end.
func (r *Runner) deliver(ctx context.Context, plan *runtime.Plan, items []runtime.Item) error {
	return r.config.Retry.Deliver(ctx, plan, items, func(item runtime.Item, v runtime.Verdict) { r.decide(item.Index, v) })
}

func (r *Runner) decide(index int, v runtime.Verdict) {
	w := &r.waiting[index-r.first]
	w.event.Verdicts = append(w.event.Verdicts, v)
	w.open--
}

// flush delivers every batch as it is.
func (r *Runner) flush(ctx context.Context) error {
	for _, b := range r.batches.Rest() {
		if err := r.deliver(ctx, b.Plan, b.Items); err != nil {
			return err
		}
	}
	return r.tell()
}

// tell passes on the events at the front whose verdicts are complete.
func (r *Runner) tell() error {
	n := 0
	for n < len(r.waiting) && r.waiting[n].open == 0 && len(r.waiting[n].event.Verdicts) > 0 {
		if err := r.config.Each(r.waiting[n].event); err != nil {
			return err
		}
		r.waiting[n].event.Verdicts = nil
		n++
	}
	if n == len(r.waiting) {
		r.waiting = r.waiting[:0]
	} else {
		r.waiting = r.waiting[n:]
	}
	r.first += n
	return nil
}
