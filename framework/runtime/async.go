package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
)

// Pending is the outcome of an event that the remote has taken and works on: the verdict has the operation. An item with that
// operation, delivered later, is asked for and not sent again.
const Pending Outcome = "pending"

// operationState is the state's key of the operation that an event is in, so that it is not sent again after a restart either.
func operationState(item Item) string {
	sum := sha256.Sum256([]byte(item.Event.Raw()))
	return "landfall/operation/" + item.Subscription.name + "/" + hex.EncodeToString(sum[:16])
}

// deliverAsync sends the items that are in no operation yet, and asks for the others.
func (p *Plan) deliverAsync(ctx context.Context, items []Item, slot func(i int) *Verdict) {
	var fresh, open []Item
	var freshAt, openAt []int
	for i, item := range items {
		if item.Operation == "" {
			operation, _, err := p.deps.State.Get(ctx, operationState(item))
			if err != nil {
				p.allFailed(items[i:i+1], err, func(int) *Verdict { return slot(i) })
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
		p.send(ctx, fresh, func(i int) *Verdict { return slot(freshAt[i]) })
		for i, item := range fresh {
			if v := slot(freshAt[i]); v.Outcome == Pending {
				// Where this fails, only a process that ends now sends the event again.
				_ = p.deps.State.Put(context.WithoutCancel(ctx), operationState(item), v.Operation)
			}
		}
	}
	if len(open) > 0 {
		p.poll(ctx, open, func(i int) *Verdict { return slot(openAt[i]) })
	}
}

// poll asks for the operations of items. One that has come to its end is forgotten.
func (p *Plan) poll(ctx context.Context, items []Item, slot func(i int) *Verdict) {
	s := items[0].Subscription
	origin, err := p.originOf(ctx, s)
	if err != nil {
		p.allFailed(items, err, slot)
		return
	}
	in := destination.Input{Deps: p.deps, Origin: origin, Settings: p.settings, Operations: make([]string, len(items))}
	for i := range items {
		in.Operations[i] = items[i].Operation
	}
	results := s.handler.Poll(httpx.WithConfiguredURLs(ctx, s.written), in)
	for i := range items {
		v := slot(i)
		p.verdict(v, s, items[i].Payload, results.Result(i))
		if v.Outcome == Delivered || v.Outcome == Skipped || v.Outcome == Refused {
			if _, err := p.deps.State.Swap(context.WithoutCancel(ctx), operationState(items[i]), items[i].Operation, ""); err != nil {
				p.allFailed(items[i:i+1], err, func(int) *Verdict { return v }) // asked for once more
			}
		}
	}
}

// originOf is origin with what the hooks have given.
func (p *Plan) originOf(ctx context.Context, s *Subscription) (origin destination.Origin, err error) {
	origin = p.origin(s)
	if len(s.hooks) > 0 {
		origin.HookOutputs, err = p.hookOutputs(ctx, s)
	} else {
		origin.HookOutputs = event.NewObject(nil)
	}
	return origin, err
}
