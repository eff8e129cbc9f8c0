package runtime_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// peopleDefinition is a destination like those of landfall new destination; what follows says how it sends.
const peopleDefinition = `
name: People
slug: people
mode: cloud
authentication: {scheme: custom, fields: {api_key: {label: API Key, type: password}}}
actions:
  put:
    title: Put
    defaultSubscription: type = "identify"
    fields:
      user_id: {label: User ID, type: string, required: true, default: {"@if": {exists: {"@path": $.userId}, then: {"@path": $.userId}, else: {"@path": $.anonymousId}}}}
      email: {label: Email, type: string, format: email, default: {"@path": $.traits.email}}
      plan: {label: Plan, type: string, default: {"@path": $.traits.plan}}
      traits: {label: Traits, type: object, additionalProperties: true, default: {"@path": $.traits}}
      batch_size: {label: Batch Size, type: integer, maximum: 1000, default: 1000}
`

// The request in YAML: with paths, with expressions for some fields, and with one for the whole item.
const (
	peopleByPaths = peopleDefinition + `    request:
      url: https://people.example.com/v1/put
      headers: {X-Api-Key: "{{settings.api_key}}"}
      batch:
        item: {user_id: {"@path": $.payload.user_id}, email: {"@path": $.payload.email}, plan: {"@path": $.payload.plan}, traits: {"@path": $.payload.traits}}
      body: {users: {"@path": $.items}}
      response: {errors: {path: errors, index: index, message: message}}
`
	peopleByFields = peopleDefinition + `    request:
      url: https://people.example.com/v1/put
      headers: {X-Api-Key: "{{settings.api_key}}"}
      batch:
        item: {user_id: {"@path": $.payload.user_id}, email: {"@expr": "lower(trim(payload.email))"}, plan: {"@expr": "blank(payload.plan) ? nil : payload.plan"}, traits: {"@path": $.payload.traits}}
      body: {users: {"@path": $.items}}
      response: {errors: {path: errors, index: index, message: message}}
`
	peopleByExpression = peopleDefinition + `    request:
      url: https://people.example.com/v1/put
      headers: {X-Api-Key: "{{settings.api_key}}"}
      batch: {item: {"@expr": "pick(payload, ['user_id', 'email', 'plan', 'traits'])"}}
      body: {users: {"@path": $.items}}
      response: {errors: {path: errors, index: index, message: message}}
`
)

// peopleSettings, peoplePayload and peopleUser are what the same destination in Go has: generated types, and the form of its request.
type peopleSettings struct{ key string }

func (s *peopleSettings) Decode(v event.Value) { s.key = v.Get("api_key").Str() }

type peoplePayload struct {
	userID, email, plan string
	traits              event.Value
}

func (p *peoplePayload) Decode(v event.Value) {
	for key, m := range v.Members() {
		switch key {
		case "user_id":
			p.userID = m.Str()
		case "email":
			p.email = m.Str()
		case "plan":
			p.plan = m.Str()
		case "traits":
			p.traits = m
		}
	}
}

type peopleUser struct {
	UserID string      `json:"user_id"`
	Email  string      `json:"email,omitempty"`
	Plan   string      `json:"plan,omitempty"`
	Traits event.Value `json:"traits,omitzero"`
}

func putPeople(ctx context.Context, call destination.BatchCall[peopleSettings, peoplePayload]) (*destination.MultiStatus, error) {
	users := make([]peopleUser, len(call.Payloads))
	for i, p := range call.Payloads {
		users[i] = peopleUser{UserID: p.userID, Email: p.email, Plan: p.plan, Traits: p.traits}
	}
	body, err := json.Marshal(map[string]any{"users": users})
	if err != nil {
		return nil, err
	}
	response, err := call.Client.Do(ctx, destination.Request{
		Method: http.MethodPost, URL: "https://people.example.com/v1/put", Header: http.Header{"X-Api-Key": {call.Settings.key}}, Body: body,
	})
	if err != nil {
		return nil, err
	}
	ms := destination.NewMultiStatus(len(users))
	for i := range users {
		ms.Deliver(i)
	}
	for _, e := range response.Body.Get("errors").Items() {
		if i := int(e.Get("index").Int()); i >= 0 && i < len(users) {
			ms.Fail(i, fault.FromStatus(http.StatusBadRequest, e.Get("message").Str()))
		}
	}
	return ms, nil
}

// peoplePlan returns a plan of a definition, with the handler in Go if it has no request.
func peoplePlan(t testing.TB, definition string, remote http.RoundTripper) *runtime.Plan {
	p := destination.Plugin{Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(definition)}}}
	if !strings.Contains(definition, "request:") {
		p.Actions = map[string]destination.Action{"put": destination.Handle(destination.Handler[peopleSettings, peoplePayload]{PerformBatch: putPeople})}
	}
	d, err := p.Load()
	require.NoError(t, err)
	plan, err := runtime.New(p, d, instanceOf(`{"id":"i","settings":{"api_key":"key-1"},"subscriptions":[{"action":"put","subscribe":"type = \"identify\"","useDefaultMappings":true}]}`),
		runtime.Host{Transport: remote})
	require.NoError(t, err)
	return plan
}

// peopleTexts returns a batch of 1,000 events of 1 KB.
func peopleTexts() [][]byte {
	var list [][]byte
	for _, raw := range batchOf(kilobyte) {
		text := strings.NewReplacer(`"type":"track"`, `"type":"identify"`, `"properties":`, `"traits":`, `"All":false`, `"All":true`).Replace(string(raw))
		text = strings.Replace(text, `"audience_key":"vip_gold"`, `"email":"ana@example.com","plan":"gold"`, 1)
		list = append(list, []byte(text))
	}
	return list
}

func parsePeople(t testing.TB, texts [][]byte) []event.Event {
	list := make([]event.Event, len(texts))
	for i, text := range texts {
		var err error
		if list[i], err = event.Parse(text); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// TestPeopleInYAMLSendWhatGoSends checks that the destinations of the benchmark do the same.
func TestPeopleInYAMLSendWhatGoSends(t *testing.T) {
	list := parsePeople(t, peopleTexts())
	bodies := map[string]event.Value{}
	for name, definition := range map[string]string{"go": peopleDefinition, "paths": peopleByPaths, "fields": peopleByFields, "expression": peopleByExpression} {
		plan := peoplePlan(t, definition, answers(func(r *http.Request, body string) (int, string) {
			assert.Equal(t, "key-1", r.Header.Get("X-Api-Key"))
			bodies[name] = event.MustParse(body)
			return 200, `{"errors":[{"index":7,"message":"no"}]}`
		}))
		for i, v := range plan.RunBatch(t.Context(), list) {
			require.Equal(t, i == 7, v[0].Outcome == runtime.Refused, "%s %d %s", name, i, v[0].Reason)
		}
	}
	assert.Equal(t, 1000, bodies["go"].Get("users").Len())
	assert.True(t, event.Equal(bodies["go"], bodies["paths"]))
	assert.True(t, event.Equal(bodies["go"], bodies["fields"]))
	assert.True(t, event.Equal(bodies["go"], bodies["expression"]))
}

// BenchmarkDeclared measures the CPU time of a batch of 1,000 events for a destination in YAML, from bytes to verdicts, as a multiple of the
// same destination in Go. The rounds alternate, so that other load of the machine affects both.
func BenchmarkDeclared(b *testing.B) {
	texts := peopleTexts()
	for name, definition := range map[string]string{"paths": peopleByPaths, "fields": peopleByFields, "expression": peopleByExpression} {
		b.Run(name, func(b *testing.B) {
			inGo, inYAML := peoplePlan(b, peopleDefinition, &taken{}), peoplePlan(b, definition, &taken{})
			spent := map[*runtime.Plan]time.Duration{inGo: 0, inYAML: 0}
			for b.Loop() {
				for plan := range spent {
					begin := cpu(b)
					plan.RunBatch(b.Context(), parsePeople(b, texts))
					spent[plan] += cpu(b) - begin
				}
			}
			b.ReportMetric(float64(spent[inYAML])/float64(spent[inGo]), "x-go")
			b.ReportMetric(float64(spent[inYAML].Microseconds())/float64(b.N), "µs-yaml")
			b.ReportMetric(float64(spent[inGo].Microseconds())/float64(b.N), "µs-go")
		})
	}
}
