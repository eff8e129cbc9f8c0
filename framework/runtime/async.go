package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
)

// Pending is the outcome of an event that the remote processes asynchronously. The verdict has the id of the operation. Delivering
// an item with that Operation polls the remote instead of sending the event again.
const Pending Outcome = "pending"

// operationState returns the key of an event's operation in the state. With it, the event is polled after a restart.
func operationState(item Item) string {
	sum := sha256.Sum256([]byte(item.Event.Raw()))
	return "landfall/operation/" + item.Subscription.name + "/" + hex.EncodeToString(sum[:16])
}

// deliverAsync sends the items that have no operation yet, and polls the others.
func (p *Plan) deliverAsync(ctx context.Context, items []Item, slot func(i int) *Verdict) {
	var fresh, open []Item
	var freshAt, openAt []int
	for i, item := range items {
		if item.Operation == "" {
			operation, _, err := p.deps.State.Get(ctx, operationState(item))
			if err != nil {
				p.failAll(items[i:i+1], err, func(int) *Verdict { return slot(i) })
				continue
			}
			item.Operation = operation
		}
		if item.Operation == "" {
			fresh, freshAt = append(fresh, item), append(freshAt, i)
		} else {
			open, openAt = append(open, item), append(openAt, i)
		}
	}
	if len(fresh) > 0 {
		p.sendItems(ctx, fresh, func(i int) *Verdict { return slot(freshAt[i]) })
		for i, item := range fresh {
			if v := slot(freshAt[i]); v.Outcome == Pending {
				// If this fails, the event is sent again only if the process ends now.
				_ = p.deps.State.Put(context.WithoutCancel(ctx), operationState(item), v.Operation)
			}
		}
	}
	if len(open) > 0 {
		p.pollItems(ctx, open, func(i int) *Verdict { return slot(openAt[i]) })
	}
}

// pollItems polls the operations of items. It deletes finished ones from the state.
func (p *Plan) pollItems(ctx context.Context, items []Item, slot func(i int) *Verdict) {
	s := items[0].Subscription
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
	in := destination.Input{Deps: deps, Origin: origin, Settings: p.settings, Operations: make([]string, len(items))}
	for i := range items {
		in.Operations[i] = items[i].Operation
	}
	results := s.handler.Poll(httpx.WithConfiguredURLs(ctx, s.written), in)
	for i := range items {
		v := slot(i)
		p.fillVerdict(v, s, items[i].Payload, results.Result(i))
		if v.Outcome == Delivered || v.Outcome == Skipped || v.Outcome == Refused {
			if _, err := p.deps.State.Swap(context.WithoutCancel(ctx), operationState(items[i]), items[i].Operation, ""); err != nil {
				p.failAll(items[i:i+1], err, func(int) *Verdict { return v }) // polled again
			}
		}
	}
}

// originWithHooks returns the origin of a subscription's calls, with the outputs of its hooks.
func (p *Plan) originWithHooks(ctx context.Context, s *Subscription) (origin destination.Origin, err error) {
	origin = p.baseOrigin(s)
	if len(s.hooks) > 0 {
		origin.HookOutputs, err = p.hookOutputs(ctx, s)
	} else {
		origin.HookOutputs = event.NewObject(nil)
	}
	return origin, err
}
