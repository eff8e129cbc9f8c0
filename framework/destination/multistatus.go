package destination

import (
	"net/http"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Outcome is what became of one payload.
type Outcome uint8

// The outcomes.
const (
	Undecided Outcome = iota
	Delivered         // the remote has it
	Skipped           // there was nothing to send: superseded, unchanged, …
	Failed            // Err says why
	Pending           // the remote works on it as Operation
)

// Result is what became of one payload.
type Result struct {
	Outcome Outcome
	Status  int          // an HTTP status; 200 for delivered and skipped unless the remote said otherwise
	Reason  string       // why it was skipped
	Sent    event.Value  // what was sent for it; absent means the payload itself
	Body    event.Value  // what the remote answered, where that is of use
	Err     *fault.Error // set where it failed

	Operation string // set where it is pending
}

// MultiStatus is the results of a batch, index by index. It is not safe for concurrent use.
type MultiStatus struct {
	outcomes []Outcome
	results  []Result // nil as long as none says more than that it is delivered, as in most batches
}

// NewMultiStatus is n undecided results.
func NewMultiStatus(n int) *MultiStatus { return &MultiStatus{outcomes: make([]Outcome, n)} }

// Len is the number of results.
func (m *MultiStatus) Len() int { return len(m.outcomes) }

// Decided tells whether payload i has a result.
func (m *MultiStatus) Decided(i int) bool { return m.outcomes[i] != Undecided }

// Outcome is the outcome of payload i so far.
func (m *MultiStatus) Outcome(i int) Outcome { return m.outcomes[i] }

// Result is the result of payload i so far.
func (m *MultiStatus) Result(i int) Result {
	switch {
	case m.results != nil:
		return m.results[i]
	case m.outcomes[i] == Delivered:
		return deliveredResult
	}
	return Result{}
}

// deliveredResult is the result of what the remote simply has.
var deliveredResult = Result{Outcome: Delivered, Status: http.StatusOK}

// Describe are the outcome and the reason of a result for people: delivered, skipped, refused or retry.
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

// Deliver says that the remote has payload i.
func (m *MultiStatus) Deliver(i int) {
	if m.results != nil {
		m.results[i] = deliveredResult
	}
	m.outcomes[i] = Delivered
}

// Skip says that there was nothing to send for payload i.
func (m *MultiStatus) Skip(i int, reason string) {
	m.Set(i, Result{Outcome: Skipped, Status: http.StatusOK, Reason: reason})
}

// Fail says that payload i was not delivered.
func (m *MultiStatus) Fail(i int, err error) {
	e := fault.As(err)
	status := e.Status
	if status == 0 {
		status = http.StatusInternalServerError
	}
	m.Set(i, Result{Outcome: Failed, Status: status, Err: e})
}

// Set gives payload i any result.
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

// completeResults makes n decided results of what a handler returned.
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
		err = &fault.Error{Code: fault.CodeInternal, Status: 500, Message: "the handler did not give one result for each payload"}
		ms = NewMultiStatus(n)
	}
	for i := range n {
		if ms.Decided(i) {
			continue
		}
		if err == nil {
			err = &fault.Error{Code: fault.CodeInternal, Status: 500, Message: "the handler gave this payload no result"}
		}
		ms.Fail(i, err)
	}
	return ms
}
