package runtime

import (
	"context"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// sampleTimeout limits the handler of one sample.
const sampleTimeout = 5 * time.Second

// checkSamples delivers samples of what each subscription's mapping makes to the plan's handlers, without sending anything. It reports
// the subscriptions all of whose samples are refused because they name no user or are incomplete, which no event can change.
func (c *compiler) checkSamples(p *Plan) {
	if p.RunsInBrowser() || p.opening != nil { // nothing is opened to check a config
		return
	}
	sampled := c.samplePlan(p)
	c.checkSamplesOf(sampled, p.subscriptions, &c.problems)
	c.checkSamplesOf(sampled, c.disabled, &c.warnings)
}

// checkSamplesOf adds the subscriptions all of whose samples are refused to found.
func (c *compiler) checkSamplesOf(sampled *Plan, list []*Subscription, found *fault.Problems) {
	for _, written := range c.instance.Subscriptions {
		i := slices.IndexFunc(list, func(s *Subscription) bool { return s.name == written.Name })
		if i < 0 || list[i].mapping == nil {
			continue
		}
		if refused := sampled.refusedSample(list[i]); refused != nil {
			found.Add(written.Pointer+"/mapping", "%s, so every event is refused", refused.Reason)
		}
	}
}

// samplePlan returns a copy of a plan that sends nothing and stores nothing.
func (c *compiler) samplePlan(p *Plan) *Plan {
	sampled, quiet := *p, *c
	quiet.host.Transport, quiet.host.Gate, quiet.host.State, quiet.host.Members, quiet.host.Log, quiet.host.Observe = httpx.Discard(), nil, nil, nil, nil, nil
	if p.tokens != nil {
		sampled.tokens = func(context.Context, string) (string, error) { return "sample", nil }
	}
	quiet.limiter = httpx.NewLimiter(httpx.LimiterConfig{MaxPause: time.Millisecond})
	sampled.deps = quiet.newDeps(p.settings, sampled.tokens, quiet.newRedactor(p.settings))
	return &sampled
}

// refusedSample returns the verdict of the first sample of a subscription's mapping if the handler refuses it as one that no value of the
// event can complete, and accepts no other; otherwise nil. Samples that are refused for another reason say nothing, since other values
// may be accepted.
func (p *Plan) refusedSample(s *Subscription) (first *Verdict) {
	whole := s.mapping.Value()
	if isComputed(whole) || whole.Kind() != event.Object {
		return nil
	}
	text := p.sampleText(whole)
	source, err := event.Parse([]byte(audienceEvent("track", "Audience Entered", text).JSON()))
	if err != nil {
		return nil
	}
	for _, omitted := range append([]string{""}, optionalReads(s.schema.Fields(), whole)...) {
		for variant := range sampleVariants {
			payload := sampler{variant, text, omitted}.objectOf(s.schema.Fields(), whole)
			v := p.deliverSample(s, payload, source)
			switch {
			case v == nil:
			case v.Outcome != Refused || v.Code != fault.CodeInvalidPayload:
				return nil
			case first == nil && omitted == "" && s.isIncomplete(v.Cause):
				first = v
			}
		}
	}
	return first
}

// deliverSample returns the handler's verdict on a payload, or nil if the payload does not suit the action's fields.
func (p *Plan) deliverSample(s *Subscription, payload event.Value, source event.Event) *Verdict {
	item, invalid := p.NewItem(s, payload, 0)
	if invalid != nil {
		return nil
	}
	item.Event = source
	ctx, cancel := context.WithTimeout(context.Background(), sampleTimeout)
	defer cancel()
	return &p.Deliver(ctx, []Item{item})[0]
}

// isIncomplete reports whether a cause says that the mapping leaves something out, which no hook supplies.
func (s *Subscription) isIncomplete(c fault.Cause) bool {
	return c == fault.CauseNoIdentifier || c == fault.CauseIncomplete && !s.usesHooks()
}

// usesHooks reports whether the config has inputs for a hook of the subscription.
func (s *Subscription) usesHooks() bool {
	return slices.ContainsFunc(s.hooks, func(h *hook) bool { return h.inputs.Exists() })
}
