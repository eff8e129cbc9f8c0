package sample

import (
	"context"
	"net/http"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
)

// member is a user in an audience.
type member struct{ id, audience, owner string }

// Decode sets the member from a value that has passed its schema.
func (m *member) Decode(v event.Value) {
	m.id, m.audience, m.owner = v.Get("id").Str(), v.Get("audience").Str(), v.Get("owner").Str()
}

func syncAudience(ctx context.Context, call destination.BatchCall[settings, member]) (*destination.MultiStatus, error) {
	ids := make([]string, len(call.Payloads))
	for i, m := range call.Payloads {
		ids[i] = m.id
	}
	_, err := call.Client.Do(ctx, destination.Request{
		Method: http.MethodPost, URL: base + "/audiences/" + call.Payloads[0].audience + "/members", Text: strings.Join(ids, " "),
	})
	return nil, err
}

func createAudience(ctx context.Context, in destination.AudienceInput) (string, error) {
	response, err := in.Client.Do(ctx, destination.Request{
		Method: http.MethodPost, URL: base + "/audiences", JSON: event.NewObject([]event.Member{
			textMember("name", in.Name), textMember("owner", in.AudienceSettings.Get("owner").Str()), {Key: "days", Value: in.AudienceSettings.Get("days")},
		}),
	})
	if err != nil {
		return "", err
	}
	return response.Body.Get("id").Str(), nil
}

func getAudience(ctx context.Context, in destination.AudienceInput) (string, error) {
	response, err := in.Client.Do(ctx, destination.Request{Method: http.MethodGet, URL: base + "/audiences/" + in.ExternalID})
	if err != nil {
		return "", err
	}
	return response.Body.Get("id").Str(), nil
}
