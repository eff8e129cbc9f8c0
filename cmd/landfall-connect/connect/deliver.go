package connect

import (
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"golang.org/x/sync/errgroup"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/incoming"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// sender delivers messages with the plans, and retries them. It must not be used concurrently.
type sender struct {
	plans    []*runtime.Plan
	order    *keyOrder
	retryFor time.Duration
	outage   time.Duration // replaces retryFor, if longer, while several users fail and no event is delivered
	parallel int

	failing   map[string]bool // up to two keys that have failed since the last delivery
	delivered bool            // something was delivered in this pass
}

// message is a message while it is being delivered.
type message struct {
	result
	id, key       string
	event         event.Event
	finalVerdicts map[string]runtime.Verdict // by subscription
}

// newMessage parses a message and, like the server, adds the fields that its event lacks. If the message is not an event, it gets the
// verdict refused. If keyOf returns "", the message is not ordered.
func newMessage(raw []byte, maxFuture time.Duration, keyOf func(event.Event) string) *message {
	e, err := event.Parse(raw)
	if err != nil {
		return &message{result: result{decided: true, verdicts: []runtime.Verdict{{
			Outcome: runtime.Refused, Status: 400, Code: fault.CodeInvalidEvent, Reporter: fault.ReporterIntegrations, Cause: fault.CauseInvalidEvent,
			Reason: "the message is not an event: " + err.Error(),
		}}}}
	}
	e = incoming.Complete(e, time.Now(), maxFuture)
	m := &message{event: e, key: keyOf(e), id: e.Value().Get("messageId").Text()}
	if m.id == "" {
		sum := sha256.Sum256(raw)
		m.id = string(sum[:])
	}
	if m.key == "" {
		m.key = "\x00" + m.id
	}
	return m
}

// idleWait is how long a batch waits if none of its messages may be tried yet. Without a wait, the pipeline would send it again at once,
// over and over.
const idleWait = time.Second

// sendAll delivers messages until all of them are decided or their time for retries is over.
func (s *sender) sendAll(ctx context.Context, all []*message) {
	defer s.order.removeExpired()
	start := s.order.now()
	var keys map[string]bool
	for open, _ := undecided(all); len(open) > 0; {
		tried := s.tryPending(ctx, open)
		if open, keys = undecided(open); len(open) == 0 {
			return
		}
		pause, patience := s.order.retryDelay(keys), s.retryFor
		switch {
		case !tried:
			patience = max(patience, idleWait)
		case !s.delivered && len(s.failing) > 1: // several users fail and no event is delivered: the remote is down
			patience = max(patience, s.outage)
		}
		left := patience - s.order.now().Sub(start)
		if left <= 0 || pause > left && tried {
			return
		}
		timer := time.NewTimer(min(pause, left))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

func undecided(all []*message) (open []*message, keys map[string]bool) {
	keys = map[string]bool{}
	for _, m := range all {
		if !m.decided {
			open = append(open, m)
			keys[m.key] = true
		}
	}
	return open, keys
}

// tryPending tries each message once, unless an earlier message of its key holds it back. It delivers the messages of a key one after the
// other: first the first message of every key, then the second ones, and so on. It reports whether it tried any message.
func (s *sender) tryPending(ctx context.Context, pending []*message) (tried bool) {
	if s.failing == nil || s.delivered {
		s.failing, s.delivered = map[string]bool{}, false
	}
	for len(pending) > 0 {
		var round, later []*message
		taken := map[string]bool{}
		for _, m := range pending {
			if taken[m.key] {
				later = append(later, m)
				continue
			}
			ok, why := s.order.tryNext(m.key, m.id)
			if !ok {
				m.waitReason = why
				continue
			}
			taken[m.key], tried = true, true
			round = append(round, m)
		}
		s.deliverRound(ctx, round)
		for _, m := range round {
			s.recordOutcome(m)
		}
		pending = later
	}
	return tried
}

// recordOutcome updates the order with the result of a message.
func (s *sender) recordOutcome(m *message) {
	again, ok := m.firstWith(runtime.Retry)
	if m.decided = !ok; m.decided {
		s.order.markDone(m.key)
		_, delivered := m.firstWith(runtime.Delivered)
		s.delivered = s.delivered || delivered
	} else {
		if len(s.failing) < 2 {
			s.failing[m.key] = true
		}
		s.order.markFailed(m.key, m.id, again.Reason, again.RetryAfter, m.finalVerdicts)
	}
}

// lane identifies batches that are delivered one after the other.
type lane struct {
	plan *runtime.Plan
	name string
}

// deliverRound delivers messages that all have different keys.
func (s *sender) deliverRound(ctx context.Context, round []*message) {
	var batches runtime.Batches
	lanes := map[lane][][]runtime.Item{}
	add := func(p *runtime.Plan, items []runtime.Item) {
		if len(items) > 0 {
			in := lane{p, items[0].Lane}
			lanes[in] = append(lanes[in], items)
		}
	}
	for i, m := range round {
		m.result = result{}
		if m.finalVerdicts == nil {
			m.finalVerdicts = s.order.finalVerdicts(m.key)
		}
		for _, p := range s.plans {
			for _, sub := range p.Offered(m.event) {
				if v, ok := m.finalVerdicts[subscriptionKey(p.ID(), sub.Name())]; ok {
					m.verdicts = append(m.verdicts, v)
					continue
				}
				item, verdict := p.Prepare(sub, m.event, i)
				switch {
				case verdict == nil:
					add(p, batches.Add(p, item))
				case verdict.Cause != fault.CauseNotSubscribed:
					m.addVerdict(*verdict)
				}
			}
		}
	}
	for _, b := range batches.Flush() {
		add(b.Plan, b.Items)
	}
	s.deliverLanes(ctx, round, lanes)
	for _, m := range round {
		slices.SortStableFunc(m.verdicts, func(a, b runtime.Verdict) int {
			return cmp.Or(cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Subscription, b.Subscription))
		})
		if len(m.verdicts) == 0 {
			m.verdicts = []runtime.Verdict{{Outcome: runtime.Skipped, Status: 200, Cause: fault.CauseNotSubscribed, Reason: "the event matches no subscription"}}
		}
	}
}

// deliverLanes delivers the batches of the lanes: the batches of a lane one after the other, different lanes concurrently.
func (s *sender) deliverLanes(ctx context.Context, round []*message, lanes map[lane][][]runtime.Item) {
	type decided struct {
		items    []runtime.Item
		verdicts []runtime.Verdict
	}
	results := make(chan decided, len(lanes))
	var group errgroup.Group
	group.SetLimit(max(s.parallel, 1))
	go func() {
		for in, batches := range lanes {
			group.Go(func() error {
				var all decided
				for _, items := range batches {
					all.items = append(all.items, items...)
					all.verdicts = append(all.verdicts, in.plan.Deliver(ctx, items)...)
				}
				results <- all
				return nil
			})
		}
		_ = group.Wait()
		close(results)
	}()
	for r := range results {
		for i, v := range r.verdicts {
			round[r.items[i].Index].addVerdict(v)
		}
	}
}

// addVerdict adds a verdict. A final verdict is also kept for the next try of the message.
func (m *message) addVerdict(v runtime.Verdict) {
	m.verdicts = append(m.verdicts, v)
	if v.Outcome == runtime.Retry {
		return
	}
	if m.finalVerdicts == nil {
		m.finalVerdicts = map[string]runtime.Verdict{}
	}
	m.finalVerdicts[subscriptionKey(v.Instance, v.Subscription)] = v
}

func subscriptionKey(instance, name string) string { return instance + "\x00" + name }

// keyOf returns the key that orders a message.
func (c *component) keyOf(batch service.MessageBatch, i int, e event.Event) string {
	if c.key == nil {
		return event.OrderingKey(e.Value())
	}
	key, err := batch.TryInterpolatedString(i, c.key)
	if err != nil {
		c.log.With("error", err).Warn("the key of a message cannot be evaluated: the message is not ordered")
		return ""
	}
	return key
}
