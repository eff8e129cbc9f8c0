package destination_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

type (
	oneCall   = destination.Call[Settings, ContactPayload]
	batchCall = destination.BatchCall[Settings, ContactPayload]
	pollCall  = destination.PollCall[Settings]
	results   = *destination.MultiStatus
)

// resultsOf describes results in words.
func resultsOf(ms results) (list []string) {
	for i := range ms.Len() {
		outcome, reason := ms.Result(i).Describe()
		list = append(list, outcome+": "+reason)
	}
	return list
}

// contactsInput is a batch with these addresses.
func contactsInput(addresses ...string) destination.Input {
	in := destination.Input{Settings: event.MustParse(`{"key":"k1"}`)}
	for _, address := range addresses {
		in.Payloads = append(in.Payloads, event.NewObject([]event.Member{{Key: "email", Value: event.NewString(address)}}))
	}
	return in
}

// TestResultsOfOnePayload checks what each way to end Perform means for the payload.
func TestResultsOfOnePayload(t *testing.T) {
	for want, perform := range map[string]func() (*destination.Response, error){
		"delivered: ":          func() (*destination.Response, error) { return nil, nil },
		"skipped: it is there": func() (*destination.Response, error) { return &destination.Response{Skipped: "it is there"}, nil },
		"pending: the operation op1": func() (*destination.Response, error) {
			return &destination.Response{Status: 202, Operation: "op1"}, nil
		},
		"refused: wrong": func() (*destination.Response, error) {
			return &destination.Response{Status: 200}, fault.Invalid("wrong")
		},
		"refused: no": func() (*destination.Response, error) { return nil, errors.New("no") },
		"refused: the handler panicked: out of x": func() (*destination.Response, error) { panic("out of x") },
	} {
		action := destination.Handle(destination.Handler[Settings, ContactPayload]{
			Perform: func(_ context.Context, call oneCall) (*destination.Response, error) {
				assert.Equal(t, "k1 a", call.Settings.Key+" "+call.Payload.Email)
				return perform()
			},
			Poll: func(context.Context, pollCall) (results, error) { return nil, nil },
		})
		assert.Equal(t, []string{want}, resultsOf(action.Perform(t.Context(), contactsInput("a"))))
	}
}

// TestResultsOfABatch checks that each payload has a result, whatever the handler returns: none of them is lost or called delivered by mistake.
func TestResultsOfABatch(t *testing.T) {
	delivered := func(n int, which ...int) results {
		ms := destination.NewMultiStatus(n)
		for _, i := range which {
			ms.Deliver(i)
		}
		return ms
	}
	const lost = "refused: the handler returned no result for this payload"
	const wrongNumber = "refused: the handler did not return one result for each payload"
	for _, c := range []struct {
		ms   results
		err  error
		want []string
	}{
		{nil, nil, []string{"delivered: ", "delivered: "}},
		{nil, fault.Invalid("wrong"), []string{"refused: wrong", "refused: wrong"}},
		{delivered(2, 0), fault.Invalid("wrong"), []string{"delivered: ", "refused: wrong"}},
		{delivered(2, 1), nil, []string{lost, "delivered: "}},
		{delivered(1, 0), nil, []string{wrongNumber, wrongNumber}},
		{delivered(3, 0, 1, 2), nil, []string{wrongNumber, wrongNumber}},
		{delivered(1, 0), fault.Invalid("wrong"), []string{wrongNumber, wrongNumber}},
	} {
		action := destination.Handle(destination.Handler[Settings, ContactPayload]{PerformBatch: func(_ context.Context, call batchCall) (results, error) {
			assert.Equal(t, []ContactPayload{{Email: "a"}, {Email: "b"}}, call.Payloads)
			return c.ms, c.err
		}})
		assert.True(t, action.Batches())
		assert.Equal(t, c.want, resultsOf(action.Perform(t.Context(), contactsInput("a", "b"))))
	}
}

// TestOneOrManyPayloads checks which function of a handler gets a single payload.
func TestOneOrManyPayloads(t *testing.T) {
	one := func(context.Context, oneCall) (*destination.Response, error) {
		return &destination.Response{Skipped: "one"}, nil
	}
	many := func(_ context.Context, call batchCall) (results, error) {
		ms := destination.NewMultiStatus(len(call.Payloads))
		for i := range call.Payloads {
			ms.Skip(i, "many")
		}
		return ms, nil
	}
	type handler = destination.Handler[Settings, ContactPayload]
	both, batches := destination.Handle(handler{Perform: one, PerformBatch: many}), destination.Handle(handler{PerformBatch: many})
	assert.Equal(t, []string{"skipped: one"}, resultsOf(both.Perform(t.Context(), contactsInput("a"))))
	assert.Equal(t, []string{"skipped: many", "skipped: many"}, resultsOf(both.Perform(t.Context(), contactsInput("a", "b"))))
	assert.Equal(t, []string{"skipped: many"}, resultsOf(batches.Perform(t.Context(), contactsInput("a"))))
	assert.False(t, destination.Handle(handler{Perform: one}).Batches())
	assert.Panics(t, func() { destination.Handle(handler{}) }, "a handler without functions")
}

// TestHandlersGetEventsIfTheyReadThem checks what a handler sees of events.
func TestHandlersGetEventsIfTheyReadThem(t *testing.T) {
	in := contactsInput("a", "b")
	e, err := event.Parse([]byte(`{"type":"track","userId":"u1"}`))
	assert.NoError(t, err)
	in.Events = []event.Event{e}
	var seen []string
	action := destination.Handle(destination.Handler[Settings, ContactPayload]{PerformBatch: func(_ context.Context, call batchCall) (results, error) {
		seen = append(seen, call.Event(0).Get("userId").Text(), call.Event(1).Get("userId").Text())
		return nil, nil
	}})
	action.Perform(t.Context(), in)
	in.ReadsEvents = true
	action.Perform(t.Context(), in)
	assert.Equal(t, []string{"", "", "u1", ""}, seen)
}

// TestPendingPayloads checks that payloads that cannot be polled are refused, and what Poll makes of the others.
func TestPendingPayloads(t *testing.T) {
	begin := func(_ context.Context, call batchCall) (results, error) {
		ms := destination.NewMultiStatus(len(call.Payloads))
		ms.Pend(0, "op1")
		ms.Pend(1, "")
		return ms, nil
	}
	const cannot = "refused: the handler marked the payload as pending, but it has no Poll or gave no operation"
	type handler = destination.Handler[Settings, ContactPayload]
	without := destination.Handle(handler{PerformBatch: begin})
	assert.False(t, without.Polls())
	assert.Equal(t, []string{cannot, cannot}, resultsOf(without.Perform(t.Context(), contactsInput("a", "b"))))
	with := destination.Handle(handler{PerformBatch: begin, Poll: func(_ context.Context, call pollCall) (results, error) {
		assert.Equal(t, "k1", call.Settings.Key)
		ms := destination.NewMultiStatus(len(call.Operations))
		ms.Pend(0, "")
		ms.Deliver(1)
		return ms, fault.Invalid("gone")
	}})
	assert.True(t, with.Polls())
	assert.Equal(t, []string{"pending: the operation op1", cannot}, resultsOf(with.Perform(t.Context(), contactsInput("a", "b"))))
	in := contactsInput()
	in.Operations = []string{"op1", "op2", "op3"}
	assert.Equal(t, []string{"pending: the operation op1", "delivered: ", "refused: gone"}, resultsOf(with.Poll(t.Context(), in)))
}

// TestStatusesOfResults checks the status of each kind of result.
func TestStatusesOfResults(t *testing.T) {
	ms := destination.NewMultiStatus(6)
	assert.Equal(t, destination.Result{}, ms.Result(0))
	ms.Deliver(0)
	assert.Equal(t, destination.Result{Outcome: destination.Delivered, Status: 200}, ms.Result(0))
	ms.Skip(1, "it is there")
	ms.SkipFor(2, fault.CauseSuperseded)
	ms.Fail(3, fault.Invalid("wrong"))
	ms.Fail(4, &fault.Error{Message: "strange"})
	var statuses []int
	for i := range ms.Len() {
		statuses = append(statuses, ms.Result(i).Status)
		assert.Equal(t, i < 5, ms.Decided(i), i)
	}
	assert.Equal(t, []int{200, 200, 200, http.StatusBadRequest, http.StatusInternalServerError, 0}, statuses)
	ms.Deliver(3)
	assert.Equal(t, []string{"delivered: ", "skipped: it is there", "skipped: " + fault.CauseSuperseded.Text(), "delivered: ", "refused: strange", "undecided: "}, resultsOf(ms))
	assert.Equal(t, fault.CauseNothingToSend, ms.Result(1).Cause)
}
