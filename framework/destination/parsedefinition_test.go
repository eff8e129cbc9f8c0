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
		{"scheme: basic", "scheme: oauth2"}:                       "/authentication needs ",
		{"scheme: basic", "scheme: custom\n  username: x"}:        "/authentication/username is only allowed with the scheme basic, but the scheme is custom",
		{`fields: {id: {label: ID, type: string}}`, `fields: {id: {label: ID, type: string, required: {conditions: [{fieldKey: idd, operator: is, value: x}]}}}`}: "/actions/send/fields/id/required",
		{`url: /me`, `url: "/{{settings.usrname}}"`}:                                          `/authentication/test/url reads settings.usrname, which does not exist (did you mean "username"?)`,
		{`{"@path": $.payload}`, `{"@path": $.payload.idd}`}:                                  `/actions/send/request/body/@path reads payload.idd, which does not exist (did you mean "id"?)`,
		{`fields: {id: {label: ID, type: string}}`, `fields: {id: {label: ID, type: strin}}`}: "/actions/send/fields/id/type",
	} {
		changed := strings.Replace(callingDefinition, change[0], change[1], 1)
		if assert.NotEqual(t, callingDefinition, changed, change[0]) {
			_, err := destination.ParseDefinition("d.yaml", []byte(changed))
			assert.ErrorContains(t, err, want, changed)
		}
	}
}

// TestDefinitionsAndHandlersMatch checks that a plugin has a handler for each part of its definition that needs one, and no other.
func TestDefinitionsAndHandlersMatch(t *testing.T) {
	handled := strings.NewReplacer("test: {url: /me}", "test: handler", `    request: {url: /send, body: {"@path": $.payload}}`+"\n", "").Replace(callingDefinition)
	actions := map[string]destination.Action{"send": {}}
	test := func(context.Context, event.Value, destination.Deps) error { return nil }
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
