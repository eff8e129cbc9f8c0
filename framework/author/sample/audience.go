package sample

import (
	"context"
	"net/http"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
)

// member is a user of an audience.
type member struct{ id, audience, owner string }

// Decode reads a payload that has passed its schema.
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
	answer, err := in.Client.Do(ctx, destination.Request{
		Method: http.MethodPost, URL: base + "/audiences", JSON: event.NewObject([]event.Member{
			text("name", in.Name), text("owner", in.AudienceSettings.Get("owner").Str()), {Key: "days", Value: in.AudienceSettings.Get("days")},
		}),
	})
	if err != nil {
		return "", err
	}
	return answer.Body.Get("id").Str(), nil
}

func getAudience(ctx context.Context, in destination.AudienceInput) (string, error) {
	answer, err := in.Client.Do(ctx, destination.Request{Method: http.MethodGet, URL: base + "/audiences/" + in.ExternalID})
	if err != nil {
		return "", err
	}
	return answer.Body.Get("id").Str(), nil
}
