package destination_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/testsize"
)

// wholeDefinition has every part of a definition, and one mistake in its last action.
const wholeDefinition = `
name: Crm
slug: crm
mode: cloud
description: Sends contacts.
limits: {requests: [{limit: 10, per: 1s}]}
request: {baseUrl: "https://{{settings.region}}.crm.example", headers: {X-Key: "{{settings.key}}"}}
authentication:
  scheme: oauth2
  tokenUrl: https://crm.example/token
  grant: client_credentials
  clientId: "{{settings.key}}"
  fields:
    region: {label: Region, description: D., type: string, default: eu, choices: [eu, {label: US, value: us}]}
    key: {label: Key, description: D., type: password, required: true}
  test: {method: GET, url: /me}
audienceConfig:
  mode: {type: synced}
  create: {request: {url: /lists, body: {name: {"@path": $.audience.name}}}, id: {"@path": $.body.id}}
audienceFields: {owner: {label: Owner, description: D., type: string}}
onDelete: {request: {method: DELETE, url: "/users/{{user.id}}"}}
presets:
  - {name: P, type: automatic, action: send, subscribe: type = "track", mapping: {id: {"@path": $.userId}}}
actions:
  send:
    title: Send
    description: D.
    defaultSubscription: type = "track"
    syncMode: {label: M, default: add, choices: [{label: A, value: add}]}
    hooks:
      onMappingSave:
        label: Make
        inputFields: {name: {label: Name, description: D., type: string}}
        outputTypes: {id: {label: ID, description: D., type: string}}
        request: {url: /lists, body: {name: {"@path": $.inputs.name}}}
        outputs: {id: {"@path": $.body.id}}
    fields:
      id: {label: ID, description: D., type: string, required: true, default: {"@path": $.userId}}
      list: {label: List, description: D., type: string, dynamic: true, depends_on: {conditions: [{fieldKey: id, operator: is, value: x}]}}
      when: {label: When, description: D., type: object, properties: {at: {label: At, type: datetime}}}
      batch_size: {label: Size, description: D., type: integer, maximum: 100, default: 100}
    dynamicFields: {list: {request: {method: GET, url: /lists, response: {choices: {path: lists, value: id}}}}}
    request:
      url: /send
      batch: {size: 100, item: {id: {"@path": $.payload.id}}}
      refuse: [{when: {"@expr": "payload.id == 'x'"}, message: no}]
      body: {items: {"@path": $.items}, list: {"@expr": "hooks.onMappingSave?.id"}}
      response: {errors: {path: errors, index: index, message: message}}
  sync:
    title: Sync
    description: D.
    fields:
      id: {label: ID, description: D., type: string}
      key: {label: Key, description: D., type: string}
      properties: {label: Properties, description: D., type: object}
      time: {label: Time, description: D., type: datetime}
      email: {label: Email, description: D., type: string}
    audience:
      id: id
      key: key
      properties: properties
      time: time
      identifiers: [email]
      add: {url: "/lists/{{audience.id}}", batch: {size: 10, item: {"@path": $.payload.email}}, body: {"@path": $.items}}
      remove: {method: DELETE, url: "/lists/{{audience.id}}", batch: {}, body: {"@path": $.items}}
  last:
    title: Last
    description: D.
    fields: {id: {label: ID, description: D., type: string}}
    request: {url: /last, body: {id: {"@path": $.payload.idd}}}
`

const lastMistake = `/actions/last/request/body/id/@path reads payload.idd, which does not exist (did you mean "id"?)`

// variants calls f with each variant of a value in which one part is removed, renamed or replaced, and the place of that part.
func variants(v event.Value, place string, f func(place string, variant event.Value)) {
	with := func(members []event.Member) event.Value { return event.NewObject(members) }
	var members []event.Member
	for key, m := range v.Members() {
		members = append(members, event.Member{Key: key, Value: m})
	}
	for i, m := range members {
		at := place + fault.PointerKey(m.Key)
		replace := func(other ...event.Member) event.Value {
			return with(append(append(append([]event.Member(nil), members[:i]...), other...), members[i+1:]...))
		}
		f(at, replace())
		f(at, replace(event.Member{Key: m.Key + "x", Value: m.Value}))
		for _, other := range []string{`null`, `-7.5`, `"{{x"`, `[]`, `[{}]`, `{"@path": 3}`} {
			f(at, replace(event.Member{Key: m.Key, Value: event.MustParse(other)}))
		}
		variants(m.Value, at, func(at string, inner event.Value) { f(at, replace(event.Member{Key: m.Key, Value: inner})) })
	}
	var items []event.Value
	for _, item := range v.Items() {
		items = append(items, item)
	}
	for i, item := range items {
		variants(item, fmt.Sprintf("%s/%d", place, i), func(at string, inner event.Value) {
			f(at, event.NewArray(append(append(append([]event.Value(nil), items[:i]...), inner), items[i+1:]...)))
		})
	}
}

// TestMistakesDoNotHideOthers checks that a mistake is reported beside any other one in a definition, and that Lint accepts what can be read of
// a definition with mistakes.
func TestMistakesDoNotHideOthers(t *testing.T) {
	d, problems := destination.ReadDefinition("d.yaml", []byte(wholeDefinition))
	require.Len(t, problems, 1, problems.Error())
	require.Equal(t, lastMistake, problems[0].Pointer+" "+problems[0].Message)
	n, step := 0, testsize.Of(37, 211)
	variants(d.Document.Value(), "", func(place string, variant event.Value) {
		if n++; n%step != 0 || place == "/actions" || strings.HasPrefix(place, "/actions/last") {
			return
		}
		text := []byte(variant.JSON())
		d, problems := destination.ReadDefinition("d.yaml", text)
		assert.Contains(t, problems.Error(), lastMistake, "%s: %s", place, variant.JSON())
		for _, p := range problems {
			assert.Equal(t, []any{"d.yaml", true}, []any{p.File, p.Line > 0}, place)
		}
		d.Lint(destination.LintOptions{Directory: "crm", Performs: func(string) bool { return false }})
		_, err := destination.ParseDefinition("d.yaml", text)
		assert.Equal(t, problems.Err(), err)
	})
}
