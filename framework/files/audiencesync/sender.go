package audiencesync

import (
	"context"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// batchSize is the number of changes that are read and sent at a time.
const batchSize = 1000

// sender sends changes of one audience in batches.
type sender struct {
	syncer       *Syncer
	audience     destination.Audience
	subscription *runtime.Subscription
	report       *Report
	began        time.Time // when the command started; it decides at this time
	items        []runtime.Item
	changes      []destination.Change
	kept         []destination.Change    // unchanged memberships that are not recorded yet
	onBatch      func(last string) error // called with the last identity of each delivered batch; may be nil
	sent         int
	mapper       *propertyMapper // nil before the first change with properties
}

// newSender returns a sender for an audience. resend sends changes even if the ledger already has them.
func (s *Syncer) newSender(a destination.Audience, report *Report, began time.Time, resend bool) (*sender, error) {
	subscription, err := s.Plan.DirectSubscription("members", s.Audiences.Action, resend)
	a.Name = report.Name
	return &sender{syncer: s, audience: a, subscription: subscription, report: report, began: began}, err
}

// addChange queues a change with properties, and sends the batch when it is full.
func (o *sender) addChange(ctx context.Context, c destination.Change, properties string) error {
	if o.syncer.DryRun {
		return nil
	}
	payload, err := o.syncer.Audiences.Payload(o.audience, c)
	if err != nil {
		return err
	}
	if properties != "" {
		var mapErr error
		if payload, mapErr, err = o.mapProperties(payload, c, properties); err != nil {
			return err
		}
		if mapErr != nil {
			o.recordVerdict(c, runtime.Verdict{Outcome: runtime.Refused, Reason: mapErr.Error()})
			return nil
		}
	}
	o.changes = append(o.changes, c)
	item, verdict := o.syncer.Plan.NewItem(o.subscription, payload, len(o.changes)-1)
	if verdict != nil {
		o.recordVerdict(c, *verdict)
	} else {
		o.items = append(o.items, item)
	}
	if len(o.changes) < batchSize {
		return nil
	}
	return o.flushBatch(ctx)
}

// mapProperties adds the properties of a change to its payload. refusal is why they cannot be mapped.
func (o *sender) mapProperties(payload event.Value, c destination.Change, properties string) (mapped event.Value, refusal, err error) {
	if o.mapper == nil {
		if o.mapper, err = o.syncer.newPropertyMapper(o.audience); err != nil {
			return payload, nil, err
		}
	}
	values, err := event.ParseString(properties)
	if err != nil {
		return payload, nil, err
	}
	mapped, refusal = o.mapper.addProperties(payload, c, values)
	return mapped, refusal, nil
}

// flushBatch sends the queued changes.
func (o *sender) flushBatch(ctx context.Context) error {
	if len(o.changes) == 0 {
		return ctx.Err()
	}
	err := o.syncer.Retry.Deliver(ctx, o.syncer.Plan, o.items, func(item runtime.Item, v runtime.Verdict) {
		o.recordVerdict(o.changes[item.Index], v)
	})
	if err != nil {
		return err
	}
	last := o.changes[len(o.changes)-1].Identity
	o.sent += len(o.changes)
	o.items, o.changes = o.items[:0], o.changes[:0]
	if o.syncer.OnProgress != nil {
		o.syncer.OnProgress(o.sent)
	}
	if o.onBatch == nil || o.report.Failed > 0 { // the next resync retries failed changes
		return nil
	}
	return o.onBatch(last)
}

// recordVerdict counts the result of a change.
func (o *sender) recordVerdict(c destination.Change, v runtime.Verdict) {
	switch v.Outcome {
	case runtime.Delivered:
		o.report.Delivered++
		return
	case runtime.Skipped:
		o.report.Skipped++
	case runtime.Refused:
		o.report.Refused++
	default:
		o.report.Failed++
	}
	if o.syncer.OnFailure != nil && v.Outcome != runtime.Skipped {
		o.syncer.OnFailure(Failure{Identity: c.Identity, Member: c.Member, Outcome: v.Outcome, Reason: v.Reason})
	}
}
