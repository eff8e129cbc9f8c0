package fql

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
)

func TestExplain(t *testing.T) {
	q := compile(t, `type = "track" and (event = "A" or !contains(properties.n, "x") or properties.half >= 2) and !(properties.missing != 5) and "b" in properties.list and properties.s < 3 and properties.s = properties.n`)
	assert.Equal(t, strings.TrimLeft(`
✗ all of
  ✓ type = "track"  ← type: "track"
  ✓ any of
    ✗ event = "A"  ← event: "Order Completed"
    ✗ !contains(properties.n, "x")  ← properties.n: 5 (this condition accepts only text, not a number)
    ✓ properties.half >= 2  ← properties.half: 2.5
  ✓ none of
    ✗ properties.missing != 5  ← properties.missing: nothing (this condition accepts only numbers, but the field is absent)
  ✓ "b" in properties.list  ← properties.list: ["a",1,true,null,"b"]
  ✗ properties.s < 3  ← properties.s: "x" (this condition accepts only numbers, not a string)
  ✗ properties.s = properties.n  ← properties.s: "x", properties.n: 5
`, "\n"), q.Explain(event.MustParse(sample)).String())
}

func TestExplainAsJSON(t *testing.T) {
	raw, err := json.Marshal(compile(t, `type = "track" and !(userId = null)`).Explain(event.MustParse(`{"type":"page"}`)))
	require.NoError(t, err)
	assert.JSONEq(t, `{"text": "all of", "matched": false, "parts": [
		{"text": "type = \"track\"", "matched": false, "found": [{"path": "type", "value": "\"page\""}]},
		{"text": "none of", "matched": false, "parts": [{"text": "userId = null", "matched": true, "found": [{"path": "userId", "value": "nothing"}]}]}]}`, string(raw))
}

func TestExplainIsBrief(t *testing.T) {
	long := strings.Repeat("ü\"", 1000)
	cases := map[string]string{
		`null`: `null`, `[1,{"a":"b","c":[]}]`: `[1,{"a":"b","c":[]}]`, `{}`: `{}`, `"x"`: `"x"`,
		event.NewString(long).JSON():             `"` + strings.Repeat(`ü\"`, 33) + "…",
		"[" + strings.Repeat("[1],", 500) + "2]": "[" + strings.Repeat("[1],", 24) + "[1]…",
		`{"` + strings.Repeat("k", 500) + `":1}`: `{"` + strings.Repeat("k", 98) + "…",
		strings.Repeat("9", 500):                 strings.Repeat("9", 100) + "…",
	}
	q := compile(t, "x = x.x")
	for value, want := range cases {
		e := q.Explain(event.MustParse(`{"x":` + value + `}`))
		assert.Equal(t, Found{"x", want}, e.Found[0])
	}
	assert.Equal(t, "✗ the event (an event is an object, and this is an array)\n", q.Explain(event.MustParse("[]")).String())
}
