package destination

import (
	"context"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
)

// sendSteps sends the steps of a request in order, for payloads that share it. A payload that fails in a step takes no part in the
// later ones. If nothing has to be sent for the payloads, they are skipped. The error says why the first request cannot be built;
// nothing was sent then.
func (d *declaredCall) sendSteps(ctx context.Context, which []int, scope event.Value) error {
	all := which
	defer func() { d.forgetAfterFailure(all) }()
	var answers []event.Member
	var last *Response
	status := 0
	for _, step := range d.r.Steps() {
		answered, err := d.sendStep(ctx, step, which, scope, answers)
		switch {
		case err != nil && last == nil && len(answered) == 0:
			return err
		case err != nil: // earlier steps were sent: the payloads are no longer divided
			d.failAll(which, err)
			return nil
		case len(answered) > 0:
			last, status = answered[len(answered)-1].response, step.DeliveredStatus()
			if step.Name != "" {
				answers = append(answers, event.Member{Key: step.Name, Value: stepAnswer(step, answered)})
			}
		}
		undecided := d.undecidedOf(which)
		if len(undecided) == 0 {
			return nil
		}
		if len(undecided) < len(which) {
			which = undecided
			scope, _ = d.batchScope(which) // their items were built before
		}
	}
	if last == nil {
		for _, i := range which {
			d.ms.Skip(i, "there is nothing to send: the event lacks what the action sends")
		}
		return nil
	}
	d.deliverRest(which, last, status)
	return nil
}

// answeredRequest is a request of a step that has a response.
type answeredRequest struct {
	scope    event.Value // that the request was built from
	response *Response
}

// sendStep sends the requests of one step and sets the results of payloads that fail. It returns the requests that have a response: none if
// the step does not apply. The error says why a request cannot be built.
func (d *declaredCall) sendStep(ctx context.Context, step *request.Step, which []int, scope event.Value, answers []event.Member) (answered []answeredRequest, err error) {
	scopes, err := step.Scopes(scope, answers)
	if err != nil {
		return nil, err
	}
	for _, scope := range scopes {
		if err := step.Refusal(scope); err != nil {
			d.failAll(which, err)
			return answered, nil
		}
		built, err := d.buildRequest(step.Request, scope)
		if err != nil {
			return answered, err
		}
		key, known := d.recallAnswer(step, built)
		if known != nil {
			answered = append(answered, answeredRequest{scope, known})
			continue
		}
		response, err := d.in.Client.roundTrip(ctx, built)
		if err != nil {
			d.failAll(which, err)
			return answered, nil
		}
		d.readResponse(step.Request, which, response)
		answered = append(answered, answeredRequest{scope, response})
		if len(d.undecidedOf(which)) < len(which) {
			return answered, nil
		}
		if time := step.Remembers(answerOf(response), d.in.Settings); time > 0 {
			d.in.Client.answers.add(key, response, d.in.Client.currentTime(), time)
		}
	}
	return answered, nil
}

// stepAnswer returns what later steps read of the responses to the requests of a step, of which there is at least one.
func stepAnswer(step *request.Step, answered []answeredRequest) event.Value {
	responses, scopes := make([]event.Value, len(answered)), make([]event.Value, len(answered))
	for i, a := range answered {
		responses[i], scopes[i] = answerValue(a.response), a.scope
	}
	return step.Answer(responses, scopes)
}

// recallAnswer returns the remembered answer to a request; nil if there is none. The key is that of the request; "" if the step remembers
// nothing.
func (d *declaredCall) recallAnswer(step *request.Step, built request.Built) (key string, known *Response) {
	if !step.MayRemember() {
		return "", nil
	}
	key = built.Key()
	known = d.in.Client.answers.find(key, d.in.Client.currentTime())
	if known != nil {
		d.remembered = append(d.remembered, key)
	}
	return key, known
}

// forgetAfterFailure forgets the remembered answers that payloads used if one of them failed: what the answers say may no longer hold.
func (d *declaredCall) forgetAfterFailure(which []int) {
	for _, i := range which {
		if d.ms.Outcome(i) == Failed {
			d.in.Client.answers.forget(d.remembered)
			break
		}
	}
	d.remembered = nil
}

// undecidedOf returns the payloads that have no result yet.
func (d *declaredCall) undecidedOf(which []int) (list []int) {
	for _, i := range which {
		if !d.ms.Decided(i) {
			list = append(list, i)
		}
	}
	return list
}

// answerValue returns a response as later steps read it. The names of its headers are in lower case.
func answerValue(r *Response) event.Value {
	var headers []event.Member
	for name := range r.Header {
		headers = append(headers, event.Member{Key: strings.ToLower(name), Value: event.NewString(r.Header.Get(name))})
	}
	return event.NewObject([]event.Member{
		{Key: "status", Value: event.NewInt(int64(r.Status))}, {Key: "body", Value: r.Body}, {Key: "headers", Value: event.NewObject(headers)},
	})
}
