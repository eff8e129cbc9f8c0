package fieldschema

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// FuzzProcess compares the compiled check with the JSON Schema: they must agree on every payload. Processing a result again must not
// change it.
func FuzzProcess(f *testing.F) {
	file, err := os.Open("../../../fixtures/conformance/fields.ndjson")
	require.NoError(f, err)
	defer file.Close()
	lines := bufio.NewScanner(file)
	for n := 0; lines.Scan(); n++ {
		var c struct{ Fields, Payload json.RawMessage }
		require.NoError(f, json.Unmarshal(lines.Bytes(), &c))
		if n%4 == 0 {
			f.Add(string(c.Fields), string(c.Payload))
		}
	}
	for _, fields := range []string{
		`{"a":{"label":"A","type":"string","required":{"match":"any","conditions":[{"fieldKey":"b","operator":"is_not","value":1},{"fieldKey":"o.x","operator":"is"}]}},"b":{"label":"B","type":"number"},"o":{"label":"O","type":"object","properties":{"x":{"label":"X","type":"integer","allowNull":true}}}}`,
		`{"a":{"label":"A","type":"datetime","multiple":true,"allowNull":true},"b":{"label":"B","type":"integer","minimum":-1,"maximum":1e2,"choices":[1,2.0]}}`,
		`{"a":{"label":"A","type":"password","format":"uri"},"b":{"label":"B","type":"string","minimum":2,"format":"hostname","multiple":true}}`,
	} {
		f.Add(fields, `{"a":"x","b":2,"o":{"x":null}}`)
		f.Add(fields, `{"a":["2026-01-02",null],"b":["ab","c"],"o":{}}`)
	}
	f.Fuzz(func(t *testing.T, fieldText, payloadText string) {
		v, err := event.ParseString(fieldText)
		if err != nil {
			return
		}
		payload, err := event.ParseString(payloadText)
		if err != nil {
			return
		}
		fields, err := ParseFields(v)
		if err != nil {
			return
		}
		s, err := Compile(fields)
		if err != nil {
			t.Fatalf("fields that parse do not compile: %v", err)
		}
		for _, candidate := range []event.Value{payload, s.Clean(payload), s.Coerce(s.Clean(payload))} {
			if s.isClearlyValid(candidate) {
				require.NoError(t, s.validator.Validate(candidate.Any()), "the compiled check passes %s", candidate.JSON())
			}
		}
		if s.passesUnchanged(payload) {
			assert.True(t, event.Equal(payload, s.Coerce(s.Clean(payload))), "%s counts as settled", payload.JSON())
		}
		for _, candidate := range []event.Value{payload, s.Clean(payload), s.Coerce(s.Clean(payload))} {
			rebuilt := rebuiltOf(candidate)
			if settled, sure := s.fast.passesUnchanged(rebuilt); sure {
				assert.Equal(t, s.passesUnchanged(rebuilt), settled, "%s", rebuilt.JSON())
			}
		}
		s.Trace(payload)
		processed, err := s.Process(payload)
		if err != nil {
			assert.NotEmpty(t, ProblemsOf(err))
			assert.Equal(t, fault.CodeInvalidPayload, fault.As(err).Code)
			return
		}
		if !s.isClearlyValid(processed) {
			t.Logf("the compiled check was not sure of %s", processed.JSON())
		}
		again, err := s.Process(processed)
		require.NoError(t, err)
		assert.True(t, event.Equal(processed, again), "%s became %s", processed.JSON(), again.JSON())
	})
}

// rebuiltOf returns an object as a mapping builds it, with a hole.
func rebuiltOf(v event.Value) event.Value {
	members := []event.Member{{Key: "hole"}}
	for key, m := range v.Members() {
		if key != "hole" {
			members = append(members, event.Member{Key: key, Value: m})
		}
	}
	return event.NewObject(members)
}
