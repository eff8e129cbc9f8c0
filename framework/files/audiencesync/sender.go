package audiencesync

import (
	"context"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// batchSize is how many changes are read and sent at a time.
const batchSize = 1000

// sender sends changes of one audience in batches.
type sender struct {
	keeper       *Keeper
	audience     destination.Audience
	subscription *runtime.Subscription
	report       *Report
	items        []runtime.Item
	changes      []destination.Change
	done         func(last string) error // told of the last identity of each batch; may be nil
	sent         int
}

func (k *Keeper) sender(a destination.Audience, report *Report, resend bool) (*sender, error) {
	subscription, err := k.Plan.Direct("members", k.Audiences.Action, resend)
	a.Name = report.Name
	return &sender{keeper: k, audience: a, subscription: subscription, report: report}, err
}

func (s *sender) add(ctx context.Context, c destination.Change) error {
	if s.keeper.DryRun {
		return nil
	}
	payload, err := s.keeper.Audiences.Payload(s.audience, c)
	if err != nil {
		return err
	}
	s.changes = append(s.changes, c)
	item, verdict := s.keeper.Plan.Item(s.subscription, payload, len(s.changes)-1)
	if verdict != nil {
		s.decide(c, *verdict)
	} else {
		s.items = append(s.items, item)
	}
	if len(s.changes) < batchSize {
		return nil
	}
	return s.flush(ctx)
}

// flush sends what waits.
func (s *sender) flush(ctx context.Context) error {
	if len(s.changes) == 0 {
		return ctx.Err()
	}
	err := s.keeper.Retry.Deliver(ctx, s.keeper.Plan, s.items, func(items []runtime.Item, verdicts []runtime.Verdict) {
		for i, v := range verdicts {
			s.decide(s.changes[items[i].Index], v)
		}
	})
	if err != nil {
		return err
	}
	last := s.changes[len(s.changes)-1].Identity
	s.sent += len(s.changes)
	s.items, s.changes = s.items[:0], s.changes[:0]
	if s.keeper.Progress != nil {
		s.keeper.Progress(s.sent)
	}
	if s.done == nil || s.report.Failed > 0 { // what failed is tried again by the next one
		return nil
	}
	return s.done(last)
}

func (s *sender) decide(c destination.Change, v runtime.Verdict) {
	switch v.Outcome {
	case runtime.Delivered:
		s.report.Delivered++
		return
	case runtime.Skipped:
		s.report.Skipped++
	case runtime.Refused:
		s.report.Refused++
	default:
		s.report.Failed++
	}
	if s.keeper.Failed != nil && v.Outcome != runtime.Skipped {
		s.keeper.Failed(Failure{Identity: c.Identity, Member: c.Member, Outcome: v.Outcome, Reason: v.Reason})
	}
}
