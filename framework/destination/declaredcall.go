package destination

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// declaredCall performs payloads with a declared request.
type declaredCall struct {
	r    *request.Request
	in   Input
	auth event.Value
	ms   *MultiStatus

	audience   event.Value // of the payloads; absent unless the action keeps audiences
	members    []bool      // whether the user of each payload is a member from now on; nil unless the request adds and removes
	remembered []string    // the keys of the remembered answers that the steps have used
}

// scopeFor returns the scope that the mappings of the request read.
func (d *declaredCall) scopeFor(payload event.Value, more ...event.Member) event.Value {
	return event.NewObject(append([]event.Member{
		{Key: request.Settings, Value: d.in.Settings}, {Key: request.Auth, Value: d.auth}, {Key: request.Payload, Value: payload},
		{Key: request.SyncMode, Value: event.NewString(string(d.in.SyncMode))}, {Key: request.Hooks, Value: d.in.HookOutputs}, {Key: request.Audience, Value: d.audience},
		{Key: request.Batched, Value: event.NewBool(d.in.Batched)},
	}, more...))
}

// sendAll sends every payload. A request holds no more payloads than the declared size; its payloads agree in what the
// request declares, otherwise in all that it reads of payload, and have different unique keys.
func (d *declaredCall) sendAll(ctx context.Context) error {
	size, err := d.r.BatchSize(d.scopeFor(d.in.Payloads[0]))
	if err != nil {
		return err
	}
	var open []*openBatch // the batches that are not sent yet, in order of their first payloads
	for i, payload := range d.in.Payloads {
		key, like, err := d.batchKeysOf(payload)
		if err != nil {
			d.ms.Fail(i, err)
			continue
		}
		if !d.r.Gathers() && len(open) > 0 && open[0].like != like {
			d.sendBatch(ctx, open[0].which)
			open = nil
		}
		b := batchLike(open, like)
		if b == nil {
			b = &openBatch{like: like, keys: map[string]bool{}}
			open = append(open, b)
		}
		if size > 0 && len(b.which) == size || b.keys[key] {
			d.sendBatch(ctx, b.which)
			b.which = nil
			clear(b.keys)
		}
		b.which = append(b.which, i)
		if key != "" {
			b.keys[key] = true
		}
	}
	for _, b := range open {
		d.sendBatch(ctx, b.which)
	}
	return nil
}

// batchKeysOf returns the unique key of a payload and what it agrees in with those of its request, or why the request refuses it.
func (d *declaredCall) batchKeysOf(payload event.Value) (unique, like string, err error) {
	scope := d.scopeFor(payload)
	if err := d.r.Refusal(scope); err != nil {
		return "", "", err
	}
	if unique, err = d.r.UniqueKey(scope); err != nil {
		return "", "", err
	}
	like, err = d.r.SharedKey(scope)
	return unique, like, err
}

// openBatch holds payloads for one request.
type openBatch struct {
	like  string // what the payloads agree in
	which []int
	keys  map[string]bool // their unique keys
}

// batchLike returns the batch for payloads that agree in like; nil if there is none.
func batchLike(open []*openBatch, like string) *openBatch {
	i := slices.IndexFunc(open, func(b *openBatch) bool { return b.like == like })
	if i < 0 {
		return nil
	}
	return open[i]
}

// sendBatch sends payloads in one request. If the request is too large or cannot be built, it is divided. That costs no request, so
// that every payload may be alone in the end.
func (d *declaredCall) sendBatch(ctx context.Context, which []int) {
	b := Bisection[int]{
		Send:         d.buildAndSend,
		Fail:         d.failAll,
		Divisible:    func(*fault.Error) bool { return true },
		MaxDivisions: len(which),
	}
	_ = b.Run(ctx, which) // every payload has its result
}

// buildAndSend sends payloads in one request, or in the steps of the request, and sets their results. A payload whose item cannot be
// built fails alone. The error says why the request cannot be built; nothing was sent then.
func (d *declaredCall) buildAndSend(ctx context.Context, which []int) error {
	scope, good := d.batchScope(which)
	switch {
	case len(good) == 0:
		return nil
	case len(good) < len(which): // the indexes have changed: build again
		d.sendBatch(ctx, good)
		return nil
	case len(d.r.Steps()) > 0:
		return d.sendSteps(ctx, which, scope)
	}
	built, err := d.buildRequest(d.r, scope)
	if err != nil {
		return err
	}
	response, err := d.in.Client.roundTrip(ctx, built)
	if err != nil {
		d.failAll(which, err)
		return nil
	}
	d.readResponse(d.r, which, response)
	d.deliverRest(which, response, d.r.DeliveredStatus())
	return nil
}

// buildRequest builds a request and checks its size.
func (d *declaredCall) buildRequest(r *request.Request, scope event.Value) (request.Built, error) {
	built, err := r.Build(scope)
	if most := cmp.Or(d.r.MaxBytes(), httpx.DefaultMaxBytes); err == nil && built.Size > most {
		err = fault.Invalid("the request is larger than %d bytes, the limit of %s", most, built.URL)
	}
	return built, err
}

// batchScope returns the scope of a request for payloads, and the payloads that can be part of it.
func (d *declaredCall) batchScope(which []int) (scope event.Value, good []int) {
	if !d.r.Batches() {
		return d.scopeFor(d.in.Payloads[which[0]]), which
	}
	payloads, items := make([]event.Value, len(which)), make([]event.Value, len(which))
	for n, i := range which {
		payloads[n] = d.in.Payloads[i]
		item, err := d.r.BatchItem(d.scopeFor(payloads[n], d.itemMembers(n, i)...))
		if err != nil {
			d.ms.Fail(i, err)
			continue
		}
		items[n] = item
		good = append(good, i)
	}
	return d.scopeFor(payloads[0],
		event.Member{Key: request.Payloads, Value: event.NewArray(payloads)}, event.Member{Key: request.Items, Value: event.NewArray(items)}), good
}

// itemMembers returns what the item of a payload may read besides the scope: its index in the request, and whether it adds its user.
func (d *declaredCall) itemMembers(n, i int) []event.Member {
	members := []event.Member{{Key: request.Index, Value: event.NewInt(int64(n))}}
	if d.members != nil {
		members = append(members, event.Member{Key: request.Member, Value: event.NewBool(d.members[i])})
	}
	return members
}

func (d *declaredCall) failAll(which []int, err error) {
	for _, i := range which {
		d.ms.Fail(i, err)
	}
}

// readResponse sets the result of every payload of a request that failed.
func (d *declaredCall) readResponse(r *request.Request, which []int, response *Response) {
	errors, rest := r.PayloadErrors(answerOf(response), len(which), func(n int) event.Value { return d.scopeFor(d.in.Payloads[which[n]]) })
	whole := d.in.Client.refusalError(response, r)
	if whole != nil && len(errors) > 0 && r.RetriesRest() {
		whole = becauseOfOthers(fault.As(whole))
	}
	for n, i := range which {
		switch {
		case errors[n] != nil:
			d.ms.Fail(i, d.annotateError(errors[n], whole))
		case whole != nil:
			d.ms.Fail(i, whole)
		case rest != nil:
			d.ms.Fail(i, d.annotateError(rest, nil))
		}
	}
}

// becauseOfOthers returns the error of payloads that a refused request does not name. They are sent again, with the status that Segment
// gives them; the remote limits no rate.
func becauseOfOthers(e *fault.Error) *fault.Error {
	again := *e
	again.Retry, again.Status, again.Code, again.Cause = true, http.StatusTooManyRequests, fault.CodeOf(http.StatusTooManyRequests), fault.CauseRemoteUnavailable
	again.Message = "the remote refused the request because of other events: " + e.Message
	return &again
}

// deliverRest marks the payloads that have no result yet as delivered, with a status; 0 stands for that of the response.
func (d *declaredCall) deliverRest(which []int, response *Response, status int) {
	for _, i := range which {
		if d.ms.Decided(i) {
			continue
		}
		result := Result{Outcome: Delivered, Status: cmp.Or(status, response.Status)}
		if len(which) == 1 {
			result.Body = response.Body
		}
		d.ms.Set(i, result)
	}
}

// annotateError redacts an error of a payload, and adds the failed exchange and the Retry-After of the whole response.
func (d *declaredCall) annotateError(e *fault.Error, whole error) *fault.Error {
	e.Message = d.in.Client.redact(e.Message)
	if whole != nil {
		e.Err = fault.As(whole).Err
	}
	if whole != nil && e.Retry {
		e.RetryAfter = fault.As(whole).RetryAfter
	}
	return e
}
