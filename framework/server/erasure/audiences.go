package erasure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/files/stream"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/state"
)

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
		hint = fmt.Sprintf("the instance is no longer in the config: add it again, or delete its data with landfall instances forget %s", id)
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

// eraseLedger deletes the users from the ledgers, unless they are still members.
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

// checkLedger makes the steps of an instance wait again if one of the users has entered its ledger meanwhile, as by the result of a request.
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
