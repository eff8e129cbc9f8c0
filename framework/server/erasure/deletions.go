package erasure

import (
	"context"
	"fmt"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// deleteTimeout limits the deletion of one user at one destination.
const deleteTimeout = 30 * time.Second

// deleteAtDestinations sends a deletion of each user to the instances whose destination deletes users, or that have subscriptions which select
// events of type delete.
func (p *pass) deleteAtDestinations(ctx context.Context) error {
	probe := deletionOf(p.items[0], "userId", "probe", 0)
	for _, in := range p.Instances() {
		if in.Plan.RunsInBrowser() || len(selecting(in.Plan, probe)) == 0 {
			continue
		}
		err := p.tryStep(ctx, StepDestination, in.Plan.ID(), func(a *attempt) error {
			for _, it := range a.todo {
				p.deleteUser(ctx, a, it, in.Plan)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// selecting returns the subscriptions of a plan that select an event.
func selecting(plan *runtime.Plan, e event.Event) (list []*runtime.Subscription) {
	for _, s := range plan.Candidates(e, nil) {
		if _, v := plan.Prepare(s, e, 0); v == nil || v.Cause != fault.CauseNotSubscribed {
			list = append(list, s)
		}
	}
	return list
}

// deleteUser deletes a user by each identifier.
func (p *pass) deleteUser(ctx context.Context, a *attempt, it *item, plan *runtime.Plan) {
	it.step(StepDestination, plan.ID()).Counts = nil
	n := 0
	for _, by := range []struct {
		name string
		ids  []string
	}{{"userId", it.secret.Identifiers}, {"anonymousId", it.secret.AnonymousIDs}} {
		for _, id := range by.ids {
			n++
			e := deletionOf(it, by.name, id, n)
			for _, s := range selecting(plan, e) {
				p.sendDeletion(ctx, a, it, plan, s, e)
			}
		}
	}
}

// deletionOf returns the event of type delete for an identifier, the n-th of the user.
func deletionOf(it *item, name, id string, n int) event.Event {
	at := event.NewString(it.RequestedAt.Format(time.RFC3339Nano))
	e, err := event.Parse([]byte(event.NewObject([]event.Member{
		{Key: "type", Value: event.NewString("delete")}, {Key: name, Value: event.NewString(id)}, {Key: "timestamp", Value: at}, {Key: "receivedAt", Value: at},
		{Key: "messageId", Value: event.NewString(fmt.Sprintf("erasure-%s-%d", it.ID, n))},
	}).JSON()))
	if err != nil {
		panic(err) // cannot happen: it was made as JSON just now
	}
	return e
}

func (p *pass) sendDeletion(ctx context.Context, a *attempt, it *item, plan *runtime.Plan, s *runtime.Subscription, e event.Event) {
	ctx, cancel := context.WithTimeout(httpx.KeepExchanges(ctx), deleteTimeout)
	defer cancel()
	prepared, refused := plan.Prepare(s, e, 0)
	if refused != nil {
		a.count(it, "unsupported", 1) // for example, it needs an identifier of another kind
		return
	}
	switch v := plan.Deliver(ctx, []runtime.Item{prepared})[0]; {
	case v.Outcome == runtime.Delivered, v.Outcome == runtime.Skipped:
		a.count(it, "deletions", 1)
	case v.Outcome == runtime.Refused && v.Request == nil && !e.Value().Get("userId").Exists():
		a.count(it, "unsupported", 1) // the destination does not know anonymous ids
	default:
		a.fail(it, "the user was not deleted: "+v.Reason)
	}
}
