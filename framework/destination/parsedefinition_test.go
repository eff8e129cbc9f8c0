package destination_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
)

const callingDefinition = `
name: Crm
slug: crm
mode: cloud
request: {baseUrl: https://crm.example}
authentication:
  scheme: basic
  fields:
    username: {label: User, type: string}
    password: {label: Password, type: password}
  test: {url: /me}
limits: {requests: [{limit: 10, per: 1s}]}
actions:
  send:
    title: Send
    fields: {id: {label: ID, type: string}}
    dynamicFields: {id: {request: {url: /ids, response: {choices: {path: $.body}}}}}
    request: {url: /send, body: {"@path": $.payload}}
`

// TestMistakesInDefinitions checks that each rule about the parts of a definition is reported at the part.
func TestMistakesInDefinitions(t *testing.T) {
	_, err := destination.ParseDefinition("d.yaml", []byte(callingDefinition))
	assert.NoError(t, err)
	for change, want := range map[[2]string]string{
		{"    username: {label: User, type: string}\n", ""}:       "/authentication needs the field username because the scheme is basic",
		{"    password: {label: Password, type: password}\n", ""}: "/authentication needs the field password because the scheme is basic",
		{"request: {baseUrl: https://crm.example}\n", ""}:         "/authentication/test/url is a path, but the destination has no request: {baseUrl: …}",
		{"per: 1s", "per: soon"}:                                  `/limits/requests/0/per should be a duration such as 90s, 15m or 168h but is "soon"`,
		{"per: 1s", "per: 99999h"}:                                "/limits/requests/0/per should be a time between",
		{"dynamicFields: {id:", "dynamicFields: {ids:"}:           `/actions/send/dynamicFields/ids is not a field of send (did you mean "id"?)`,
		{`, response: {choices: {path: $.body}}`, ""}:             "/actions/send/dynamicFields/id/request needs response: {choices: …}",
		{"scheme: basic", "scheme: oauth2\n  authorizeUrl: https://{{settings.username}}.crm.example/a\n  tokenUrl: http://{{settings.username}}.crm.example/t"}: `/authentication/tokenUrl should be an https URL, or one of this machine, but is "http://{{settings.username}}.crm.example/t"`,
		{"scheme: basic", "scheme: oauth2\n  authorizeUrl: \"{{settings.username}}/a\"\n  tokenUrl: http://127.0.0.1/t\n  revokeUrl: crm.example"}:               `/authentication/revokeUrl should be an https URL`,
		{"scheme: basic", "scheme: oauth2"}:                "/authentication needs ",
		{"scheme: basic", "scheme: custom\n  username: x"}: "/authentication/username is only allowed with the scheme basic, but the scheme is custom",
		{`fields: {id: {label: ID, type: string}}`, `fields: {id: {label: ID, type: string, required: {conditions: [{fieldKey: idd, operator: is, value: x}]}}}`}: "/actions/send/fields/id/required",
		{`url: /me`, `url: "/{{settings.usrname}}"`}:                                                                         `/authentication/test/url reads settings.usrname, which does not exist (did you mean "username"?)`,
		{`{"@path": $.payload}`, `{"@path": $.payload.idd}`}:                                                                 `/actions/send/request/body/@path reads payload.idd, which does not exist (did you mean "id"?)`,
		{`fields: {id: {label: ID, type: string}}`, `fields: {id: {label: ID, type: strin}}`}:                                "/actions/send/fields/id/type",
		{"    title: Send", "    syncMode: {label: M, default: add, choices: [{label: U, value: upsert}]}\n    title: Send"}: `/actions/send/syncMode/default is not one of the choices`,
		{"    title: Send", "    hooks: {onMappingSave: {label: H, outputs: {id: x}}}\n    title: Send"}:                     "/actions/send/hooks/onMappingSave/outputs need request: they are read from its responses",
		{"    title: Send", "    reads: [event]\n    title: Send"}:                                                           "/actions/send/reads is for handlers in Go: a request reads the payload",
		{"    title: Send", "    defaultSubscription: type =\n    title: Send"}:                                              "/actions/send/defaultSubscription",
		{"    title: Send", "    isolate: {when: {\"@path\": $.settings.usernam}}\n    title: Send"}:                         `/actions/send/isolate/when/@path reads settings.usernam, which does not exist (did you mean "username"?)`,
		{"dynamicFields: {id: {request: {url: /ids", "hooks: {onMappingSave: {label: H, inputFields: {list: {label: L, type: string}}, request: {url: /h}}}\n    dynamicFields: {onMappingSave.list: {request: {url: /ids, query: {l: {\"@path\": $.inputs.lst}, p: {\"@path\": $.payload.id}}"}: `reads inputs.lst, which does not exist (did you mean "list"?)`,
		{"choices: {path: $.body}", "choices: {path: ids, value: {\"@path\": $.itm.id}, next: {\"@path\": $.item.next}}"}:                                                                                                                                                                        `/actions/send/dynamicFields/id/request/response/choices/value/@path reads "itm", but the names here are body, item`,
		{"    title: Send", "    isolate: {when: {\"@path\": $.payload.id}}\n    title: Send"}:                                                                                                                                                                                                   `/actions/send/isolate/when/@path reads "payload", but the names here are settings`,
		{"    title: Send", "    isolate: {statuses: [200]}\n    title: Send"}:                                                                                                                                                                                                                   "/actions/send/isolate/statuses/0 should be at least 400",
		{"limits: {", "audienceFields: {a: {label: A, type: string}}\nlimits: {"}:                                                                                                                                                                                                                "/audienceFields are not allowed without audienceConfig",
		{"limits: {", `presets: [{name: P, type: automatic, action: sned, subscribe: type = "track"}]` + "\nlimits: {"}:                                                                                                                                                                          `/presets/0/action is not an action of the destination: "sned" (did you mean "send"?)`,
		{"limits: {", `presets: [{name: P, type: automatic, action: send, subscribe: type =}]` + "\nlimits: {"}:                                                                                                                                                                                  "/presets/0/subscribe",
		{"limits: {", `presets: [{name: P, type: automatic, partnerAction: send, subscribe: type = "track", mapping: {id: {"@pth": $.a}}}]` + "\nlimits: {"}:                                                                                                                                     "/presets/0/mapping/id",
		{"per: 1s", "per: 99ms"}:   "/limits/requests/0/per should be a time between 100ms and 24h0m0s",
		{"per: 1s", "per: 24h1ms"}: "/limits/requests/0/per should be a time between 100ms and 24h0m0s",
		{`request: {url: /send, body: {"@path": $.payload}}`, "audience: {id: id, identifiers: [id], key: id, properties: id, time: id}"}:                                                                       "/actions/send/audience needs add and remove, or change, which does both",
		{`request: {url: /send, body: {"@path": $.payload}}`, "audience: {id: id, identifiers: [id], key: id, properties: id, time: id, add: {url: /a}, remove: {url: /a}, change: {url: /c}}"}:                 "/actions/send/audience/change cannot go with add and remove: it does both",
		{`request: {url: /send, body: {"@path": $.payload}}`, `audience: {id: id, identifiers: [id], key: id, properties: id, time: id, add: {url: /a}, list: {request: {url: /l}, users: {"@path": $.body}}}`}: "/actions/send/audience/list needs an action that adds and removes members",
	} {
		changed := strings.Replace(callingDefinition, change[0], change[1], 1)
		if assert.NotEqual(t, callingDefinition, changed, change[0]) {
			_, err := destination.ParseDefinition("d.yaml", []byte(changed))
			assert.ErrorContains(t, err, want, changed)
		}
	}
	for _, change := range [][2]string{{"per: 1s", "per: 100ms"}, {"per: 1s", "per: 24h"}} {
		_, err := destination.ParseDefinition("d.yaml", []byte(strings.Replace(callingDefinition, change[0], change[1], 1)))
		assert.NoError(t, err, change[1])
	}
}

// TestDefinitionsAndHandlersMatch checks that a plugin has a handler for each part of its definition that needs one, and no other.
func TestDefinitionsAndHandlersMatch(t *testing.T) {
	handled := strings.NewReplacer("test: {url: /me}", "test: handler", `    request: {url: /send, body: {"@path": $.payload}}`+"\n", "").Replace(callingDefinition)
	actions := map[string]destination.Action{"send": {}}
	test := func(context.Context, event.Value, destination.Deps) error { return nil }
	audience := func(context.Context, destination.AudienceInput) (string, error) { return "", nil }
	deleteUser := func(context.Context, destination.DeleteInput) error { return nil }
	hook := func(context.Context, destination.HookInput) (destination.HookOutput, error) {
		return destination.HookOutput{}, nil
	}
	choices := func(action, field string) map[string]map[string]destination.ChoicesFunc {
		return map[string]map[string]destination.ChoicesFunc{action: {field: func(context.Context, destination.ChoicesInput) (destination.Choices, error) {
			return destination.Choices{}, nil
		}}}
	}
	withoutChoices := strings.Replace(callingDefinition, "    dynamicFields: {id: {request: {url: /ids, response: {choices: {path: $.body}}}}}\n", "", 1)
	hooked := callingDefinition + "    hooks: {onMappingSave: {label: Hook}}\n"
	const synced = "audienceConfig: {mode: {type: synced}}\n"
	for name, c := range map[string]struct {
		definition string
		plugin     destination.Plugin
		want       string
	}{
		"all declared": {callingDefinition, destination.Plugin{}, ""},
		"all handled":  {handled, destination.Plugin{Actions: actions, Test: test}, ""},
		"no test":      {handled, destination.Plugin{Actions: actions}, "/authentication/test needs a handler: set Plugin.Test"},
		"no action":    {handled, destination.Plugin{Test: test}, "send"},
		"two tests":    {callingDefinition, destination.Plugin{Test: test}, "/authentication/test is not allowed: the plugin also has a handler for it"},
		"two actions":  {callingDefinition, destination.Plugin{Actions: actions}, "/actions/send"},
		"an audience": {declaredLists(t), destination.Plugin{Actions: map[string]destination.Action{"syncList": {}}},
			`/actions/syncList/audience is not allowed: the action "syncList" also has a handler`},
		"a hook of no action": {callingDefinition, destination.Plugin{Hooks: map[string]map[string]destination.HookFunc{"sand": {"onSave": nil}}},
			`a handler for the hook "onSave" of sand, which destination.yaml does not declare`},
		"no such hook": {callingDefinition, destination.Plugin{Hooks: map[string]map[string]destination.HookFunc{"send": {"onSave": nil}}},
			`a handler for the hook "onSave" of send, which destination.yaml does not declare`},
		"choices": {handled, destination.Plugin{Actions: actions, Test: test, Choices: choices("send", "id")},
			"/actions/send/dynamicFields/id is not allowed: the plugin also has a handler for it"},
		"choices of a field": {withoutChoices, destination.Plugin{Choices: choices("send", "id")}, ""},
		"choices of a hook": {strings.Replace(withoutChoices, "    title: Send\n", "    title: Send\n    hooks: {onMappingSave: {label: Hook, inputFields: {list: {label: List, type: string}}, request: {url: /hook}}}\n", 1),
			destination.Plugin{Choices: choices("send", "onMappingSave.list")}, ""},
		"choices of no input of a hook": {strings.Replace(withoutChoices, "    title: Send\n", "    title: Send\n    hooks: {onMappingSave: {label: Hook, inputFields: {list: {label: List, type: string}}, request: {url: /hook}}}\n", 1),
			destination.Plugin{Choices: choices("send", "onMappingSave.lists")}, `Plugin.Choices has the field "onMappingSave.lists" of send, which destination.yaml does not declare`},
		"choices of no field":    {withoutChoices, destination.Plugin{Choices: choices("send", "idd")}, `Plugin.Choices has the field "idd" of send, which destination.yaml does not declare`},
		"choices of no action":   {withoutChoices, destination.Plugin{Choices: choices("sand", "id")}, `Plugin.Choices has the action "sand", which destination.yaml does not declare`},
		"two deletions":          {declaredLists(t), destination.Plugin{OnDelete: deleteUser}, "/onDelete is not allowed: the plugin also has a handler for it"},
		"a deletion":             {callingDefinition, destination.Plugin{OnDelete: deleteUser}, ""},
		"two creators":           {declaredLists(t), destination.Plugin{CreateAudience: audience}, "/audienceConfig/create is not allowed: the plugin also has a handler for it"},
		"two finders":            {declaredLists(t), destination.Plugin{GetAudience: audience}, "/audienceConfig/find is not allowed: the plugin also has a handler for it"},
		"a creator and a finder": {callingDefinition + synced, destination.Plugin{CreateAudience: audience, GetAudience: audience}, ""},
		"no creator":             {callingDefinition + synced, destination.Plugin{GetAudience: audience}, "it has no create, and Plugin.CreateAudience is not set"},
		"an audience for no action": {callingDefinition + strings.Replace(synced, "}}", "}, actions: [send, sand]}", 1), destination.Plugin{CreateAudience: audience},
			`/audienceConfig/actions/1 is not an action of the destination: "sand" (did you mean "send"?)`},
		"no audiences to create": {callingDefinition, destination.Plugin{CreateAudience: audience}, "audienceConfig does not have the mode synced"},
		"no audiences to find":   {callingDefinition + strings.Replace(synced, "synced", "realtime", 1), destination.Plugin{GetAudience: audience}, "audienceConfig does not have the mode synced"},
		"a hook":                 {hooked, destination.Plugin{Hooks: map[string]map[string]destination.HookFunc{"send": {"onMappingSave": hook}}}, ""},
		"no hook":                {hooked, destination.Plugin{}, "/actions/send/hooks/onMappingSave has neither a request nor a handler"},
		"two hooks": {declaredLists(t), destination.Plugin{Hooks: map[string]map[string]destination.HookFunc{"syncList": {"retlOnMappingSave": hook}}},
			"/actions/syncList/hooks/retlOnMappingSave/request is not allowed: the plugin also has a handler for it"},
		"unknown": {callingDefinition, destination.Plugin{Actions: map[string]destination.Action{"sand": {}}},
			`a handler for the action "sand", which destination.yaml does not declare`},
	} {
		c.plugin.Definition = fstest.MapFS{"destination.yaml": {Data: []byte(c.definition)}}
		_, err := c.plugin.Load()
		if c.want == "" {
			assert.NoError(t, err, name)
			continue
		}
		assert.ErrorContains(t, err, c.want, name)
	}
}
