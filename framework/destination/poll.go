package destination

import (
	"context"
	"fmt"
	"net/http"

	"github.com/landfall-dev/landfall/framework/fault"
)

// PollCall asks what has become of operations that the remote works on: the ids that were given to Pend, or that stood in
// Response.Operation.
type PollCall[S any] struct {
	Deps
	Origin
	Settings   S
	Operations []string
}

// Pend says that the remote has taken payload i and works on it as an operation, which Poll asks for later. In a Poll it says that
// the operation is not finished.
func (m *MultiStatus) Pend(i int, operation string) {
	m.Set(i, Result{Outcome: Pending, Status: http.StatusAccepted, Operation: operation})
}

// Polls tells whether the action has operations that are polled.
func (a Action) Polls() bool { return a.poll != nil }

// Poll asks what has become of the input's Operations. It always gives one result for each. An error that may be retried means
// that it is not known, and any other that the operation has failed.
func (a Action) Poll(ctx context.Context, in Input) *MultiStatus {
	ms := runHandler(ctx, in, a.poll, len(in.Operations))
	for i := range ms.Len() {
		if r := ms.Result(i); r.Outcome == Pending {
			r.Operation = in.Operations[i]
			ms.Set(i, r)
		}
	}
	return ms
}

// runHandler calls a handler. What it leaves undecided gets its error, and one that panics gives internal errors.
func runHandler(ctx context.Context, in Input, handler func(context.Context, Input) (*MultiStatus, error), n int) *MultiStatus {
	var ms *MultiStatus
	var err error
	func() {
		defer func() {
			if r := recover(); r != nil {
				err = &fault.Error{Code: fault.CodeInternal, Status: 500, Message: fmt.Sprintf("the handler panicked: %v", r)}
			}
		}()
		ms, err = handler(ctx, in)
	}()
	return completeResults(ms, err, n)
}

// checkPending makes internal errors of operations that nobody can ask for.
func (a Action) checkPending(ms *MultiStatus) *MultiStatus {
	for i := range ms.Len() {
		if ms.Outcome(i) == Pending && (a.poll == nil || ms.Result(i).Operation == "") {
			ms.Fail(i, &fault.Error{Code: fault.CodeInternal, Status: 500,
				Message: "the handler says that the remote works on it, but there is no Poll, or no operation to ask for"})
		}
	}
	return ms
}
