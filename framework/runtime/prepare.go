package runtime

import (
	"fmt"
	"net/http"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Item is an event that one subscription has mapped, ready for delivery.
type Item struct {
	Index        int // set by the caller, which may use it to find the event
	Subscription *Subscription
	Event        event.Event
	Payload      event.Value
	BatchKey     string // items of a subscription with equal keys may share a batch
	BatchSize    int    // the maximum number of items in its batch; 1 means alone
	BatchBytes   int    // the maximum size in bytes of its batch's payloads as JSON; 0 means no limit
	Lane         string // batches of a plan with equal lanes are delivered one after the other
	Independent  bool   // no order with items of other lanes is needed: it changes an audience

	Operation string // the id of the remote's asynchronous operation; "" before the item is sent

	audience *pendingAudience // an audience that must be created first, or nil
}

// Prepare matches, filters, maps and checks an event without contacting the remote. It returns an item to deliver, or the verdict if
// there is nothing to deliver. A panic while mapping becomes a verdict: otherwise the process would end, and read the event again
// after its restart.
func (p *Plan) Prepare(s *Subscription, e event.Event, index int) (item Item, verdict *Verdict) {
	defer p.catchPanic(s, &item, &verdict)
	if !s.query.Match(e.Value()) {
		v := p.notSubscribedVerdict(s)
		return Item{}, &v
	}
	return p.prepareMatching(s, e, index)
}

// PrepareMatching is Prepare for an event that the query of s matches, as the caller has checked.
func (p *Plan) PrepareMatching(s *Subscription, e event.Event, index int) (item Item, verdict *Verdict) {
	defer p.catchPanic(s, &item, &verdict)
	return p.prepareMatching(s, e, index)
}

// catchPanic is deferred. It turns a panic into the verdict.
func (p *Plan) catchPanic(s *Subscription, item *Item, verdict **Verdict) {
	if r := recover(); r != nil {
		v := p.failedVerdict(s, &fault.Error{Code: fault.CodeInternal, Status: http.StatusInternalServerError,
			Message: fmt.Sprintf("mapping the event panicked: %v", r)}, fault.ReporterIntegrations)
		*item, *verdict = Item{}, &v
	}
}

func (p *Plan) prepareMatching(s *Subscription, e event.Event, index int) (item Item, verdict *Verdict) {
	if cause, reason := p.filterCause(s, e.Value()); cause != "" {
		return Item{}, &Verdict{Instance: p.id, Subscription: s.name, Outcome: Skipped, Status: http.StatusOK, Cause: cause, Reason: reason}
	}
	what, audience := e.Value(), (*pendingAudience)(nil)
	if p.audienceCreator != nil && p.definition.Audience.NeededBy(s.action.Key) {
		what, audience = p.audienceCreator.addAudience(what)
	}
	payload, err := s.mapping.Resolve(what)
	if err != nil {
		v := p.failedVerdict(s, fault.As(err), fault.ReporterIntegrations)
		return Item{}, &v
	}
	item, verdict = p.NewItem(s, payload, index)
	item.Event, item.audience = e, audience
	return item, verdict
}

// laneOf returns the lane of a payload. It is the audience that the payload changes, so that an audience has one request at a time
// across subscriptions. For other payloads it is the subscription and the batch key.
func (p *Plan) laneOf(s *Subscription, payload event.Value, batchKey string) (lane string, independent bool) {
	if p.audiences != nil && p.audiences.Action == s.action.Key {
		return p.audienceID.Get(payload).Text(), p.deletion == nil
	}
	return s.name + "\x00" + batchKey, false
}
