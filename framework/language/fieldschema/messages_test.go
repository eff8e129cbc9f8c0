package fieldschema_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

// TestMessagesOfEachRule checks the message of a payload that breaks one rule.
func TestMessagesOfEachRule(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, c := range []struct{ fields, payload, want string }{
		{`{"v":{"type":"number","minimum":2}}`, `{"v":1}`, "/v v should be at least 2 but is 1"},
		{`{"v":{"type":"number","maximum":2}}`, `{"v":3}`, "/v v should be at most 2 but is 3"},
		{`{"v":{"type":"string","minimum":2}}`, `{"v":"a"}`, `/v v should have at least 2 characters but is the text "a"`},
		{`{"v":{"type":"string","maximum":2}}`, `{"v":"abc"}`, `/v v should have at most 2 characters but is the text "abc"`},
		{`{"v":{"type":"number"}}`, `{"v":[1,2]}`, "/v v should be a number but is an array"},
		{`{"v":{"type":"integer"}}`, `{"v":{}}`, "/v v should be an integer but is an object"},
		{`{"v":{"type":"string","allowNull":true}}`, `{"v":{}}`, "/v v should be a string or null but is an object"},
		{`{"v":{"type":"password"}}`, `{"v":{"secret":1}}`, "/v v should be a string but is an object"},
		{`{"v":{"type":"password","maximum":3}}`, `{"v":"s3cret"}`, "/v v should have at most 3 characters but is another text"},
		{`{"v":{"type":"datetime"}}`, `{"v":{}}`, "/v v should be a string or a number but is an object"},
		{`{"v":{"type":"string","format":"ipv4"}}`, `{"v":"x"}`, `/v v should be an IPv4 address but is the text "x"`},
		{`{"v":{"type":"string","choices":[` + strings.Repeat(`"c",`, 9) + `"c"]}}`, `{"v":"x"}`, `/v v should be ` + strings.Repeat(`"c", `, 9) + `"c" but is the text "x"`},
		{`{"v":{"type":"string","choices":[` + strings.Repeat(`"c",`, 11) + `"c"]}}`, `{"v":"x"}`, `/v v should be ` + strings.Repeat(`"c", `, 10) + `one of 2 others but is the text "x"`},
		{`{"v":{"type":"number"}}`, `{"v":"` + long + `"}`, "/v v should be a number but is the text " + fault.Shorten(`"`+long+`"`, 60)},
		{`{"l":{"label":"List","type":"object","multiple":true,"properties":{"n":{"label":"N","type":"number"}}}}`, `{"l":[{"n":1},{"n":"x"}]}`, `/l/1/n List 2 › N should be a number but is the text "x"`},
		{`{"a":{"type":"string"},"o":{"label":"O","type":"object","required":{"conditions":[{"fieldKey":"a","operator":"is","value":"x"}]}}}`, `{"a":"x"}`, "/o O is required but missing"},
	} {
		_, err := compile(t, c.fields).Process(event.MustParse(c.payload))
		assert.Equal(t, []string{c.want}, messagesOf(fieldschema.ProblemsOf(err)), c.payload)
		assert.Equal(t, c.want, fault.As(err).Pointer+" "+fault.As(err).Message)
	}
}

// TestMessagesOfDates checks that the message of a date says why the value is none.
func TestMessagesOfDates(t *testing.T) {
	s := compile(t, `{"d":{"label":"D","type":"datetime"},"s":{"label":"S","type":"string","format":"date"}}`)
	for value, reason := range map[string]string{`"soon"`: `"soon"`, `1e99`: "1e99"} {
		_, err := s.Process(event.MustParse(`{"d":` + value + `}`))
		var mistake *event.TimeError
		_, timeErr := event.ReadTime(event.MustParse(value))
		require.True(t, errors.As(timeErr, &mistake), value)
		require.Len(t, fieldschema.ProblemsOf(err), 1)
		assert.Contains(t, err.Error(), reason)
		assert.True(t, strings.HasSuffix(err.Error(), " ("+mistake.Reason+")"), err.Error())
	}
	_, err := s.Process(event.MustParse(`{"s":"soon"}`))
	assert.EqualError(t, err, `S should be a date such as 2026-01-02 but is the text "soon"`)
}

// TestValidateAloneReportsUnknownKeys checks Validate on a payload that was not cleaned.
func TestValidateAloneReportsUnknownKeys(t *testing.T) {
	s := compile(t, `{"a":{"type":"string"},"o":{"label":"O","type":"object","properties":{"x":{"type":"string"}}},"p":{"type":"object","additionalProperties":true,"properties":{"x":{"type":"string"}}}}`)
	require.NoError(t, s.Validate(event.MustParse(`{"a":"x","o":{"x":"y"},"p":{"z":1}}`)))
	for payload, want := range map[string]string{
		`{"5":1}`:             " the payload has a key that is none of its fields",
		`{"o":{"z":1}}`:       "/o O has a key that is none of its fields",
		`{"p":{"z":1,"x":2}}`: "/p/x p › x should be a string but is 2",
		`{"a":null}`:          "/a a should be a string but is null",
		`7`:                   " the payload should be an object but is 7",
	} {
		assert.Equal(t, []string{want}, messagesOf(fieldschema.ProblemsOf(s.Validate(event.MustParse(payload)))), payload)
	}
}

// TestProblemsOfOtherErrors checks that an error that is not about a payload keeps its problems.
func TestProblemsOfOtherErrors(t *testing.T) {
	problems := fault.Problems{{Pointer: "/a", Message: "m"}}
	assert.Equal(t, problems, fieldschema.ProblemsOf(problems))
	assert.Equal(t, fault.ProblemsOf(fault.Invalid("plain")), fieldschema.ProblemsOf(fault.Invalid("plain")))
	assert.Empty(t, fieldschema.ProblemsOf(nil))
}

// TestTraceOfEachChange checks the reason that Trace gives for each kind of change.
func TestTraceOfEachChange(t *testing.T) {
	s := compile(t, `{"s":{"label":"S","type":"string","allowNull":true},"n":{"type":"number"},"l":{"type":"number","multiple":true},"o":{"type":"object","properties":{"x":{"label":"X","type":"string","required":true},"y":{"type":"number"}}}}`)
	for payload, want := range map[string]string{
		`{"n":null}`:            `n | n |  |  | dropped: null is not allowed`,
		`{"s":null}`:            `s | S | null | null | `,
		`{"l":"1"}`:             `l | l | ["1"] | [1] | wrapped in a list`,
		`{"l":[1,null]}`:        `l | l | [1] | [1] | cleaned`,
		`{"l":["1"]}`:           `l | l | ["1"] | [1] | values in it are converted`,
		`{"o":{"x":"1","z":1}}`: `o | o | {"x":"1"} | {"x":"1"} | cleaned`,
		`{"s":true}`:            `s | S | true | "true" | converted from a boolean to a string`,
		`{"n":"x"}`:             `n | n | "x" | "x" | n should be a number but is the text "x"`,
		`{"o":{"y":"z"}}`:       `o | o | {"y":"z"} | {"y":"z"} | o › X is required but missing; o › y should be a number but is the text "z"`,
		`{"unknown":null}`:      `unknown |  |  |  | dropped: the action has no such field`,
	} {
		tr := s.Trace(event.MustParse(payload))[0]
		assert.Equal(t, want, strings.Join([]string{tr.Key, tr.Label, tr.Cleaned.JSON(), tr.Coerced.JSON(), tr.Reason}, " | "), payload)
	}
}
