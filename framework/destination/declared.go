package destination

import (
	"context"
	"maps"

	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
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
	actions, choices, hooks := map[string]Action{}, cloneByAction(p.Choices), cloneByAction(p.Hooks)
	maps.Copy(actions, p.Actions)
	for _, a := range d.Actions {
		switch {
		case d.Browser != "":
			actions[a.Key] = browserAction()
		case a.Members != nil:
			actions[a.Key] = membersAction(a.Members)
		case a.Request != nil:
			actions[a.Key] = RequestAction(a.Request)
		}
		if a.Members != nil && a.Members.changesBoth() && p.Audiences == nil {
			p.Audiences = declaredAudiences(a.Members)
		}
		for key, r := range a.Choices {
			choices.set(a.Key, key, declaredChoices(r))
		}
		for _, h := range a.Hooks {
			if h.Call != nil {
				hooks.set(a.Key, h.Name, declaredHook(h))
			}
		}
	}
	if d.Delete != nil {
		p.OnDelete = declaredDeletion(d.Delete)
	}
	if d.Audience != nil && d.Audience.Create != nil {
		p.CreateAudience = declaredAudience(d.Audience.Create)
	}
	if d.Audience != nil && d.Audience.Find != nil {
		p.GetAudience = declaredAudience(d.Audience.Find)
	}
	p.Actions, p.Choices, p.Hooks, p.completedFor = actions, choices, hooks, d
	if d.Test != nil {
		p.Test = declaredTest(d.Test)
	}
	return p
}

// declaredAudiences returns the audiences whose members a declared action changes.
func declaredAudiences(m *MemberRequests) *Audiences {
	a := m.fields.Audiences()
	if m.List != nil {
		a.List = declaredMemberList(m)
	}
	return a
}

// byAction holds functions by the key of their action and by a name.
type byAction[F any] map[string]map[string]F

func cloneByAction[F any](given map[string]map[string]F) byAction[F] {
	clone := byAction[F]{}
	for action, functions := range given {
		clone[action] = maps.Clone(functions)
	}
	return clone
}

func (all byAction[F]) set(action, name string, f F) {
	if all[action] == nil {
		all[action] = map[string]F{}
	}
	all[action][name] = f
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
			{Key: request.Settings, Value: in.Settings}, {Key: request.Payload, Value: in.Payload}, {Key: request.Inputs, Value: in.Payload}, {Key: request.Query, Value: event.NewString(in.Query)},
		}
		if in.Page != "" {
			scope = append(scope, event.Member{Key: request.Page, Value: event.NewString(in.Page)})
		}
		response, err := in.Client.sendDeclared(ctx, r, scope...)
		if err != nil {
			return Choices{}, err
		}
		found, next, err := r.Choices(response.Body, in.Query)
		if err != nil {
			return Choices{}, err
		}
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
	return c.buildAndCheck(ctx, r, event.NewObject(append(scope, event.Member{Key: request.Auth, Value: auth})))
}

// refusalError returns the error for a response outside of 2xx that the request does not accept, with the message that its response
// section selects, or for one that reports a failure with a status of success. It returns nil for any other.
func (c Client) refusalError(response *Response, r *request.Request) error {
	e := c.statusError(response, r.ErrorMessage(response.Body))
	if e == nil || r.Accepts(response.Status) {
		if e = r.Failure(answerOf(response), c.settings); e == nil {
			return nil
		}
		c.addResponse(e, response)
	}
	e.Retry = e.Retry || r.IsRetryable(e.Status)
	return e
}

// answerOf returns a response as requests read it.
func answerOf(r *Response) request.Answer {
	return request.Answer{Status: r.Status, Body: r.Body, Text: r.excerpt}
}
