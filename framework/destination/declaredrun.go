package destination

import (
	"context"
	"net/http"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
)

// runCall sends the request of a call, or its steps in order, and returns the result. The first failure ends it.
func (c Client) runCall(ctx context.Context, call *request.Call, scope ...event.Member) (event.Value, error) {
	answered, err := c.runRequests(ctx, call.Request, scope...)
	if err != nil {
		return event.Value{}, err
	}
	return call.Result(answered.scope, answered.answers, answered.body)
}

// answeredCall is what the responses to a request that is not made for payloads say.
type answeredCall struct {
	scope   event.Value    // that the request was built from
	answers []event.Member // of its steps, by name
	body    event.Value    // of the last response
}

// scopeOf returns the scope of a request that is not made for payloads.
func (c Client) scopeOf(ctx context.Context, r *request.Request, more []event.Member) (event.Value, error) {
	auth, err := c.authFor(ctx, r.UsesToken())
	return event.NewObject(append(more, event.Member{Key: request.Settings, Value: c.settings}, event.Member{Key: request.Auth, Value: auth})), err
}

// runRequests sends a request, or its steps in order. The first failure ends it.
func (c Client) runRequests(ctx context.Context, r *request.Request, more ...event.Member) (a answeredCall, err error) {
	if a.scope, err = c.scopeOf(ctx, r, more); err != nil {
		return a, err
	}
	if len(r.Steps()) == 0 {
		response, err := c.buildAndCheck(ctx, r, a.scope)
		if err == nil {
			a.body = response.Body
		}
		return a, err
	}
	for _, step := range r.Steps() {
		scopes, err := step.Scopes(a.scope, a.answers)
		if err != nil {
			return a, err
		}
		for _, s := range scopes {
			if err := step.Refusal(s); err != nil {
				return a, err
			}
			response, err := c.buildAndCheck(ctx, step.Request, s)
			if err != nil {
				return a, err
			}
			a.body = response.Body
			if step.Name != "" {
				a.answers = append(a.answers, event.Member{Key: step.Name, Value: answerValue(response)})
			}
		}
	}
	return a, nil
}

// buildAndCheck builds a request, sends it, and returns an error for a response that is a failure.
func (c Client) buildAndCheck(ctx context.Context, r *request.Request, scope event.Value) (*Response, error) {
	built, err := r.Build(scope)
	if err != nil {
		return nil, err
	}
	response, err := c.roundTrip(ctx, built)
	if err != nil {
		return nil, err
	}
	return response, c.refusalError(response, r)
}

// openFile builds a request and sends it. The body of its response is in a file, which the caller closes; a failure is an error.
func (c Client) openFile(ctx context.Context, r *request.Request, scope event.Value) (*http.Response, error) {
	built, err := r.Build(scope)
	if err != nil {
		return nil, err
	}
	response, err := c.open(httpx.InFile(ctx), built)
	if err != nil || response.StatusCode < http.StatusMultipleChoices {
		return response, err
	}
	read, err := readResponse(response)
	if err != nil {
		return nil, err
	}
	return nil, c.refusalError(read, r)
}

// declaredHook returns a function that runs a hook with the request that the definition declares.
func declaredHook(h Hook) HookFunc {
	return func(ctx context.Context, in HookInput) (HookOutput, error) {
		outputs, err := in.Client.runCall(ctx, h.Call, event.Member{Key: request.Inputs, Value: in.Inputs})
		return HookOutput{Outputs: outputs}, err
	}
}

// declaredAudience returns a function that creates or looks up an audience with the request that the definition declares.
func declaredAudience(call *request.Call) func(context.Context, AudienceInput) (string, error) {
	return func(ctx context.Context, in AudienceInput) (string, error) {
		audience := event.NewObject([]event.Member{
			{Key: "id", Value: event.NewString(in.ID)}, {Key: "key", Value: event.NewString(in.Key)}, {Key: "name", Value: event.NewString(in.Name)},
			{Key: "externalId", Value: event.NewString(in.ExternalID)}, {Key: "settings", Value: in.AudienceSettings},
		})
		id, err := in.Client.runCall(ctx, call, event.Member{Key: request.Audience, Value: audience})
		return id.Text(), err
	}
}

// declaredDeletion returns a function that deletes a user with the request that the definition declares.
func declaredDeletion(call *request.Call) func(context.Context, DeleteInput) error {
	return func(ctx context.Context, in DeleteInput) error {
		user := event.NewObject([]event.Member{{Key: "id", Value: event.NewString(in.UserID)}, {Key: "anonymousId", Value: event.NewString(in.AnonymousID)}})
		_, err := in.Client.runCall(ctx, call, event.Member{Key: request.User, Value: user})
		return err
	}
}
