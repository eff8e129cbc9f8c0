package why

import (
	"context"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/identifier"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/explain"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
)

// result is what one subscription makes of one event with the current config, and what is recorded of it.
type result struct {
	event        *foundEvent
	instance     string
	subscription string
	trace        explain.Trace
	audience     destination.Audience // zero if the action keeps no audiences
	change       destination.Change   // its Identity is "" if the event names no user for the audience
	fromSource   bool                 // the instance gets events of the source
	verdict      *delivery.VerdictRecord
	letter       *delivery.DeadLetter
	progress     delivery.EventProgress
}

// explainEvents runs the events through the subscriptions of the instances, without sending anything.
func (f *facts) explainEvents(ctx context.Context, requests *explain.Recorder) {
	for _, in := range f.instances {
		for _, e := range f.events {
			for _, s := range in.Plan.Offered(e.Event) {
				f.results = append(f.results, f.newResult(ctx, in, e, s, requests))
			}
		}
	}
	f.addUnlisted()
}

func (f *facts) newResult(ctx context.Context, in instances.Instance, e *foundEvent, s *runtime.Subscription, requests *explain.Recorder) *result {
	r := &result{event: e, instance: in.Plan.ID(), subscription: s.Name(), progress: f.progress[in.Plan.ID()].Of(&e.StoredEvent)}
	r.trace = explain.DryRun(ctx, in.Plan, s, e.Event, requests)
	r.fromSource = len(in.Config.Sources) == 0 || slices.Contains(in.Config.Sources, e.Source)
	r.readChange(in, s)
	f.addRecords(r)
	return r
}

// readChange finds out which audience and user the event is about, also if the subscription does not match it.
func (r *result) readChange(in instances.Instance, s *runtime.Subscription) {
	a := in.Plugin.Audiences
	if a == nil || a.Read == nil || s.Action().Key != a.Action {
		return
	}
	payload := r.trace.Payload
	if payload.Kind() == event.Absent {
		payload, _ = s.Mapping().Resolve(r.event.Value()) // an error leaves the payload absent
	}
	r.audience, r.change, _ = a.Read(payload, func() destination.Membership { return s.Membership(r.event.Value()) })
}

// addRecords adds the newest recorded verdict and the dead letter.
func (f *facts) addRecords(r *result) {
	for i := range r.event.verdicts {
		if v := &r.event.verdicts[i]; v.Instance == r.instance && v.Subscription == r.subscription {
			r.verdict = v
		}
	}
	for _, l := range f.letters {
		if l.Seq == r.event.Seq && l.Index == r.event.Index && l.Instance == r.instance && l.Subscription == r.subscription {
			r.letter = l
		}
	}
}

// addUnlisted adds results for verdicts and dead letters of subscriptions and instances that the config no longer has.
func (f *facts) addUnlisted() {
	for _, e := range f.events {
		for i := range e.verdicts {
			v := &e.verdicts[i]
			f.addGone(e, v.Instance, v.Subscription)
		}
	}
	for _, l := range f.letters {
		for _, e := range f.events {
			if e.Seq == l.Seq && e.Index == l.Index {
				f.addGone(e, l.Instance, l.Subscription)
			}
		}
	}
}

// addGone adds a result of a subscription, unless it has one.
func (f *facts) addGone(e *foundEvent, instance, subscription string) {
	if f.question.Instance != "" && f.question.Instance != instance {
		return
	}
	for _, r := range f.results {
		if r.event == e && r.instance == instance && r.subscription == subscription {
			return
		}
	}
	r := &result{event: e, instance: instance, subscription: subscription, fromSource: true, progress: delivery.EventFinished}
	r.trace.Matched = true
	for _, other := range f.results { // another subscription may know which audience the event is about
		if other.event == e && other.audience.ID != "" {
			r.audience, r.change = other.audience, other.change
		}
	}
	f.addRecords(r)
	f.results = append(f.results, r)
}

// isRelevant reports whether a result is about the audience of the question.
func (f *facts) isRelevant(r *result) bool {
	if f.question.Audience == "" {
		return true
	}
	if r.audience.ID != "" || r.audience.Name != "" {
		return f.hasAudience(r.audience.ID, r.audience.Name)
	}
	return identifier.HasText(r.event.Value(), f.question.Audience)
}

// at is the time that decides about the event.
func (r *result) at() time.Time {
	if r.change.At.IsZero() {
		return r.event.At
	}
	return r.change.At
}
