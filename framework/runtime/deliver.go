package runtime

import (
	"context"
	"errors"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Deliver passes a batch to its handler. The items must share their subscription and batch key. verdicts[i] is the verdict of
// items[i]. If the remote refuses a whole batch and the action has isolate, the batch is halved until the refused items are alone.
func (p *Plan) Deliver(ctx context.Context, items []Item) []Verdict {
	if len(items) == 0 {
		return nil
	}
	verdicts := make([]Verdict, len(items))
	p.deliverTo(ctx, items, func(i int) *Verdict { return &verdicts[i] })
	return verdicts
}

// deliverTo is Deliver with the verdict of item i stored in slot(i).
func (p *Plan) deliverTo(ctx context.Context, items []Item, slot func(i int) *Verdict) {
	if p.audienceCreator != nil {
		p.deliverAudiences(ctx, items, slot)
		return
	}
	p.sendIsolating(ctx, items, slot)
}

// errAllRefused is the error of a call whose items were all refused with a status for which they are divided. Their verdicts hold the
// reasons.
var errAllRefused = fault.Invalid("every item was refused")

// sendIsolating sends items. If the remote refuses all of them, with a status that the action's isolate names, they are divided until the
// refused items are alone.
func (p *Plan) sendIsolating(ctx context.Context, items []Item, slot func(i int) *Verdict) {
	s := items[0].Subscription
	if s.handler.Polls() {
		p.deliverAsync(ctx, items, slot)
		return
	}
	if len(items) == 1 || s.action.Isolate == nil {
		p.sendItems(ctx, items, slot)
		return
	}
	indexes := make([]int, len(items))
	for i := range indexes {
		indexes[i] = i
	}
	part := func(indexes []int) ([]Item, func(i int) *Verdict) {
		first := indexes[0]
		return items[first : first+len(indexes)], func(i int) *Verdict { return slot(first + i) }
	}
	b := destination.Bisection[int]{
		Send: func(ctx context.Context, indexes []int) error {
			items, slot := part(indexes)
			p.sendItems(ctx, items, slot)
			for i := range items {
				if v := slot(i); v.Outcome != Refused || !s.action.Isolate.Divides(v.Status, p.settings) {
					return nil
				}
			}
			return errAllRefused
		},
		Fail: func(indexes []int, err error) {
			if !errors.Is(err, errAllRefused) { // the batch has ended before the invalid items were found
				items, slot := part(indexes)
				p.failAll(items, err, slot)
			}
		},
	}
	_ = b.Run(ctx, indexes) // every item has its verdict
}

// sendItems calls the handler with items and stores their verdicts.
func (p *Plan) sendItems(ctx context.Context, items []Item, slot func(i int) *Verdict) {
	s, done := items[0].Subscription, 0
	origin, err := p.originWithHooks(ctx, s)
	if err != nil {
		p.failAll(items, err, slot)
		return
	}
	deps, release, err := p.openDeps(ctx)
	if err != nil {
		p.failAll(items, err, slot)
		return
	}
	defer release()
	for _, part := range s.splitItems(items) {
		in := destination.Input{
			Deps: deps, Settings: p.settings,
			Origin:   origin,
			Payloads: make([]event.Value, len(part)), Events: make([]event.Event, len(part)),
			Batched: s.handler.Batches() && items[0].BatchSize > 1, ReadsEvents: s.action.ReadsEvent,
		}
		for i := range part {
			in.Payloads[i], in.Events[i] = part[i].Payload, part[i].Event
		}
		results := p.callHandler(ctx, s, in)
		for i := range part {
			p.fillVerdict(slot(done+i), s, part[i].Payload, results.Result(i))
		}
		done += len(part)
	}
}

// baseOrigin returns the origin of a subscription's calls, without the outputs of hooks.
func (p *Plan) baseOrigin(s *Subscription) destination.Origin {
	origin := destination.Origin{
		Instance: p.id, Subscription: s.name, SyncMode: s.syncMode, MatchingKey: s.matchingKey, Metadata: s.metadata,
		Features: p.features, Resend: s.resend,
	}
	if s.action.ReadsMapping {
		origin.Mapping = s.mapping.Value()
	}
	return origin
}

// splitItems splits items into what one call of the handler accepts: all of them, or one.
func (s *Subscription) splitItems(items []Item) [][]Item {
	if s.handler.Batches() && items[0].BatchSize > 1 {
		return [][]Item{items}
	}
	parts := make([][]Item, len(items))
	for i := range items {
		parts[i] = items[i : i+1]
	}
	return parts
}
