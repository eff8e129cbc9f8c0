package runtime

import (
	"fmt"
	"net/http"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Item is one event on its way through one subscription.
type Item struct {
	Index        int // the caller's own
	Subscription *Subscription
	Event        event.Event
	Payload      event.Value
	BatchKey     string // items of a subscription with equal keys may share a batch
	BatchSize    int    // the most items of its batch; 1 means alone
	BatchBytes   int    // the most bytes of its batch's payloads as JSON; 0 is no bound
	Lane         string // items of a plan with equal lanes go one batch after the other
	Independent  bool   // what goes through other lanes has no bearing on it: an audience is changed
	Barrier      bool   // everything before it is done before it is, and nothing after it begins earlier: a user is deleted

	Operation string // that the remote works on it as, where it has been sent; "" before

	audience *pendingAudience // that has to be created first; nil where there is none
}

// Prepare takes an event through a subscription as far as it goes without the remote: to an item, or to its verdict. An event that
// makes a language panic is refused, so that it ends no process, which would read it again.
func (p *Plan) Prepare(s *Subscription, e event.Event, index int) (item Item, verdict *Verdict) {
	defer func() {
		if r := recover(); r != nil {
			v := p.failed(s, &fault.Error{Code: fault.CodeInternal, Status: http.StatusInternalServerError,
				Message: fmt.Sprintf("taking the event through the subscription panicked: %v", r)}, fault.ReporterIntegrations)
			item, verdict = Item{}, &v
		}
	}()
	if !s.query.Match(e.Value()) {
		v := p.notSubscribed(s)
		return Item{}, &v
	}
	if reason := p.filterReason(s, e.Value()); reason != "" {
		return Item{}, &Verdict{Instance: p.id, Subscription: s.name, Outcome: Skipped, Status: http.StatusOK, Reason: reason}
	}
	what, audience := e.Value(), (*pendingAudience)(nil)
	if p.audienceCreator != nil {
		what, audience = p.audienceCreator.enrich(what)
	}
	payload, err := s.mapping.Resolve(what)
	if err != nil {
		v := p.failed(s, fault.As(err), fault.ReporterIntegrations)
		return Item{}, &v
	}
	item, verdict = p.Item(s, payload, index)
	item.Event, item.audience = e, audience
	return item, verdict
}

// lane is the audience that a payload changes, so that one request is under way for it, whichever subscription it comes from;
// else the subscription and the batch key.
func (p *Plan) lane(s *Subscription, payload event.Value, batchKey string) (lane string, apart bool) {
	if p.audiences != nil && p.audiences.Action == s.action.Key {
		return p.audienceID.Get(payload).Text(), p.deletion == nil
	}
	return s.name + "\x00" + batchKey, false
}
