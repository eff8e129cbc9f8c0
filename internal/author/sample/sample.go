// Package sample is a destination that uses everything that the framework offers to authors, with its remote in memory. It is
// for tests and examples only, and no program includes it. The remote is safe for concurrent use.
package sample

import (
	"context"
	"embed"
	"net/http"
	"net/url"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
)

//go:embed destination.yaml
var definition embed.FS

const base = "https://api.sample.test"

// Plugin returns the destination.
func Plugin() destination.Plugin {
	return destination.Plugin{
		Definition: definition,
		Actions: map[string]destination.Action{
			"upsertUser":   destination.Handle(destination.Handler[settings, user]{Perform: upsertUser}),
			"importUser":   destination.Handle(destination.Handler[settings, record]{PerformBatch: importUsers, Poll: pollImports}),
			"syncAudience": destination.Handle(destination.Handler[settings, member]{PerformBatch: syncAudience}),
		},
		Hooks:          map[string]map[string]destination.HookFunc{"upsertUser": {destination.OnMappingSave: makeList}},
		OnDelete:       onDelete,
		CreateAudience: createAudience,
		GetAudience:    getAudience,
		Choices: map[string]map[string]destination.ChoicesFunc{
			"upsertUser": {"list": listChoices, "address.city": cityChoices},
		},
		Sandbox: &destination.Sandbox{Name: "sample", New: func(map[string][]string) http.Handler { return NewRemote() }},
	}
}

type settings struct{ key string }

// Decode sets the settings from a value that has passed its schema.
func (s *settings) Decode(v event.Value) { s.key = v.Get("key").Str() }

type user struct {
	id   string
	list string
	city string
}

// Decode sets the user from a value that has passed its schema.
func (u *user) Decode(v event.Value) {
	u.id, u.list, u.city = v.Get("id").Str(), v.Get("list").Str(), v.Get("address").Get("city").Str()
}

func textMember(key, value string) event.Member {
	return event.Member{Key: key, Value: event.NewString(value)}
}

func encodeObject(members ...event.Member) []byte { return event.NewObject(members).AppendJSON(nil) }

// makeList creates or renames the list of a subscription.
func makeList(ctx context.Context, in destination.HookInput) (destination.HookOutput, error) {
	id := in.HookOutputs.Get(destination.OnMappingSave).Get("list").Str()
	response, err := in.Client.Do(ctx, destination.Request{
		Method: http.MethodPost, URL: base + "/lists", Form: url.Values{"id": {id}, "name": {in.Inputs.Get("name").Str()}},
	})
	if err != nil {
		return destination.HookOutput{}, err
	}
	list := response.Body.Get("id")
	return destination.HookOutput{
		Message: "the list is " + list.Str(), Outputs: event.NewObject([]event.Member{{Key: "list", Value: list}}),
	}, nil
}

func upsertUser(ctx context.Context, call destination.Call[settings, user]) (*destination.Response, error) {
	if list := call.HookOutputs.Get(destination.OnMappingSave).Get("list").Str(); call.Payload.list == "" {
		call.Payload.list = list
	}
	return call.Client.Do(ctx, destination.Request{
		Method: http.MethodPost, URL: base + "/users",
		Body: encodeObject(textMember("id", call.Payload.id), textMember("list", call.Payload.list), textMember("city", call.Payload.city), textMember("how", describeOrigin(call.Origin))),
	})
}

// describeOrigin returns the sync mode, the matching key and the metadata of a call, for the log.
func describeOrigin(o destination.Origin) string {
	words := []string{o.SyncMode}
	if o.MatchingKey != "" {
		words = append(words, "by "+o.MatchingKey)
	}
	if o.Features["tell"] {
		words = append(words, "for "+o.Metadata.ID+" "+o.Metadata.Name)
	}
	return strings.Join(words, " ")
}

func onDelete(ctx context.Context, in destination.DeleteInput) error {
	_, err := in.Client.Do(ctx, destination.Request{Method: http.MethodDelete, URL: base + "/users?id=" + url.QueryEscape(in.UserID)})
	return err
}

// listChoices returns a page of the remote's lists.
func listChoices(ctx context.Context, in destination.ChoicesInput) (destination.Choices, error) {
	query := url.Values{"query": {in.Query}, "page": {in.Page}}
	response, err := in.Client.Do(ctx, destination.Request{Method: http.MethodGet, URL: base + "/lists?" + query.Encode()})
	if err != nil {
		return destination.Choices{}, err
	}
	choices := destination.Choices{NextPage: response.Body.Get("next").Str()}
	for _, list := range response.Body.Get("lists").Items() {
		choices.Choices = append(choices.Choices, destination.Choice{Label: list.Get("name").Str(), Value: list.Get("id").Str()})
	}
	return choices, nil
}

// cityChoices returns choices that depend on the payload.
func cityChoices(_ context.Context, in destination.ChoicesInput) (destination.Choices, error) {
	list := in.Payload.Get("list").Str()
	return destination.Choices{Choices: []destination.Choice{{Label: "Oslo", Value: "oslo", Description: "where most of " + list + " live"}}}, nil
}
