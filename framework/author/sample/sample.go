// Package sample is a destination that uses everything the framework offers an author, and the remote that it sends to, in
// memory. Tests run it; no program offers it.
//
// Plugin is immutable. A Remote is safe for concurrent use.
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

// Plugin is the destination.
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
			"upsertUser": {"list": lists, "address.city": cities},
		},
		Sandbox: &destination.Sandbox{Name: "sample", New: func(map[string][]string) http.Handler { return NewRemote() }},
	}
}

type settings struct{ key string }

// Decode reads settings that have passed their schema.
func (s *settings) Decode(v event.Value) { s.key = v.Get("key").Str() }

type user struct {
	id   string
	list string
	city string
}

// Decode reads a payload that has passed its schema.
func (u *user) Decode(v event.Value) {
	u.id, u.list, u.city = v.Get("id").Str(), v.Get("list").Str(), v.Get("address").Get("city").Str()
}

func text(key, value string) event.Member {
	return event.Member{Key: key, Value: event.NewString(value)}
}

func object(members ...event.Member) []byte { return event.NewObject(members).AppendJSON(nil) }

// makeList makes the list that a subscription's users go to, or gives it another name.
func makeList(ctx context.Context, in destination.HookInput) (destination.HookOutput, error) {
	id := in.HookOutputs.Get(destination.OnMappingSave).Get("list").Str()
	answer, err := in.Client.Do(ctx, destination.Request{
		Method: http.MethodPost, URL: base + "/lists", Form: url.Values{"id": {id}, "name": {in.Inputs.Get("name").Str()}},
	})
	if err != nil {
		return destination.HookOutput{}, err
	}
	list := answer.Body.Get("id")
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
		Body: object(text("id", call.Payload.id), text("list", call.Payload.list), text("city", call.Payload.city), text("how", how(call.Origin))),
	})
}

// how is what the call says beside its payload, for the log.
func how(o destination.Origin) string {
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

// lists are the lists of the remote, page by page.
func lists(ctx context.Context, in destination.ChoicesInput) (destination.Choices, error) {
	query := url.Values{"query": {in.Query}, "page": {in.Page}}
	answer, err := in.Client.Do(ctx, destination.Request{Method: http.MethodGet, URL: base + "/lists?" + query.Encode()})
	if err != nil {
		return destination.Choices{}, err
	}
	choices := destination.Choices{NextPage: answer.Body.Get("next").Str()}
	for _, list := range answer.Body.Get("lists").Items() {
		choices.Choices = append(choices.Choices, destination.Choice{Label: list.Get("name").Str(), Value: list.Get("id").Str()})
	}
	return choices, nil
}

// cities depend on what else has been filled in.
func cities(_ context.Context, in destination.ChoicesInput) (destination.Choices, error) {
	list := in.Payload.Get("list").Str()
	return destination.Choices{Choices: []destination.Choice{{Label: "Oslo", Value: "oslo", Description: "where most of " + list + " live"}}}, nil
}
