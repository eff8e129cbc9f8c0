package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/landfall-dev/landfall/framework/destination"
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
func (p *Plan) deliverAsync(ctx context.Context, items []Item) []Verdict {
	verdicts := make([]Verdict, len(items))
	var fresh, open []Item
	var freshAt, openAt []int
	for i, item := range items {
		if item.Operation == "" {
			operation, _, err := p.deps.State.Get(ctx, operationState(item))
			if err != nil {
				verdicts[i] = p.allFailed([]Item{item}, err)[0]
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
		for i, v := range p.send(ctx, fresh) {
			if v.Outcome == Pending {
				// Where this fails, only a process that ends now sends the event again.
				_ = p.deps.State.Put(context.WithoutCancel(ctx), operationState(fresh[i]), v.Operation)
			}
			verdicts[freshAt[i]] = v
		}
	}
	if len(open) > 0 {
		for i, v := range p.poll(ctx, open) {
			verdicts[openAt[i]] = v
		}
	}
	return verdicts
}

// poll asks for the operations of items. One that has come to its end is forgotten.
func (p *Plan) poll(ctx context.Context, items []Item) []Verdict {
	s := items[0].Subscription
	origin, err := p.originOf(ctx, s)
	if err != nil {
		return p.allFailed(items, err)
	}
	in := destination.Input{Deps: p.deps, Origin: origin, Settings: p.settings, Operations: make([]string, len(items))}
	for i := range items {
		in.Operations[i] = items[i].Operation
	}
	verdicts := make([]Verdict, len(items))
	for i, r := range s.handler.Poll(ctx, in) {
		v := p.verdict(s, items[i], r)
		if v.Outcome == Delivered || v.Outcome == Skipped || v.Outcome == Refused {
			if _, err := p.deps.State.Swap(context.WithoutCancel(ctx), operationState(items[i]), items[i].Operation, ""); err != nil {
				v = p.allFailed(items[i:i+1], err)[0] // asked for once more
			}
		}
		verdicts[i] = v
	}
	return verdicts
}

// pending is the verdict of an item that the remote works on.
func (p *Plan) pending(v Verdict, operation string) Verdict {
	v.Outcome, v.Operation = Pending, operation
	v.Reason = fmt.Sprintf("the destination works on it as the operation %s", operation)
	return v
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
