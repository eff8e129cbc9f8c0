package runtime

import (
	"context"
	"net/http"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
)

// maxDivisions bounds the requests that look for what a remote cannot take.
const maxDivisions = 64

// Deliver hands a batch to its handler. The items share their subscription and batch key. The verdicts are index by index. A
// batch that is refused whole is halved where its action says so, until what the remote cannot take is alone.
func (p *Plan) Deliver(ctx context.Context, items []Item) []Verdict {
	if len(items) == 0 {
		return nil
	}
	verdicts := make([]Verdict, len(items))
	p.deliverTo(ctx, items, func(i int) *Verdict { return &verdicts[i] })
	return verdicts
}

// deliverTo is Deliver that puts the verdict of item i where slot says.
func (p *Plan) deliverTo(ctx context.Context, items []Item, slot func(i int) *Verdict) {
	if p.audienceCreator != nil {
		p.deliverAudiences(ctx, items, slot)
		return
	}
	divisions := maxDivisions
	p.isolate(ctx, items, slot, &divisions)
}

func (p *Plan) isolate(ctx context.Context, items []Item, slot func(i int) *Verdict, divisions *int) {
	s := items[0].Subscription
	if s.handler.Polls() {
		p.deliverAsync(ctx, items, slot)
		return
	}
	p.send(ctx, items, slot)
	if len(items) == 1 || !s.action.Isolate || *divisions == 0 {
		return
	}
	for i := range items {
		if v := slot(i); v.Outcome != Refused || v.Status != http.StatusBadRequest {
			return
		}
	}
	*divisions--
	half := len(items) / 2
	p.isolate(ctx, items[:half], slot, divisions)
	p.isolate(ctx, items[half:], func(i int) *Verdict { return slot(half + i) }, divisions)
}

// send calls the handler with items, and puts down what became of each.
func (p *Plan) send(ctx context.Context, items []Item, slot func(i int) *Verdict) {
	s, done := items[0].Subscription, 0
	origin, err := p.originOf(ctx, s)
	if err != nil {
		p.allFailed(items, err, slot)
		return
	}
	for _, part := range s.parts(items) {
		in := destination.Input{
			Deps: p.deps, Settings: p.settings,
			Origin:   origin,
			Payloads: make([]event.Value, len(part)), Events: make([]event.Event, len(part)),
		}
		for i := range part {
			in.Payloads[i], in.Events[i] = part[i].Payload, part[i].Event
		}
		results := p.call(ctx, s, in)
		for i := range part {
			p.verdict(slot(done+i), s, part[i].Payload, results.Result(i))
		}
		done += len(part)
	}
}

// origin is where the calls of a subscription come from.
func (p *Plan) origin(s *Subscription) destination.Origin {
	return destination.Origin{
		Instance: p.id, Subscription: s.name, SyncMode: s.syncMode, MatchingKey: s.matchingKey, Metadata: s.metadata,
		Features: p.features, Resend: s.resend,
	}
}

// parts divides items into what the handler takes at once.
func (s *Subscription) parts(items []Item) [][]Item {
	if s.handler.Batches() && items[0].BatchSize > 1 {
		return [][]Item{items}
	}
	parts := make([][]Item, len(items))
	for i := range items {
		parts[i] = items[i : i+1]
	}
	return parts
}
