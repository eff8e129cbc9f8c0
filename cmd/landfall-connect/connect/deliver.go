package connect

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/incoming"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/internal/pause"
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
	open          int                        // tasks without a verdict in this pass
	suppressed    bool                       // the event's user is suppressed
}

// newMessage parses a message and, like the server, adds the fields that its event lacks. If the message is not an event, it gets the
// verdict refused. If keyOf returns "", the message is not ordered.
func newMessage(raw []byte, maxFuture time.Duration, keyOf func(event.Event) string) *message {
	e, err := parseEvent(raw)
	if err != nil {
		return &message{result: result{decided: true, verdicts: []runtime.Verdict{{
			Outcome: runtime.Refused, Status: 400, Code: fault.CodeInvalidEvent, Reporter: fault.ReporterIntegrations, Cause: fault.CauseInvalidEvent,
			Reason: "the message is not an event: " + err.Error(),
		}}}}
	}
	e, reason := incoming.CompleteWithReason(e, time.Now(), maxFuture)
	m := &message{result: result{replacedReason: reason}, event: e, key: keyOf(e), id: e.Value().Get("messageId").Text()}
	if m.id == "" { // the completed event is too large
		sum := sha256.Sum256(raw)
		m.id = string(sum[:])
	}
	if m.key == "" {
		m.key = "\x00" + m.id
	}
	return m
}

// parseEvent parses a message. Text that is not UTF-8 and damaged ids are refused, since different ids would become the same.
func parseEvent(raw []byte) (event.Event, error) {
	if !utf8.Valid(raw) {
		return event.Event{}, errors.New("it is not valid UTF-8")
	}
	return incoming.ParseLine(raw)
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
		wait, patience := s.order.retryDelay(keys), s.retryFor
		switch {
		case !tried:
			patience = max(patience, idleWait)
		case !s.delivered && len(s.failing) > 1: // several users fail and no event is delivered: the remote is down
			patience = max(patience, s.outage)
		}
		left := patience - s.order.now().Sub(start)
		if left <= 0 || wait > left && tried {
			return
		}
		if pause.For(ctx, min(wait, left)) != nil {
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
