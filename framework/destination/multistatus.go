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
	results []Result
}

// NewMultiStatus is n undecided results.
func NewMultiStatus(n int) *MultiStatus { return &MultiStatus{results: make([]Result, n)} }

// Len is the number of results.
func (m *MultiStatus) Len() int { return len(m.results) }

// Decided tells whether payload i has a result.
func (m *MultiStatus) Decided(i int) bool { return m.results[i].Outcome != Undecided }

// Outcome is the outcome of payload i so far.
func (m *MultiStatus) Outcome(i int) Outcome { return m.results[i].Outcome }

// Result is the result of payload i so far.
func (m *MultiStatus) Result(i int) Result { return m.results[i] }

// Words are the outcome and the reason of a result for people: delivered, skipped, refused or retry.
func (r Result) Words() (outcome, reason string) {
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
	m.results[i] = Result{Outcome: Delivered, Status: http.StatusOK}
}

// Skip says that there was nothing to send for payload i.
func (m *MultiStatus) Skip(i int, reason string) {
	m.results[i] = Result{Outcome: Skipped, Status: http.StatusOK, Reason: reason}
}

// Fail says that payload i was not delivered.
func (m *MultiStatus) Fail(i int, err error) {
	e := fault.As(err)
	status := e.Status
	if status == 0 {
		status = http.StatusInternalServerError
	}
	m.results[i] = Result{Outcome: Failed, Status: status, Err: e}
}

// Set gives payload i any result.
func (m *MultiStatus) Set(i int, r Result) { m.results[i] = r }

// settle makes n decided results of what a handler returned.
func settle(ms *MultiStatus, err error, n int) []Result {
	if ms == nil {
		ms = NewMultiStatus(n)
		if err == nil {
			for i := range n {
				ms.Deliver(i)
			}
		}
	}
	if len(ms.results) != n {
		err = &fault.Error{Code: fault.CodeInternal, Status: 500, Message: "the handler did not give one result for each payload"}
		ms = NewMultiStatus(n)
	}
	for i := range ms.results {
		if ms.results[i].Outcome != Undecided {
			continue
		}
		if err == nil {
			err = &fault.Error{Code: fault.CodeInternal, Status: 500, Message: "the handler gave this payload no result"}
		}
		ms.Fail(i, err)
	}
	return ms.results
}
