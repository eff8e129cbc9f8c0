package destination

import (
	"context"
	"fmt"
	"net/http"

	"github.com/landfall-dev/landfall/framework/fault"
)

// PollCall asks for the state of operations at the remote. Their ids come from Pend or Response.Operation.
type PollCall[S any] struct {
	Deps
	Origin
	Settings   S
	Operations []string
}

// Pend marks payload i as pending: the remote has accepted it and processes it as an operation that Poll will ask for. In Poll
// it says that the operation is not finished.
func (m *MultiStatus) Pend(i int, operation string) {
	m.Set(i, Result{Outcome: Pending, Status: http.StatusAccepted, Operation: operation})
}

// Polls reports whether the action's handler has Poll.
func (a Action) Polls() bool { return a.poll != nil }

// Poll calls the handler's Poll and returns one result for each of the input's Operations. A retryable error means that the
// state is unknown, any other that the operation has failed.
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

// runHandler calls a handler. Payloads without a result get the handler's error; a panic becomes an internal error.
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

// checkPending replaces pending results that cannot be polled with internal errors.
func (a Action) checkPending(ms *MultiStatus) *MultiStatus {
	for i := range ms.Len() {
		if ms.Outcome(i) == Pending && (a.poll == nil || ms.Result(i).Operation == "") {
			ms.Fail(i, &fault.Error{Code: fault.CodeInternal, Status: 500,
				Message: "the handler marked the payload as pending, but it has no Poll or gave no operation"})
		}
	}
	return ms
}
