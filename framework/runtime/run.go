package runtime

import (
	"context"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/internal/pool"
)

// RunBatch processes events with all subscriptions and delivers them in batches. verdicts[i] has the verdicts of events[i], one for
// each subscription, in the order of Offered.
func (p *Plan) RunBatch(ctx context.Context, events []event.Event) [][]Verdict {
	verdicts := make([][]Verdict, len(events))
	for from := 0; from < len(events); {
		to := from + 1
		for to < len(events) && (p.deletion == nil || p.isDeletion(events[to]) == p.isDeletion(events[from])) {
			to++
		}
		p.runSameSubscriptions(ctx, events[from:to], verdicts[from:to], false)
		from = to
	}
	return verdicts
}

// Run processes one event by itself, as RunBatch does with events whose subscriptions have batching turned off.
func (p *Plan) Run(ctx context.Context, e event.Event) []Verdict {
	verdicts := make([][]Verdict, 1)
	p.runSameSubscriptions(ctx, []event.Event{e}, verdicts, true)
	return verdicts[0]
}

// runSameSubscriptions is RunBatch for events whose Offered is the same. With alone, each event is sent by itself.
func (p *Plan) runSameSubscriptions(ctx context.Context, events []event.Event, verdicts [][]Verdict, alone bool) {
	subscriptions := p.Offered(events[0])
	n := len(subscriptions)
	all := make([]Verdict, len(events)*n)
	for i := range verdicts {
		verdicts[i] = all[i*n : (i+1)*n : (i+1)*n]
	}
	chosen := make([][]int, n) // the indexes of the events that each subscription may match, in order
	for i, e := range events {
		choose := func(at int) {
			if chosen[at] == nil {
				chosen[at] = indexPool.Get(len(events))[:0]
			}
			chosen[at] = append(chosen[at], i)
		}
		if p.isDeletion(e) {
			choose(0)
		} else {
			p.chooser.forEachCandidate(e.Value(), choose)
		}
	}
	for at := range subscriptions {
		p.runSubscription(ctx, subscriptions[at], events, chosen[at], alone, func(i int) *Verdict { return &verdicts[i][at] })
		indexPool.Put(chosen[at])
	}
}

// runSubscription processes the events at the indexes candidates with one subscription; the others do not match it. It stores the
// verdict of event i in slot(i).
func (p *Plan) runSubscription(ctx context.Context, s *Subscription, events []event.Event, candidates []int, alone bool, slot func(i int) *Verdict) {
	deliver := func(items []Item) {
		p.deliverTo(ctx, items, func(i int) *Verdict { return slot(items[i].Index) })
		Release(items)
	}
	var batches Batches
	for i, e := range events {
		if len(candidates) == 0 || candidates[0] != i {
			*slot(i) = p.notSubscribedVerdict(s)
			continue
		}
		candidates = candidates[1:]
		item, verdict := p.Prepare(s, e, i)
		if alone {
			item.BatchSize = 1
		}
		if verdict != nil {
			*slot(i) = *verdict
		} else if full := batches.Add(p, item); full != nil {
			deliver(full)
		}
	}
	for _, batch := range batches.Flush() {
		deliver(batch.Items)
	}
}

// indexPool holds slices of event indexes.
var indexPool pool.Slice[int]
