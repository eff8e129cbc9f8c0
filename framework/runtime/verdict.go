package runtime

import (
	"net/http"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Verdict is what became of one event in one subscription.
type Verdict struct {
	Instance     string
	Subscription string
	Outcome      Outcome
	Status       int    // an HTTP status
	Code         string // where it was not delivered
	Reporter     string // INTEGRATIONS or DESTINATION, where it failed
	Reason       string // why it was not delivered; never holds a secret
	RetryAfter   time.Duration
	Operation    string // that the remote works on it as, where it is pending
	Sent         event.Value
	Body         event.Value
	// Request is the request that carried the event and failed. It is nil if none did, or the context of Deliver does not keep
	// exchanges.
	Request *httpx.Exchange
}

// Outcome is what became of an event.
type Outcome string

// The outcomes.
const (
	Delivered Outcome = "delivered" // the remote has it
	Skipped   Outcome = "skipped"   // there was nothing to do: not subscribed, superseded, unchanged
	Refused   Outcome = "refused"   // it can never be delivered as it is
	Retry     Outcome = "retry"     // trying again may deliver it
)

// NotSubscribed is the reason of an event that a subscription does not choose.
const NotSubscribed = "the event does not match the subscription"

// notSubscribed is the verdict of an event that a subscription does not choose.
func (p *Plan) notSubscribed(s *Subscription) Verdict {
	return Verdict{
		Instance: p.id, Subscription: s.name, Outcome: Skipped, Status: http.StatusBadRequest,
		Code: fault.CodeInvalidPayload, Reporter: fault.ReporterIntegrations, Reason: NotSubscribed,
	}
}

// failed is the verdict of an error.
func (p *Plan) failed(s *Subscription, e *fault.Error, reporter string) Verdict {
	v := Verdict{
		Instance: p.id, Subscription: s.name, Outcome: Refused, Status: e.Status, Code: e.Code,
		Reporter: reporter, Reason: e.Error(), RetryAfter: e.RetryAfter, Request: httpx.ExchangeOf(e),
	}
	if v.Status == 0 {
		v.Status = http.StatusInternalServerError
	}
	if e.Retry {
		v.Outcome = Retry
	}
	return v
}

// verdict fills in what became of a payload.
func (p *Plan) verdict(v *Verdict, s *Subscription, payload event.Value, r destination.Result) {
	sent, body := p.redacted(r.Sent), p.redacted(r.Body)
	if sent.Kind() == event.Absent {
		sent = payload
	}
	switch r.Outcome {
	case destination.Delivered:
		*v = Verdict{Instance: p.id, Subscription: s.name, Outcome: Delivered, Status: r.Status, Sent: sent, Body: body}
	case destination.Skipped:
		*v = Verdict{Instance: p.id, Subscription: s.name, Outcome: Skipped, Status: r.Status, Reason: r.Reason, Sent: sent, Body: body}
	case destination.Pending:
		*v = Verdict{Instance: p.id, Subscription: s.name, Outcome: Pending, Status: r.Status, Operation: r.Operation, Sent: sent, Body: body,
			Reason: "the destination works on it as the operation " + r.Operation}
	default:
		reporter := fault.ReporterDestination
		if r.Err.Code == fault.CodeInvalidPayload {
			reporter = fault.ReporterIntegrations
		}
		*v = p.failed(s, r.Err, reporter)
		v.Sent, v.Body, v.Reason = sent, body, p.redact(v.Reason)
	}
}

// redacted is what a handler shows of a request or an answer, without secrets that the remote may have repeated.
func (p *Plan) redacted(v event.Value) event.Value {
	if v.Kind() < event.String {
		return v
	}
	text := v.JSON()
	clean := p.redact(text)
	if clean == text {
		return v
	}
	shown, err := event.ParseString(clean)
	if err != nil {
		return event.NewString(httpx.Hidden)
	}
	return shown
}

// allFailed gives every item an error as its verdict.
func (p *Plan) allFailed(items []Item, err error, slot func(i int) *Verdict) {
	for i := range items {
		*slot(i) = p.failed(items[i].Subscription, fault.As(err), fault.ReporterIntegrations)
	}
}
