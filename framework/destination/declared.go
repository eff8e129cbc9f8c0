package destination

import (
	"cmp"
	"context"
	"maps"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// RequestAction returns an Action that sends the request that a definition declares.
func RequestAction(r *request.Request) Action {
	return Action{batches: r.Batches(), maxPayloads: r.MaxPayloads(), perform: func(ctx context.Context, in Input) (*MultiStatus, error) {
		ms := NewMultiStatus(len(in.Payloads))
		token, err := in.Client.authFor(ctx, r.UsesToken())
		if err != nil {
			return ms, err
		}
		d := declaredCall{r: r, in: in, auth: token, ms: ms}
		return ms, d.sendAll(ctx)
	}}
}

// Complete returns the plugin with the actions, choices and test that its definition declares.
func (p Plugin) Complete(d *Definition) Plugin {
	if p.completedFor == d {
		return p
	}
	actions, choices := map[string]Action{}, map[string]map[string]ChoicesFunc{}
	maps.Copy(actions, p.Actions)
	for _, a := range d.Actions {
		if a.Request != nil {
			actions[a.Key] = RequestAction(a.Request)
		}
		if d.Browser != "" {
			actions[a.Key] = browserAction()
		}
		choices[a.Key] = maps.Clone(p.Choices[a.Key])
		for key, r := range a.Choices {
			if choices[a.Key] == nil {
				choices[a.Key] = map[string]ChoicesFunc{}
			}
			choices[a.Key][key] = declaredChoices(r)
		}
	}
	p.Actions, p.Choices, p.completedFor = actions, choices, d
	if d.Test != nil {
		p.Test = declaredTest(d.Test)
	}
	return p
}

// declaredTest returns a test of settings that passes if the response has a 2xx status.
func declaredTest(r *request.Request) func(context.Context, event.Value, Deps) error {
	return func(ctx context.Context, settings event.Value, deps Deps) error {
		_, err := deps.Client.sendDeclared(ctx, r, event.Member{Key: request.Settings, Value: settings})
		return err
	}
}

// declaredChoices returns a function that fetches a page of choices with a request.
func declaredChoices(r *request.Request) ChoicesFunc {
	return func(ctx context.Context, in ChoicesInput) (Choices, error) {
		scope := []event.Member{
			{Key: request.Settings, Value: in.Settings}, {Key: request.Payload, Value: in.Payload}, {Key: request.Query, Value: event.NewString(in.Query)},
		}
		if in.Page != "" {
			scope = append(scope, event.Member{Key: request.Page, Value: event.NewString(in.Page)})
		}
		response, err := in.Client.sendDeclared(ctx, r, scope...)
		if err != nil {
			return Choices{}, err
		}
		found, next := r.Choices(response.Body, in.Query)
		page := Choices{NextPage: next}
		for _, c := range found {
			page.Choices = append(page.Choices, Choice(c))
		}
		return page, nil
	}
}

// authFor returns the auth member of a scope: {accessToken}, or {} if there is no token or used is false.
func (c Client) authFor(ctx context.Context, used bool) (event.Value, error) {
	if c.token == nil || !used {
		return event.NewObject(nil), nil
	}
	token, err := c.token(ctx)
	if err != nil || token == "" {
		return event.NewObject(nil), err
	}
	return event.NewObject([]event.Member{{Key: "accessToken", Value: event.NewString(token)}}), nil
}

// sendDeclared builds a request from a scope, with auth added, and sends it.
func (c Client) sendDeclared(ctx context.Context, r *request.Request, scope ...event.Member) (*Response, error) {
	auth, err := c.authFor(ctx, r.UsesToken())
	if err != nil {
		return nil, err
	}
	built, err := r.Build(event.NewObject(append(scope, event.Member{Key: request.Auth, Value: auth})))
	if err != nil {
		return nil, err
	}
	response, err := c.roundTrip(ctx, built)
	if err != nil {
		return nil, err
	}
	return response, c.refusalError(response, r)
}

// refusalError returns the error for a response outside of 2xx, with the message that the request's response section selects.
// It returns nil for 2xx.
func (c Client) refusalError(response *Response, r *request.Request) error {
	e := c.statusError(response, r.ErrorMessage(response.Body))
	if e == nil {
		return nil
	}
	e.Retry = e.Retry || r.IsRetryable(e.Status)
	return e
}

// declaredCall performs payloads with a declared request.
type declaredCall struct {
	r    *request.Request
	in   Input
	auth event.Value
	ms   *MultiStatus
}

// scopeFor returns the scope that the mappings of the request read.
func (d *declaredCall) scopeFor(payload event.Value, more ...event.Member) event.Value {
	return event.NewObject(append([]event.Member{
		{Key: request.Settings, Value: d.in.Settings}, {Key: request.Auth, Value: d.auth}, {Key: request.Payload, Value: payload},
	}, more...))
}

// sendAll sends every payload. A request holds no more payloads than the declared size; its payloads agree in all that the
// request reads of payload, and have different unique keys.
func (d *declaredCall) sendAll(ctx context.Context) error {
	size, err := d.r.BatchSize(d.scopeFor(d.in.Payloads[0]))
	if err != nil {
		return err
	}
	var next []int
	keys, common := map[string]bool{}, ""
	for i, payload := range d.in.Payloads {
		key, err := d.r.UniqueKey(d.scopeFor(payload))
		if err != nil {
			d.ms.Fail(i, err)
			continue
		}
		like := d.r.SharedKey(payload)
		if size > 0 && len(next) == size || keys[key] || like != common {
			d.sendBatch(ctx, next)
			next, common = nil, like
			clear(keys)
		}
		next = append(next, i)
		if key != "" {
			keys[key] = true
		}
	}
	d.sendBatch(ctx, next)
	return nil
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

// buildAndSend sends payloads in one request and sets their results. A payload whose item cannot be built fails alone. The error says
// why the request cannot be built; nothing was sent then.
func (d *declaredCall) buildAndSend(ctx context.Context, which []int) error {
	scope, good := d.batchScope(which)
	switch {
	case len(good) == 0:
		return nil
	case len(good) < len(which): // the indexes have changed: build again
		d.sendBatch(ctx, good)
		return nil
	}
	built, err := d.r.Build(scope)
	if most := cmp.Or(d.r.MaxBytes(), httpx.DefaultMaxBytes); err == nil && len(built.Body) > most {
		err = fault.Invalid("the request is larger than %d bytes, the limit of %s", most, built.URL)
	}
	if err != nil {
		return err
	}
	response, err := d.in.Client.roundTrip(ctx, built)
	if err != nil {
		d.failAll(which, err)
		return nil
	}
	d.readResponse(which, response)
	return nil
}

// batchScope returns the scope of a request for payloads, and the payloads that can be part of it.
func (d *declaredCall) batchScope(which []int) (scope event.Value, good []int) {
	if !d.r.Batches() {
		return d.scopeFor(d.in.Payloads[which[0]]), which
	}
	payloads, items := make([]event.Value, len(which)), make([]event.Value, len(which))
	for n, i := range which {
		payloads[n] = d.in.Payloads[i]
		item, err := d.r.BatchItem(d.scopeFor(payloads[n], event.Member{Key: request.Index, Value: event.NewInt(int64(n))}))
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

func (d *declaredCall) failAll(which []int, err error) {
	for _, i := range which {
		d.ms.Fail(i, err)
	}
}

// readResponse sets the result of every payload of a request.
func (d *declaredCall) readResponse(which []int, response *Response) {
	errors, rest := d.r.PayloadErrors(response.Status, response.Body, len(which))
	whole := d.in.Client.refusalError(response, d.r)
	for n, i := range which {
		switch {
		case errors[n] != nil:
			d.ms.Fail(i, d.annotateError(errors[n], whole))
		case whole != nil:
			d.ms.Fail(i, whole)
		case rest != nil:
			d.ms.Fail(i, d.annotateError(rest, nil))
		default:
			result := Result{Outcome: Delivered, Status: response.Status}
			if len(which) == 1 {
				result.Body = response.Body
			}
			d.ms.Set(i, result)
		}
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
