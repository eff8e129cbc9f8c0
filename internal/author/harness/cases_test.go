package harness_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/author/harness"
)

func TestBlankLinesAreNoCases(t *testing.T) {
	cases, err := harness.Parse("cases.ndjson", []byte("\n"+acme("", `{"requests":[]}`)+"\n \n\n"))
	require.NoError(t, err)
	assert.Len(t, cases, 1)
	_, err = harness.Parse("cases.ndjson", []byte("\n{\n"))
	assert.ErrorContains(t, err, "cases.ndjson:2:1: the line is not JSON")
}

// TestWhatIsExpectedIsCompared checks that each part of what a case expects can fail it, and that what it leaves out cannot.
func TestWhatIsExpectedIsCompared(t *testing.T) {
	request := func(more string) string {
		return `{"requests":[{"method":"POST","url":"https://api.example.com/contacts","json":{"id":"1"}` + more + `}]}`
	}
	for name, c := range map[string]struct{ line, problem string }{
		"a request":                  {acme("", request("")), ""},
		"its headers":                {acme("", request(`,"headers":{"Content-Type":"application/json"}`)), ""},
		"another header":             {acme("", request(`,"headers":{"Content-Type":"text/plain"}`)), "text/plain"},
		"a header that is not there": {acme("", request(`,"headers":{"X-Key":"k"}`)), "X-Key"},
		"no request":                 {acme("", `{"requests":[]}`), "requests"},
		"two results":                {acme("", `{"results":[{"outcome":"delivered"},{"outcome":"delivered"}]}`), "results"},
		"part of a result":           {acme("", `{"results":[{"status":200}]}`), ""},
		"another status":             {acme("", `{"results":[{"status":201}]}`), "201"},
		"a case without responses":   {acme(`"responses":[],`, request("")), "the case has no responses and the destination has no sandbox"},
		"valid fields":               {`{"fields":{"a":{"label":"A","type":"string"}},"payload":{"a":"x"},"expect":{"payload":{"a":"x"}}}`, ""},
		"invalid fields":             {`{"fields":{"a":{"label":"A","type":"string"}},"payload":{"a":{}},"expect":{"valid":false}}`, ""},
		"invalid places":             {`{"fields":{"a":{"label":"A","type":"string"}},"payload":{"a":{}},"expect":{"valid":["/a"]}}`, ""},
		"other places":               {`{"fields":{"a":{"label":"A","type":"string"}},"payload":{"a":{}},"expect":{"valid":["/b"]}}`, "the invalid places differ"},
		"fields that are not valid":  {`{"fields":{"a":{"label":"A","type":"string"}},"payload":{"a":{}},"expect":{"valid":true}}`, "the payload is not valid"},
	} {
		r := run(t, c.line)
		if c.problem == "" {
			assert.Empty(t, r.Problems, name)
			continue
		}
		if assert.NotEmpty(t, r.Problems, name) {
			assert.Contains(t, r.Problems[0], c.problem, name)
		}
	}
}

// TestUpdateOfAYAMLFile checks that only what a case expects is replaced.
func TestUpdateOfAYAMLFile(t *testing.T) {
	const text = "# a case\nname: c\nmapping: {a: 1}\nexpect:\n  payload:\n    a: 2\n\n# kept\nevent: {}\n"
	cases, err := harness.Parse("case.yaml", []byte(text))
	require.NoError(t, err)
	require.Len(t, cases, 1)
	r := (&harness.Suite{}).Run(t.Context(), cases[0])
	require.False(t, r.Passed())
	updated, err := harness.Update("case.yaml", []byte(text), []harness.Result{r})
	require.NoError(t, err)
	assert.Contains(t, string(updated), "# a case\nname: c\n")
	assert.Contains(t, string(updated), "event: {}\n")
	assert.NotContains(t, string(updated), "a: 2")
	again, err := harness.Parse("case.yaml", updated)
	require.NoError(t, err)
	assert.True(t, (&harness.Suite{}).Run(t.Context(), again[0]).Passed(), string(updated))
}
