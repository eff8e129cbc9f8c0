package runtime_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

const messagesDefinition = `
name: Messages
slug: messages
mode: cloud
authentication: {scheme: custom, fields: {}}
actions:
  send:
    title: Send
    fields:
      name: {label: Name, type: string, required: true}
      id: {label: ID, type: string}
      mail: {label: Mail, type: string, format: email}
      code: {label: Code, type: string}
      when: {label: When, type: string}
      link: {label: Link, type: string}
      kind: {label: Kind, type: string, choices: [{label: Text, value: text}, {label: Card, value: card}]}
      all: {label: All, type: boolean}
      to: {label: To, type: object, multiple: true, properties: {id: {label: ID, type: string}}}
      pair: {label: Pair, type: string, multiple: true}
      count: {label: Count, type: integer, minimum: 5}
      extra: {label: Extra, type: object}
`

type message struct{ event.Value }

func (m *message) Decode(v event.Value) { m.Value = v }

// sendMessage refuses messages that are not complete, and sends the others.
func sendMessage(ctx context.Context, call destination.Call[settings, message]) (*destination.Response, error) {
	m := call.Payload
	has := func(key string) bool { return m.Get(key).Exists() }
	incomplete := func(text string) error { return fault.Invalid("%s", text).Because(fault.CauseIncomplete) }
	all, _ := m.Get("all").Bool()
	_, dated := event.ParseTime(m.Get("when").Str())
	switch {
	case has("all") && !all && m.Get("name").Str() == "unknown":
		return nil, fault.FromStatus(404, "no such name")
	case !has("id") && !has("mail"):
		return nil, fault.Invalid("no identifier").Because(fault.CauseNoIdentifier)
	case all && has("to"):
		return nil, incomplete("all and to")
	case has("all") && !all && !has("to"):
		return nil, incomplete("neither all nor to")
	case m.Get("kind").Str() == "card" && !has("extra"):
		return nil, incomplete("a card needs extra")
	case has("pair") && m.Get("pair").Len() != 2:
		return nil, incomplete("a pair has two items")
	case has("when") && !dated, has("link") && m.Get("link").Str() != "https://example.com/":
		return nil, incomplete("no time, or no link")
	case has("code"):
		return nil, fault.Invalid("the code should begin with act_")
	}
	return call.Client.Do(ctx, destination.Request{Method: http.MethodPost, URL: "https://messages.example/"})
}

// failingTransport reports a request.
type failingTransport struct{ t *testing.T }

func (f failingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	f.t.Errorf("sent a request to %s", r.URL)
	return nil, errors.ErrUnsupported
}

// messagesPlugin returns the destination that sendMessage handles.
func messagesPlugin() destination.Plugin {
	return destination.Plugin{
		Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(messagesDefinition)}},
		Actions:    map[string]destination.Action{"send": destination.Handle(destination.Handler[settings, message]{Perform: sendMessage})},
	}
}

// TestSubscriptionsAllOfWhosePayloadsAreRefused loads subscriptions with mappings for which the handler refuses every payload, or only some.
func TestSubscriptionsAllOfWhosePayloadsAreRefused(t *testing.T) {
	registry, err := destination.NewRegistry([]destination.Plugin{messagesPlugin()})
	require.NoError(t, err)
	const id = `"name":"n","id":{"@path":"$.userId"}`
	refused := func(text string) []string {
		return []string{"/destinations/0/subscriptions/0/mapping " + text + ", so every event is refused"}
	}
	for mapping, want := range map[string][]string{
		`{"name":"n"}`: refused("no identifier"),
		`{"name":"n","all":{"@path":"$.properties.all"}}`:       refused("no identifier"),
		`{"name":"unknown","all":{"@path":"$.properties.all"}}`: nil, // another name may be known
		`{"name":"n","id":"","mail":null}`:                      refused("no identifier"),
		`{"name":"n","mail":{"@path":"$.traits.email"}}`:        nil,
		`{` + id + `}`: nil,
		`{` + id + `,"all":true,"to":[{"id":"a"}]}`:                                         refused("all and to"),
		`{` + id + `,"all":true,"to":{"@path":"$.properties.to"}}`:                          nil,
		`{` + id + `,"all":true,"to":[{"id":{"@path":"$.userId"}}]}`:                        refused("all and to"),
		`{` + id + `,"all":false}`:                                                          refused("neither all nor to"),
		`{` + id + `,"all":{"@path":"$.properties.all"}}`:                                   nil,
		`{` + id + `,"kind":"card"}`:                                                        refused("a card needs extra"),
		`{` + id + `,"kind":"card","extra":{"@path":"$.properties"}}`:                       nil,
		`{` + id + `,"kind":{"@path":"$.properties.kind"}}`:                                 nil,
		`{` + id + `,"pair":["a"]}`:                                                         refused("a pair has two items"),
		`{` + id + `,"pair":{"@path":"$.properties.pair"}}`:                                 nil,
		`{` + id + `,"pair":["a",{"@path":"$.event"}]}`:                                     nil,
		`{` + id + `,"when":"soon"}`:                                                        refused("no time, or no link"),
		`{"name":"n","id":"a","when":{"@template":"{{x}}"}}`:                                nil,
		`{"name":"n","id":"a","link":{"@template":"{{x}}"}}`:                                nil,
		`{` + id + `,"code":{"@path":"$.properties.code"},"all":true,"to":[{"id":"a"}]}`:    refused("all and to"),
		`{` + id + `,"code":"act"}`:                                                         nil,
		`{` + id + `,"count":{"@path":"$.properties.n"},"kind":"card"}`:                     refused("a card needs extra"),
		`{"@merge":{"direction":"left","objects":[{"name":"n"},{"@path":"$.properties"}]}}`: nil,
		`{"name":{"@path":"$.event"},"id":"a"}`:                                             nil,
	} {
		for _, enabled := range []string{"true", "false"} {
			text := `{"destinations":[{"id":"m","destination":"messages","settings":{},"subscriptions":[{"action":"send","subscribe":"type = \"track\"","enabled":` + enabled + `,"mapping":` + mapping + `}]}]}`
			cfg, problems := config.Parse("f.yaml", []byte(text), config.Env{})
			require.Empty(t, problems, text)
			plan, err := runtime.LoadInstance(cfg, cfg.Instances[0], registry, func(config.Instance, destination.Entry) (runtime.Host, error) {
				return runtime.Host{Transport: failingTransport{t}}, nil
			})
			if enabled == "false" {
				require.NoError(t, err, mapping)
				assert.Equal(t, want, problemLines(plan.Warnings().Err()), "a warning: %s", mapping)
			} else {
				assert.Equal(t, want, problemLines(err), mapping)
			}
		}
	}
}

// TestTimesOfChangesInMappings checks that a constant which is no time is a mistake for the field that the ledger decides by.
func TestTimesOfChangesInMappings(t *testing.T) {
	registry, err := destination.NewRegistry([]destination.Plugin{brazecohorts.Plugin()})
	require.NoError(t, err)
	const place = "/destinations/0/subscriptions/0/mapping/time"
	for value, want := range map[string][]string{
		`"nope"`:                     {place + ` Time should be a date such as 2026-01-02T03:04:05Z but is "nope", so every event is refused`},
		`20261345`:                   {place + ` Time should be a date such as 2026-01-02T03:04:05Z but is "20261345", so every event is refused`},
		`" "`:                        {place + ` Time should be a date such as 2026-01-02T03:04:05Z but is " ", so every event is refused`},
		`"2026-01-02"`:               nil,
		`{"@path":"$.timestamp"}`:    nil,
		`{"@path":"$.traits.since"}`: nil,
	} {
		text := `{"destinations":[{"id":"b","destination":"braze-cohorts","settings":{"endpoint":"https://rest.iad-01.braze.com","client_secret":"s","partner_api_key":"k"},` +
			`"subscriptions":[{"action":"syncAudiences","subscribe":"type = \"track\"","mapping":{"personas_audience_key":"vip","time":` + value + `}}]}]}`
		cfg, problems := config.Parse("f.yaml", []byte(text), config.Env{})
		require.Empty(t, problems, text)
		_, err := runtime.LoadInstance(cfg, cfg.Instances[0], registry, nil)
		assert.Equal(t, want, problemLines(err), value)
	}
}

// TestSamplesUseNoBudget checks that samples of a mapping, which are not sent, use nothing of the budget.
func TestSamplesUseNoBudget(t *testing.T) {
	registry, err := destination.NewRegistry([]destination.Plugin{messagesPlugin()})
	require.NoError(t, err)
	const text = `{"destinations":[{"id":"m","destination":"messages","settings":{},"subscriptions":[{"action":"send","subscribe":"type = \"track\"","mapping":{"name":"n","id":"a"}}]}]}`
	cfg, problems := config.Parse("f.yaml", []byte(text), config.Env{})
	require.Empty(t, problems)
	limits := budget.Limits{Windows: []budget.Window{{Limit: 100, Per: time.Hour}}}
	gate := budget.NewGate("m", budget.New("m", limits, budget.NewMemoryStore()), budget.GateConfig{})
	_, err = runtime.LoadInstance(cfg, cfg.Instances[0], registry, func(config.Instance, destination.Entry) (runtime.Host, error) {
		return runtime.Host{Transport: failingTransport{t}, Gate: gate}, nil
	})
	require.NoError(t, err)
	assert.Zero(t, gate.Status().Budget.Windows[0].Used)
}

// TestMembersThatEventsDoNotHave loads mappings that read members which no event of the query has, or which are misspelt.
func TestMembersThatEventsDoNotHave(t *testing.T) {
	const place = "/destinations/0/subscriptions/0/mapping"
	reads := place + `/id/@path reads event for the required field ID (id), but only events of type "track" have it and the query matches only "identify", so every event is refused`
	for subscription, want := range map[string][2][]string{
		`{action: upsertUser, subscribe: type = "identify", mapping: {id: {"@path": $.event}}}`:      {nil, {reads}},
		`{action: upsertUser, subscribe: 'type in ["identify"]', mapping: {id: {"@path": event}}}`:   {nil, {reads}},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: {"@path": $.event}}}`:         {nil, nil},
		`{action: upsertUser, subscribe: userId != null, mapping: {id: {"@path": $.event}}}`:         {nil, nil},
		`{action: upsertUser, subscribe: type = "identify", mapping: {id: {"@path": $.event.name}}}`: {nil, nil},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: {"@path": $.userID}}}`:        {{place + `/id/@path reads userID, which events do not have (did you mean "userId"?)`}, nil},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: $.properties.id}}`: {
			{place + `/id is the text "$.properties.id" for every event: to read the event, write {"@path": "$.properties.id"}`}, nil},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: {"@if": {exists: {"@path": $.a}, then: $.userId, else: b}}}}`: {
			{place + `/id/@if/then is the text "$.userId" for every event: to read the event, write {"@path": "$.userId"}`}, nil},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: {"@literal": $.userId}}}`: {nil, nil},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: $.50}}`:                   {nil, nil},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: $.userId is the id}}`:     {nil, nil},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: {"@path": [userID]}}}`:    {{place + `/id/@path reads userID, which events do not have (did you mean "userId"?)`}, nil},
		`{action: upsertUser, subscribe: typ = "track", mapping: {id: {"@path": $.custom}}}`:     {{place[:len(place)-len("/mapping")] + `/subscribe reads typ, which events do not have (did you mean "type"?)`}, nil},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: {"@path": $.custom}}}`:    {nil, nil},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: "{{properties.id}}"}}`:    {{place + `/id is a text in which {{…}} is no template: write {"@template": …}, or {"@literal": …} for the text`}, nil},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: {"@literal": $.event}}}`:  {nil, nil},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: {"@path": "$.properties[id]"}}}`: {
			{place + `/id/@path reads the key "properties[id]" with its brackets: write [0] for an item, ['a key'] for a key`}, nil},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: {"@template": "{{properties.list[*]}}"}}}`: {
			{place + `/id/@template has [*] in the path "properties.list[*]", which no value matches: write [0] for an item, or @arrayPath to map each item`}, nil},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: {"@template": "{{ userId | upcase }}"}}}`: {
			{place + `/id/@template reads the key "userId | upcase": a path has no filters, which need {"@liquid": …}`}, nil},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: {"@path": "$.properties['a|b']"}}}`: {nil, nil},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: "{{first_name}}"}}`:                 {nil, nil},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: {"@template": "{{evnt}}"}}}`:        {{place + `/id/@template reads evnt, which events do not have (did you mean "event"?)`}, nil},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: {"@liquid": "{{ evnt }}"}}}`:        {{place + `/id/@liquid reads evnt, which events do not have (did you mean "event"?)`}, nil},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: {"@expr": lower(evnt)}}}`:           {{place + `/id/@expr reads evnt, which events do not have (did you mean "event"?)`}, nil},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: {"@path": $.context.trait.x}}}`: {
			{place + `/id/@path reads context.trait, which events do not have (did you mean "traits"?)`}, nil},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: {"@transform": {apply: {usrId: {"@path": $.userId}}, mapping: {"@path": $.usrId}}}}}`: {nil, nil},
		`{action: upsertUser, subscribe: type = "track", mapping: {id: {"@if": {exists: {"@path": $.trait.x}, then: a, else: b}}}}`: {
			{place + `/id/@if/exists/@path reads trait, which events do not have (did you mean "traits"?)`}, nil},
	} {
		warnings, mistakes := loadSample(t, subscription)
		assert.Equal(t, want[0], warnings, subscription)
		var plain []string
		for _, line := range mistakes {
			plain = append(plain, line[len("landfall.yaml:5:"):])
		}
		if want[1] == nil {
			assert.Empty(t, mistakes, subscription)
		} else if assert.Len(t, plain, 1, subscription) {
			assert.Contains(t, plain[0], want[1][0], subscription)
		}
	}
}
