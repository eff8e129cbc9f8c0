package harness_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/internal/author/harness"
)

const definition = `
name: Acme
slug: acme
mode: cloud
authentication:
  scheme: custom
  fields: {key: {label: Key, description: The key., type: password, required: true}}
actions:
  create:
    title: Create
    fields: {id: {label: ID, description: The id., type: string, required: true}}
    request: {url: "https://api.example.com/contacts", body: {"@path": $.payload}}
`

func run(t *testing.T, line string) harness.Result {
	t.Helper()
	registry, err := destination.NewRegistry([]destination.Plugin{{
		Definition: fstest.MapFS{"destination.yaml": {Data: []byte(definition)}},
	}})
	require.NoError(t, err)
	cases, err := harness.Parse("cases.ndjson", []byte(line))
	require.NoError(t, err, line)
	suite := &harness.Suite{Registry: registry}
	return suite.Run(context.Background(), cases[0])
}

// acme returns a case of the destination acme with some keys replaced.
func acme(keys, expect string) string {
	whole := `{"name":"c","destination":"acme","event":{"type":"track","event":"x","properties":{"id":"1"}},`
	for key, usual := range map[string]string{
		"responses": `[{"status":200}]`, "settings": `{"key":"k"}`, "action": `"create"`, "mapping": `{"id":{"@path":"$.properties.id"}}`,
	} {
		if !strings.Contains(keys, `"`+key+`":`) {
			whole += `"` + key + `":` + usual + `,`
		}
	}
	return whole + keys + `"expect":` + expect + `}`
}

// TestAnotherOutcomeShowsItsReason checks that a case that fails because an event was refused says why.
func TestAnotherOutcomeShowsItsReason(t *testing.T) {
	refusing := `"responses":[{"status":400,"body":{"message":"no such contact"}}],`
	r := run(t, acme(refusing, `{"results":[{"outcome":"delivered"}]}`))
	assert.Contains(t, strings.Join(r.Problems, "\n"), "/0 is refused because: no such contact")
	r = run(t, acme(refusing, `{"results":[{"outcome":"refused"}]}`))
	assert.Empty(t, r.Problems)
}

func TestExpectedErrors(t *testing.T) {
	for _, tc := range []struct {
		name, line string
		passes     bool
		problem    string // part of the first problem
		updatable  bool
	}{
		{name: "no error occurred from a destination", line: acme("", `{"error":true}`), problem: "none occurred", updatable: true},
		{name: "no error with a text occurred from a destination", line: acme("", `{"error":"bad"}`), problem: "none occurred", updatable: true},
		{name: "no error occurred beside results", line: acme("", `{"error":true,"results":[{"status":200}]}`), problem: "none occurred", updatable: true},
		{name: "no error occurred, and none was expected", line: acme("", `{"error":false}`), passes: true},
		{name: "a delivery fails", line: acme(`"mapping":{},`, `{"error":true}`), passes: true},
		{name: "a delivery fails unexpectedly", line: acme(`"mapping":{},`, `{"requests":[]}`), problem: "unexpected error", updatable: true},
		{name: "a delivery fails for another reason", line: acme(`"mapping":{},`, `{"error":"no such plan"}`), problem: "should hold", updatable: true},
		{name: "a mapping gives nothing where an error was expected", line: `{"mapping":{"@path":"$.nothing"},"event":{"x":1},"expect":{"error":true}}`, problem: "none occurred"},
		{name: "a mapping gives a payload where an error was expected", line: `{"mapping":{"a":1},"event":{},"expect":{"error":"x"}}`, problem: "none occurred", updatable: true},
		{name: "a query compiles where an error was expected", line: `{"subscribe":"a = 1","event":{},"expect":{"error":true}}`, problem: "none occurred", updatable: true},
		{name: "fields pass where an error was expected", line: `{"fields":{"a":{"label":"A","type":"string"}},"payload":{"a":"x"},"expect":{"error":true}}`, problem: "none occurred", updatable: true},
		{name: "a mapping is refused as expected", line: `{"mapping":{"a":{"@nope":1}},"event":{},"expect":{"error":true}}`, passes: true},
		{name: "a mapping is refused unexpectedly", line: `{"mapping":{"a":{"@nope":1}},"event":{},"expect":{"payload":{"a":1}}}`, problem: "cannot run"},
		{name: "a query is refused unexpectedly", line: `{"subscribe":"a AND b","event":{},"expect":{"subscribed":true}}`, problem: "cannot run"},
		{name: "fields are refused unexpectedly", line: `{"fields":{"a":{"label":"A","type":"strng"}},"payload":{},"expect":{"payload":{}}}`, problem: "cannot run"},
		{name: "unknown destination", line: strings.Replace(acme("", `{"requests":[]}`), `"acme"`, `"acmee"`, 1), problem: `did you mean "acme"?`},
		{name: "unknown destination, any error expected", line: strings.Replace(acme("", `{"error":true}`), `"acme"`, `"acmee"`, 1), problem: `did you mean "acme"?`},
		{name: "unknown destination, its text expected", line: strings.Replace(acme("", `{"error":"no destination"}`), `"acme"`, `"acmee"`, 1), passes: true},
		{name: "unknown action", line: acme(`"action":"creat",`, `{"error":true}`), problem: `did you mean "create"?`},
		{name: "unknown action, another text expected", line: acme(`"action":"creat",`, `{"error":"bad id"}`), problem: "cannot run"},
		{name: "unknown action of a subscription", line: strings.Replace(acme(`"subscriptions":[{"partnerAction":"creat","subscribe":"type = \"track\""}],`, `{"error":true}`), `"action":"create",`, "", 1), problem: `did you mean "create"?`},
		{name: "unknown setting", line: acme(`"settings":{"kye":"k"},`, `{"error":true}`), problem: `did you mean "key"?`},
		{name: "a setting is missing as expected", line: acme(`"settings":{},`, `{"error":true}`), passes: true},
		{name: "a setting is missing unexpectedly", line: acme(`"settings":{},`, `{"requests":[]}`), problem: "cannot run"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := run(t, tc.line)
			assert.Equal(t, tc.passes, r.Passed(), r.Problems)
			if tc.passes {
				return
			}
			assert.Contains(t, r.Problems[0], tc.problem)
			assert.Equal(t, tc.updatable, r.Updatable(), r.Actual.JSON())
			updated, err := harness.Update("cases.ndjson", []byte(tc.line+"\n"), []harness.Result{r})
			if !tc.updatable {
				assert.ErrorContains(t, err, "cases.ndjson:1:1: the case cannot be updated")
				return
			}
			require.NoError(t, err)
			assert.True(t, run(t, string(updated)).Passed(), "an updated case passes: %s", updated)
		})
	}
}

// TestUpdateIsAllOrNothing checks that a file with one case that cannot run is not updated.
// TestFormsAreComparedByValue checks that the order of JSON within a form does not matter, and that everything else does.
func TestFormsAreComparedByValue(t *testing.T) {
	const form = `name: Acme
slug: acme
mode: cloud
authentication: {scheme: none}
actions:
  create:
    title: Create
    fields: {id: {label: ID, description: The id., type: string}}
    request: {url: "https://api.example.com", encoding: form, body: {key: k, data: {b: 1, a: {"@path": $.payload.id}}}}
`
	registry, err := destination.NewRegistry([]destination.Plugin{{Definition: fstest.MapFS{"destination.yaml": {Data: []byte(form)}}}})
	require.NoError(t, err)
	for body, passes := range map[string]bool{
		"key=k&data=%7B%22b%22%3A1%2C%22a%22%3A%221%22%7D": true, "data=%7B%22a%22%3A%221%22%2C%22b%22%3A1%7D&key=k": true,
		"key=k&data=%7B%22a%22%3A%221%22%2C%22b%22%3A2%7D": false, "key=x&data=%7B%22a%22%3A%221%22%2C%22b%22%3A1%7D": false, "key=k": false,
		"key=k&more=1&data=%7B%22a%22%3A%221%22%2C%22b%22%3A1%7D": false,
	} {
		cases, err := harness.Parse("cases.ndjson", []byte(`{"name":"c","destination":"acme","action":"create","mapping":{"id":{"@path":"$.properties.id"}},`+
			`"event":{"type":"track","event":"x","properties":{"id":"1"}},"responses":[{"status":200}],"expect":{"requests":[{"method":"POST","url":"https://api.example.com","body":"`+body+`"}],"results":[{"outcome":"delivered"}]}}`))
		require.NoError(t, err)
		suite := &harness.Suite{Registry: registry}
		r := suite.Run(t.Context(), cases[0])
		assert.Equal(t, passes, r.Passed(), "%s: %v", body, r.Problems)
	}
}

// TestBrokenConnections checks that a case which breaks the connection need not state the result of its event.
func TestBrokenConnections(t *testing.T) {
	assert.Empty(t, run(t, acme(`"responses":[{"status":0}],`, `{"requests":[{"method":"POST","url":"https://api.example.com/contacts","json":{"id":"1"}}]}`)).Problems)
	assert.NotEmpty(t, run(t, acme(`"responses":[{"status":500}],`, `{"requests":[{"method":"POST","url":"https://api.example.com/contacts","json":{"id":"1"}}]}`)).Problems)
	assert.NotEmpty(t, run(t, acme(`"responses":[{"status":0}],`, `{"results":[{"outcome":"delivered"}]}`)).Problems)
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	text := `{"mapping":{"a":1},"event":{},"expect":{"payload":{"a":2}}}` + "\n" + `{"mapping":{"a":{"@nope":1}},"event":{},"expect":{"payload":{}}}` + "\n"
	cases, err := harness.Parse("cases.ndjson", []byte(text))
	require.NoError(t, err)
	var results []harness.Result
	for _, c := range cases {
		results = append(results, (&harness.Suite{}).Run(context.Background(), c))
	}
	updated, err := harness.Update("cases.ndjson", []byte(text), results)
	assert.Nil(t, updated)
	assert.ErrorContains(t, err, "cases.ndjson:2:1")
}

func TestPlaces(t *testing.T) {
	for _, tc := range []struct {
		name, line string
		places     []string
	}{
		{"equal", acme("", `{"results":[{"outcome":"delivered"}]}`), nil},
		{"another outcome", acme("", `{"results":[{"outcome":"refused"}]}`), []string{"/results/0/outcome"}},
		{"another body", acme("", `{"requests":[{"method":"POST","url":"https://api.example.com/contacts","json":{"id":"2"}}]}`), []string{"/requests/0/json/id"}},
		{"refused settings", acme(`"settings":{},`, `{"results":[{"outcome":"delivered"}]}`), []string{""}},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.places, run(t, tc.line).Places()) })
	}
}
