package runtime

import (
	"net/http"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Verdict is the result of processing one event with one subscription.
type Verdict struct {
	Instance     string
	Subscription string
	Outcome      Outcome
	Status       int           // an HTTP status
	Code         string        // set if it was not delivered
	Reporter     string        // INTEGRATIONS or DESTINATION; set if it failed
	Cause        fault.Cause   // why it was not delivered, for programs; "" if it was
	Reason       string        // the same for people; never holds a secret
	RetryAfter   time.Duration // how long the remote or a limit asks to wait before a retry; 0 if neither does
	Operation    string        // the remote's operation; set if Outcome is Pending
	Sent         event.Value   // what was sent, redacted; by default the payload
	Body         event.Value   // the body of the response, redacted; absent if the handler returned none
	// Request is the failed request that contained the event. It is nil if there is none, or if the context of Deliver does not
	// record exchanges.
	Request *httpx.Exchange
}

// Outcome is the outcome of an event.
type Outcome string

// The outcomes.
const (
	Delivered Outcome = "delivered" // the remote accepted it
	Skipped   Outcome = "skipped"   // nothing had to be sent: not subscribed, filtered, superseded or unchanged
	Refused   Outcome = "refused"   // a retry cannot succeed
	Retry     Outcome = "retry"     // a retry may succeed
)

// NotDelivered returns the verdict of an event with a cause, in the words of the cause.
func NotDelivered(o Outcome, c fault.Cause) Verdict {
	return Verdict{Outcome: o, Cause: c, Reason: c.Text()}
}

// notSubscribedVerdict returns the verdict of an event that does not match a subscription.
func (p *Plan) notSubscribedVerdict(s *Subscription) Verdict {
	return Verdict{
		Instance: p.id, Subscription: s.name, Outcome: Skipped, Status: http.StatusBadRequest, Code: fault.CodeInvalidPayload,
		Reporter: fault.ReporterIntegrations, Cause: fault.CauseNotSubscribed, Reason: fault.CauseNotSubscribed.Text(),
	}
}

// failedVerdict returns the verdict of an error.
func (p *Plan) failedVerdict(s *Subscription, e *fault.Error, reporter string) Verdict {
	v := Verdict{
		Instance: p.id, Subscription: s.name, Outcome: Refused, Status: e.Status, Code: e.Code,
		Reporter: reporter, Cause: fault.CauseOf(e), Reason: e.Error(), RetryAfter: e.RetryAfter, Request: httpx.ExchangeOf(e),
	}
	if v.Status == 0 {
		v.Status = http.StatusInternalServerError
	}
	if e.Retry {
		v.Outcome = Retry
	}
	return v
}

// fillVerdict sets v to the verdict of a handler's result.
func (p *Plan) fillVerdict(v *Verdict, s *Subscription, payload event.Value, r destination.Result) {
	sent, body := p.redactValue(r.Sent), p.redactValue(r.Body)
	if sent.Kind() == event.Absent {
		sent = payload
	}
	switch r.Outcome {
	case destination.Delivered:
		*v = Verdict{Instance: p.id, Subscription: s.name, Outcome: Delivered, Status: r.Status, Sent: sent, Body: body}
	case destination.Skipped:
		*v = Verdict{Instance: p.id, Subscription: s.name, Outcome: Skipped, Status: r.Status, Cause: r.Cause, Reason: p.redact(r.Reason), Sent: sent, Body: body}
	case destination.Pending:
		*v = Verdict{Instance: p.id, Subscription: s.name, Outcome: Pending, Status: r.Status, Operation: r.Operation, Sent: sent, Body: body,
			Cause: fault.CauseInProgress, Reason: "the destination is processing it; its operation is " + r.Operation}
	default:
		reporter := fault.ReporterDestination
		if r.Err.Code == fault.CodeInvalidPayload {
			reporter = fault.ReporterIntegrations
		}
		*v = p.failedVerdict(s, r.Err, reporter)
		v.Sent, v.Body, v.Reason = sent, body, p.redact(v.Reason)
	}
}

// redactValue returns a value of a request or a response without secrets.
func (p *Plan) redactValue(v event.Value) event.Value {
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

// failAll gives every item the verdict of err.
func (p *Plan) failAll(items []Item, err error, slot func(i int) *Verdict) {
	for i := range items {
		*slot(i) = p.failedVerdict(items[i].Subscription, fault.As(err), fault.ReporterIntegrations)
	}
}
