package destination

import (
	"context"

	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
)

// runCall sends the request of a call, or its steps in order, and returns the result. The first failure ends it.
func (c Client) runCall(ctx context.Context, call *request.Call, scope ...event.Member) (event.Value, error) {
	auth, err := c.authFor(ctx, call.UsesToken())
	if err != nil {
		return event.Value{}, err
	}
	s := event.NewObject(append(scope, event.Member{Key: request.Settings, Value: c.settings}, event.Member{Key: request.Auth, Value: auth}))
	if len(call.Steps()) == 0 {
		response, err := c.buildAndCheck(ctx, call.Request, s)
		if err != nil {
			return event.Value{}, err
		}
		return call.Result(s, nil, response.Body)
	}
	var answers []event.Member
	var last event.Value
	for _, step := range call.Steps() {
		scopes, err := step.Scopes(s, answers)
		if err != nil {
			return event.Value{}, err
		}
		for _, s := range scopes {
			if err := step.Refusal(s); err != nil {
				return event.Value{}, err
			}
			response, err := c.buildAndCheck(ctx, step.Request, s)
			if err != nil {
				return event.Value{}, err
			}
			last = response.Body
			if step.Name != "" {
				answers = append(answers, event.Member{Key: step.Name, Value: answerValue(response)})
			}
		}
	}
	return call.Result(s, answers, last)
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
