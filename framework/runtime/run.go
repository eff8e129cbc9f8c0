package runtime

import (
	"context"

	"github.com/landfall-dev/landfall/framework/destination/pool"
	"github.com/landfall-dev/landfall/framework/event"
)

// RunBatch takes events through every subscription that they are offered to, in batches. The verdicts are index by index: one for
// each of the event's subscriptions, in the order of Offered.
func (p *Plan) RunBatch(ctx context.Context, events []event.Event) [][]Verdict {
	verdicts := make([][]Verdict, len(events))
	for from := 0; from < len(events); {
		to := from + 1
		for to < len(events) && (p.deletion == nil || p.deletes(events[to]) == p.deletes(events[from])) {
			to++
		}
		p.runAlike(ctx, events[from:to], verdicts[from:to])
		from = to
	}
	return verdicts
}

// Run takes one event through every subscription: RunBatch of one.
func (p *Plan) Run(ctx context.Context, e event.Event) []Verdict {
	return p.RunBatch(ctx, []event.Event{e})[0]
}

// runAlike is RunBatch of events that are offered to the same subscriptions.
func (p *Plan) runAlike(ctx context.Context, events []event.Event, verdicts [][]Verdict) {
	subscriptions := p.Offered(events[0])
	n := len(subscriptions)
	all := make([]Verdict, len(events)*n)
	for i := range verdicts {
		verdicts[i] = all[i*n : (i+1)*n : (i+1)*n]
	}
	chosen := make([][]int, n) // the events that each subscription may take, in order
	for i, e := range events {
		choose := func(at int) {
			if chosen[at] == nil {
				chosen[at] = indexPool.Get(len(events))[:0]
			}
			chosen[at] = append(chosen[at], i)
		}
		if p.deletes(e) {
			choose(0)
		} else {
			p.chooser.choose(e.Value(), choose)
		}
	}
	for at := range subscriptions {
		p.runOne(ctx, subscriptions[at], events, chosen[at], func(i int) *Verdict { return &verdicts[i][at] })
		indexPool.Put(chosen[at])
	}
}

// runOne takes events through one subscription, those that it may take as far as they go. It puts the verdict of event i where slot says.
func (p *Plan) runOne(ctx context.Context, s *Subscription, events []event.Event, chosen []int, slot func(i int) *Verdict) {
	deliver := func(items []Item) {
		p.deliverTo(ctx, items, func(i int) *Verdict { return slot(items[i].Index) })
		Release(items)
	}
	var batches Batches
	for i, e := range events {
		if len(chosen) == 0 || chosen[0] != i {
			*slot(i) = p.notSubscribed(s)
			continue
		}
		chosen = chosen[1:]
		item, verdict := p.Prepare(s, e, i)
		if verdict != nil {
			*slot(i) = *verdict
		} else if full := batches.Add(p, item); full != nil {
			deliver(full)
		}
	}
	for _, batch := range batches.Rest() {
		deliver(batch.Items)
	}
}

// indexPool is room for the places of events.
var indexPool pool.Slice[int]
