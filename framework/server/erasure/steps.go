package erasure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/identifier"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/files/stream"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/internal/pause"
)

// maxAlso is the number of other identifiers of a user that are used to find requests with the user's data.
const maxAlso = 1000

// find reads the stored events of the users: it counts them, and collects their other identifiers.
func (p *pass) find(ctx context.Context) error {
	defer p.useFinder()
	return p.tryStep(ctx, StepFind, "", func(a *attempt) error {
		for _, it := range a.todo {
			it.step(StepFind, "").Counts = nil
		}
		return p.Queue.EachStored(ctx, func(raw []byte) {
			e, err := event.Parse(raw)
			if err != nil {
				return
			}
			for _, it := range p.ownersOf(e.Value()) {
				if slices.Contains(a.todo, it) {
					a.count(it, "events", 1)
					it.secret.collect(e.Value())
				}
			}
		})
	})
}

// collect adds the identifiers of an event.
func (s *secret) collect(v event.Value) {
	for _, id := range identifier.Of(v) {
		if len(s.Also) < maxAlso && len(id) <= maxIdentifier && !slices.Contains(s.Also, id) && !slices.Contains(s.all(), id) {
			s.Also = append(s.Also, id)
		}
	}
}

// audienceTimeout limits the exits of one audience.
const audienceTimeout = 5 * time.Minute

// leaveAudiences sends exits for the users in the audiences of all instances.
func (p *pass) leaveAudiences(ctx context.Context) error {
	ids, err := p.withAudiences(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		in, ok := p.runningInstance(id)
		ok = ok && in.Plugin.Audiences != nil && in.Ledger != nil
		err := p.tryStep(ctx, StepAudiences, id, func(a *attempt) error {
			if !ok {
				return p.checkLeft(ctx, a, id)
			}
			return p.leaveInstance(ctx, a, in)
		})
		if err != nil {
			return err
		}
	}
	return p.dropForgotten(ctx, ids)
}

// withAudiences returns the instances that have audiences in their ledger.
func (p *pass) withAudiences(ctx context.Context) (ids []string, err error) {
	all, err := p.Store.Instances(ctx)
	for _, id := range all {
		sizes, err := p.Store.Ledger(id).Sizes(ctx)
		if err != nil {
			return nil, err
		}
		if len(sizes) > 0 {
			ids = append(ids, id)
		}
	}
	return ids, err
}

// dropForgotten ends the step of instances whose ledger was deleted.
func (p *pass) dropForgotten(ctx context.Context, ids []string) error {
	for _, it := range p.items {
		for _, s := range it.Steps {
			if s.Name == StepAudiences && !s.Done && !slices.Contains(ids, s.Instance) {
				if err := p.tryStep(ctx, StepAudiences, s.Instance, func(*attempt) error { return nil }); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (p *pass) leaveInstance(ctx context.Context, a *attempt, in instances.Instance) error {
	sizes, err := in.Ledger.Sizes(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, size := range sizes {
		errs = append(errs, p.leaveAudience(ctx, a, in, size.Audience))
	}
	return errors.Join(errs...)
}

func (p *pass) leaveAudience(ctx context.Context, a *attempt, in instances.Instance, audience destination.Audience) error {
	ctx, cancel := context.WithTimeout(ctx, audienceTimeout)
	defer cancel()
	left := map[*item]int{}
	syncer := &audiencesync.Syncer{
		Plan: in.Plan, Audiences: in.Plugin.Audiences, Ledger: in.Ledger, Retry: stream.Retry{Attempts: 2},
		OnFailure: func(f audiencesync.Failure) {
			for _, it := range p.ownersOfIdentity(f.Identity) {
				left[it]--
				a.fail(it, "an exit was not delivered: "+f.Reason)
			}
		},
	}
	_, err := syncer.Leave(ctx, audience, func(identity string) bool {
		owners := p.ownersOfIdentity(identity)
		for _, it := range owners {
			left[it]++
		}
		return len(owners) > 0
	})
	for it, n := range left {
		if n > 0 && err == nil {
			a.count(it, "exits", n)
		}
	}
	return err
}

// checkLeft fails the step if the ledger of an instance that does not run has the users as members.
func (p *pass) checkLeft(ctx context.Context, a *attempt, id string) error {
	hint := "the instance is turned off: turn it on, so that it can take the user out"
	if !p.HasConfig(id) {
		hint = fmt.Sprintf("the instance is not in the config any more: add it again, or delete its data with landfall instances forget %s", id)
	}
	return p.eachMembership(ctx, id, func(it *item, m state.Membership) {
		if m.Member || m.Uncertain {
			a.fail(it, "the user is in an audience, and "+hint)
		}
	})
}

// eachMembership calls visit for the memberships of the users in the audiences of an instance.
func (p *pass) eachMembership(ctx context.Context, id string, visit func(*item, state.Membership)) error {
	ledger := p.Store.Ledger(id)
	sizes, err := ledger.Sizes(ctx)
	if err != nil {
		return err
	}
	for _, size := range sizes {
		err := ledger.Each(ctx, size.ID, "", func(m state.Membership) error {
			for _, it := range p.ownersOfIdentity(m.Identity) {
				visit(it, m)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

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
		a.count(it, "unsupported", 1) // as where an identifier of another kind is needed
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

// eraseLedger deletes the users from the ledgers, except where they are still members.
func (p *pass) eraseLedger(ctx context.Context) error {
	return p.tryStep(ctx, StepLedger, "", func(a *attempt) error {
		err := p.Store.EraseMembers(ctx, p.hasIdentity, func(m state.ErasedMember) {
			for _, it := range p.ownersOfIdentity(m.Identity) {
				a.count(it, "memberships", 1)
				a.count(it, "history", int(m.History))
			}
		})
		for _, it := range a.todo {
			if slices.ContainsFunc(it.Steps, func(s Step) bool { return s.Name == StepAudiences && !s.Done }) {
				a.fail(it, "the user is not out of all audiences yet")
			}
		}
		return err
	})
}

// checkLedger makes the steps of an instance wait again if its ledger has got one of the users meanwhile, as by the result of a request.
func (p *pass) checkLedger(ctx context.Context) error {
	ids, err := p.Store.Instances(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		err := p.eachMembership(ctx, id, func(it *item, m state.Membership) {
			if m.Known && m.Member && m.At.After(it.RequestedAt) {
				return // the user has come back
			}
			for _, s := range []*Step{it.step(StepAudiences, id), it.step(StepLedger, ""), it.step(StepFiles, "")} {
				s.Done = false
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lettersTimeout is how long the step waits for the partitions to delete parked events.
const lettersTimeout = 20 * time.Second

// eraseLetters deletes the dead letters and parked events of the users.
func (p *pass) eraseLetters(ctx context.Context) error {
	isRemoved := func(id string) bool { _, ok := p.runningInstance(id); return !ok }
	return p.tryStep(ctx, StepLetters, "", func(a *attempt) error {
		first := true
		for began := time.Now(); ; {
			found, err := p.Queue.EraseLetters(ctx, func(v event.Value) bool {
				owners := p.ownersOf(v)
				for _, it := range owners {
					if first && slices.Contains(a.todo, it) && it.step(StepLetters, "").Error == "" {
						a.count(it, "letters", 1)
					}
				}
				return len(owners) > 0
			}, isRemoved)
			if err != nil || found == 0 {
				return err
			}
			if first = false; time.Since(began) > lettersTimeout {
				return fmt.Errorf("%s not deleted yet: %s deleted by the server that has the partition", fault.Count(found, "parked event"), fault.Plural(found, "it is", "they are"))
			}
			if err := pause.For(ctx, 200*time.Millisecond); err != nil {
				return err
			}
		}
	})
}

// eraseHistory deletes the users from the history and from the values of handlers.
func (p *pass) eraseHistory(ctx context.Context) error {
	return p.tryStep(ctx, StepHistory, "", func(a *attempt) error {
		p.Flush(ctx)
		if p.Runner != nil {
			p.Runner.ForgetVerdicts(p.finder.In)
		}
		_, err := history.Erase(ctx, p.Store, history.Erasure{
			Match: p.hasEvent, HasUser: p.counter(a, p.finder, "texts"), Names: p.counter(a, p.names, "texts"),
		})
		if err != nil {
			return err
		}
		named := p.counter(a, p.names, "values")
		_, err = p.Store.EraseValues(ctx, func(text string) bool { return named(text) || p.hasIdentity(text) })
		return err
	})
}

// counter returns a function that reports whether a text names one of the users, and counts it for them.
func (p *pass) counter(a *attempt, finder *identifier.Finder, name string) func(text string) bool {
	return func(text string) bool {
		id, ok := finder.Find(text)
		if ok {
			for _, it := range p.byID[id] {
				a.count(it, name, 1)
			}
		}
		return ok
	}
}

// rewriteShare limits the share of the time in which the log is rewritten, as it accepts no events meanwhile: one in so many.
const rewriteShare = 20

// eraseLog overwrites the events of the users in the files of the log.
func (p *pass) eraseLog(ctx context.Context) error {
	return p.tryStep(ctx, StepLog, "", func(a *attempt) error {
		if wait := time.Until(p.nextRewrite); wait > 0 {
			return fmt.Errorf("the log was rewritten a moment ago: again in %s", wait.Round(time.Second))
		}
		began := time.Now()
		err := p.Queue.Erase(ctx, delivery.EraseRequest{Match: p.hasEvent, HasUser: p.finder.In})
		p.nextRewrite = time.Now().Add(rewriteShare * time.Since(began))
		if errors.Is(err, errors.ErrUnsupported) {
			return p.waitForRetention(ctx, a)
		}
		return err
	})
}

// waitForRetention fails the step while a log whose files cannot be rewritten has events of the users.
func (p *pass) waitForRetention(ctx context.Context, a *attempt) error {
	left := map[*item]int{}
	err := p.Queue.EachStored(ctx, func(raw []byte) {
		if e, err := event.Parse(raw); err == nil {
			for _, it := range p.ownersOf(e.Value()) {
				left[it]++
			}
		}
	})
	for it, n := range left {
		a.fail(it, fmt.Sprintf("%s in the log of the cluster, beside events of others: not sent or replayed, and deleted after delivery.retention", fault.Count(n, "event")))
	}
	return err
}

// eraseFiles removes the remains of deleted rows from the files of the state, when everything else is done or its state is final.
func (p *pass) eraseFiles(ctx context.Context) error {
	return p.tryStep(ctx, StepFiles, "", func(a *attempt) error {
		ready := false
		for _, it := range a.todo {
			waits := slices.ContainsFunc(it.Steps, func(s Step) bool { return !s.Done && (s.Name == StepLedger || s.Name == StepHistory) })
			if waits {
				a.fail(it, "the ledger and the history are first")
			}
			ready = ready || !waits
		}
		if !ready {
			return nil
		}
		return p.Store.Scrub(ctx)
	})
}
