package destination

import (
	"net/http"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Outcome is the outcome of one payload.
type Outcome uint8

// The outcomes.
const (
	Undecided Outcome = iota
	Delivered         // the remote has accepted it
	Skipped           // nothing had to be sent, for example because it was superseded
	Failed            // Err holds the reason
	Pending           // the remote is still processing Operation
)

// Result is the result of one payload.
type Result struct {
	Outcome Outcome
	Status  int          // an HTTP status; 200 for delivered and skipped payloads unless the remote said otherwise
	Cause   fault.Cause  // why it was skipped, for programs
	Reason  string       // why it was skipped, for people
	Sent    event.Value  // what was sent; absent means the payload itself
	Body    event.Value  // the response body, if useful
	Err     *fault.Error // set if Outcome is Failed

	Operation string // set if Outcome is Pending
}

// MultiStatus holds the results of a batch by index. It is not safe for concurrent use.
type MultiStatus struct {
	outcomes []Outcome
	results  []Result // nil while every result is undecided or plainly delivered, as in most batches
}

// NewMultiStatus returns n undecided results.
func NewMultiStatus(n int) *MultiStatus { return &MultiStatus{outcomes: make([]Outcome, n)} }

// Len returns the number of results.
func (m *MultiStatus) Len() int { return len(m.outcomes) }

// Decided reports whether payload i has a result.
func (m *MultiStatus) Decided(i int) bool { return m.outcomes[i] != Undecided }

// Outcome returns the outcome of payload i so far.
func (m *MultiStatus) Outcome(i int) Outcome { return m.outcomes[i] }

// Result returns the result of payload i so far.
func (m *MultiStatus) Result(i int) Result {
	switch {
	case m.results != nil:
		return m.results[i]
	case m.outcomes[i] == Delivered:
		return deliveredResult
	}
	return Result{}
}

// deliveredResult is the result of a payload that was delivered without further detail.
var deliveredResult = Result{Outcome: Delivered, Status: http.StatusOK}

// Describe returns the outcome and the reason of a result for users. The outcome is delivered, skipped, refused, retry, pending
// or undecided.
func (r Result) Describe() (outcome, reason string) {
	switch {
	case r.Outcome == Delivered:
		return "delivered", ""
	case r.Outcome == Skipped:
		return "skipped", r.Reason
	case r.Outcome == Pending:
		return "pending", "the operation " + r.Operation
	case r.Err == nil:
		return "undecided", ""
	case r.Err.Retry:
		return "retry", r.Err.Error()
	}
	return "refused", r.Err.Error()
}

// Deliver marks payload i as delivered.
func (m *MultiStatus) Deliver(i int) {
	if m.results != nil {
		m.results[i] = deliveredResult
	}
	m.outcomes[i] = Delivered
}

// Skip marks payload i as skipped, because nothing had to be sent. reason says why, in the words of the remote.
func (m *MultiStatus) Skip(i int, reason string) {
	m.Set(i, Result{Outcome: Skipped, Status: http.StatusOK, Cause: fault.CauseNothingToSend, Reason: reason})
}

// SkipFor marks payload i as skipped for a cause, whose text becomes the reason.
func (m *MultiStatus) SkipFor(i int, c fault.Cause) {
	m.Set(i, Result{Outcome: Skipped, Status: http.StatusOK, Cause: c, Reason: c.Text()})
}

// Fail marks payload i as failed.
func (m *MultiStatus) Fail(i int, err error) {
	e := fault.As(err)
	status := e.Status
	if status == 0 {
		status = http.StatusInternalServerError
	}
	m.Set(i, Result{Outcome: Failed, Status: status, Err: e})
}

// Set sets the result of payload i.
func (m *MultiStatus) Set(i int, r Result) {
	if m.results == nil {
		results := make([]Result, len(m.outcomes))
		for i := range results {
			results[i] = m.Result(i)
		}
		m.results = results
	}
	m.outcomes[i], m.results[i] = r.Outcome, r
}

// completeResults turns what a handler returned into n decided results.
func completeResults(ms *MultiStatus, err error, n int) *MultiStatus {
	if ms == nil {
		ms = NewMultiStatus(n)
		if err == nil {
			for i := range n {
				ms.Deliver(i)
			}
		}
	}
	if ms.Len() != n {
		err = &fault.Error{Code: fault.CodeInternal, Status: 500, Message: "the handler did not return one result for each payload"}
		ms = NewMultiStatus(n)
	}
	for i := range n {
		if ms.Decided(i) {
			continue
		}
		if err == nil {
			err = &fault.Error{Code: fault.CodeInternal, Status: 500, Message: "the handler returned no result for this payload"}
		}
		ms.Fail(i, err)
	}
	return ms
}
