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

// sender takes messages through plans. It is for one goroutine at a time.
type sender struct {
	plans    []*runtime.Plan
	order    *order
	retryFor time.Duration
	outage   time.Duration // the same where nothing at all goes well
	parallel int

	failing   map[string]bool // two of the keys that have failed since something was last delivered
	delivered bool            // in this pass
}

// message is one on its way.
type message struct {
	result
	id, key string
	event   event.Event
	done    map[string]runtime.Verdict // by subscription
}

// newMessage reads a message and fills in what its event lacks, as the server does it. One that is no event has its verdict. Where keyOf says "", it has no order but its own.
func newMessage(raw []byte, maxFuture time.Duration, keyOf func(event.Event) string) *message {
	e, err := event.Parse(raw)
	if err != nil {
		return &message{result: result{decided: true, verdicts: []runtime.Verdict{{
			Outcome: runtime.Refused, Status: 400, Code: fault.CodeInvalidEvent, Reporter: fault.ReporterIntegrations,
			Reason: "the message is no event: " + err.Error(),
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

// idle is how long a batch of which nothing may be tried yet waits for something: it would come back at once, and again.
const idle = time.Second

// send takes messages as far as they go: all of them are decided, or their time for retries is over.
func (s *sender) send(ctx context.Context, all []*message) {
	defer s.order.sweep()
	start := s.order.now()
	var keys map[string]bool
	for open, _ := openOf(all); len(open) > 0; {
		tried := s.pass(ctx, open)
		if open, keys = openOf(open); len(open) == 0 {
			return
		}
		pause, patience := s.order.pause(keys), s.retryFor
		switch {
		case !tried:
			patience = max(patience, idle)
		case !s.delivered && len(s.failing) > 1: // several users fail, and nobody gets through: the remote is away
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

func openOf(all []*message) (open []*message, keys map[string]bool) {
	keys = map[string]bool{}
	for _, m := range all {
		if !m.decided {
			open = append(open, m)
			keys[m.key] = true
		}
	}
	return open, keys
}

// pass tries each message once that may be, those of one key one after the other: the first of each go together, then the
// second. It tells whether there was one.
func (s *sender) pass(ctx context.Context, pending []*message) (tried bool) {
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
			ok, why := s.order.next(m.key, m.id)
			if !ok {
				m.waits = why
				continue
			}
			taken[m.key], tried = true, true
			round = append(round, m)
		}
		s.round(ctx, round)
		for _, m := range round {
			s.settle(m)
		}
		pending = later
	}
	return tried
}

// settle tells the order what became of a message.
func (s *sender) settle(m *message) {
	again, ok := m.worst(runtime.Retry)
	if m.decided = !ok; m.decided {
		s.order.settle(m.key)
		_, delivered := m.worst(runtime.Delivered)
		s.delivered = s.delivered || delivered
	} else {
		if len(s.failing) < 2 {
			s.failing[m.key] = true
		}
		s.order.fail(m.key, m.id, again.Reason, again.RetryAfter, m.done)
	}
}

// lane is what is delivered one batch after the other.
type lane struct {
	plan *runtime.Plan
	name string
}

// round delivers messages of different keys.
func (s *sender) round(ctx context.Context, round []*message) {
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
		if m.done == nil {
			m.done = s.order.done(m.key)
		}
		for _, p := range s.plans {
			for _, sub := range p.Offered(m.event) {
				if v, ok := m.done[subscription(p.ID(), sub.Name())]; ok {
					m.verdicts = append(m.verdicts, v)
					continue
				}
				item, verdict := p.Prepare(sub, m.event, i)
				switch {
				case verdict == nil:
					add(p, batches.Add(p, item))
				case verdict.Reason != runtime.NotSubscribed:
					m.decide(*verdict)
				}
			}
		}
	}
	for _, b := range batches.Rest() {
		add(b.Plan, b.Items)
	}
	s.deliver(ctx, round, lanes)
	for _, m := range round {
		slices.SortStableFunc(m.verdicts, func(a, b runtime.Verdict) int {
			return cmp.Or(cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Subscription, b.Subscription))
		})
		if len(m.verdicts) == 0 {
			m.verdicts = []runtime.Verdict{{Outcome: runtime.Skipped, Status: 200, Reason: "the event matches no subscription"}}
		}
	}
}

// deliver brings batches to their ends, lanes beside each other.
func (s *sender) deliver(ctx context.Context, round []*message, lanes map[lane][][]runtime.Item) {
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
			round[r.items[i].Index].decide(v)
		}
	}
}

// decide adds a verdict. One that will not change is kept for the next try.
func (m *message) decide(v runtime.Verdict) {
	m.verdicts = append(m.verdicts, v)
	if v.Outcome == runtime.Retry {
		return
	}
	if m.done == nil {
		m.done = map[string]runtime.Verdict{}
	}
	m.done[subscription(v.Instance, v.Subscription)] = v
}

func subscription(instance, name string) string { return instance + "\x00" + name }

// keyOf is what a message's order is kept for.
func (c *component) keyOf(batch service.MessageBatch, i int, e event.Event) string {
	if c.key == nil {
		return event.OrderingKey(e.Value())
	}
	key, err := batch.TryInterpolatedString(i, c.key)
	if err != nil {
		c.log.With("error", err).Warn("the key of a message cannot be told: it has no order")
		return ""
	}
	return key
}
