package fieldschema_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

func compile(t testing.TB, text string) *fieldschema.Schema {
	fields, err := fieldschema.ParseFields(event.MustParse(text))
	require.NoError(t, err, text)
	s, err := fieldschema.Compile(fields)
	require.NoError(t, err, text)
	return s
}

var fence = regexp.MustCompile("(?s)```fields\n(.*?)```")

// TestReadme runs every example of README.md.
func TestReadme(t *testing.T) {
	page, err := os.ReadFile("README.md")
	require.NoError(t, err)
	examples := 0
	for _, block := range fence.FindAllStringSubmatch(string(page), -1) {
		for line := range strings.Lines(block[1]) {
			given, want, ok := strings.Cut(strings.TrimSpace(line), " => ")
			require.True(t, ok, line)
			fields, payload, _ := strings.Cut(given, " | ")
			got, err := compile(t, fields).Process(event.MustParse(payload))
			examples++
			if places, invalid := strings.CutPrefix(want, "invalid "); invalid {
				assert.Equal(t, places, placesOf(err), line)
				continue
			}
			require.NoError(t, err, line)
			assert.True(t, event.Equal(event.MustParse(want), got), "%s\ngot %s", line, got.JSON())
		}
	}
	assert.Greater(t, examples, 30)
}

func placesOf(err error) string {
	var places []string
	for _, p := range fieldschema.ProblemsOf(err) {
		places = append(places, p.Pointer)
	}
	return strings.Join(places, " ")
}

// TestCoercionTable lists the result of each type for a value: "=" means the value itself, and "" an invalid value.
func TestCoercionTable(t *testing.T) {
	columns := []string{`"string"`, `"number"`, `"integer"`, `"boolean"`, `"object"`, `"datetime"`, `"string","multiple":true`, `"number","multiple":true`, `"object","multiple":true`}
	rows := map[string][]string{
		`"abc"`:     {"=", "", "", "", "", "", `["abc"]`, "", ""},
		`"12"`:      {"=", "12", "12", "", "", "=", `["12"]`, "[12]", ""},
		`"1.5"`:     {"=", "1.5", "", "", "", "", `["1.5"]`, "[1.5]", ""},
		`" "`:       {"=", "0", "0", "", "", "", `[" "]`, "[0]", ""},
		`" 12 "`:    {"=", "12", "12", "", "", "", `[" 12 "]`, "[12]", ""},
		`"0x10"`:    {"=", "16", "16", "", "", "", `["0x10"]`, "[16]", ""},
		`"1e3"`:     {"=", "1000", "1000", "", "", "", `["1e3"]`, "[1000]", ""},
		`"true"`:    {"=", "", "", "true", "", "", `["true"]`, "", ""},
		`5`:         {`"5"`, "=", "=", "", "", "=", `["5"]`, "[5]", ""},
		`1.5`:       {`"1.5"`, "=", "", "", "", "=", `["1.5"]`, "[1.5]", ""},
		`0`:         {`"0"`, "=", "=", "false", "", "=", `["0"]`, "[0]", ""},
		`1`:         {`"1"`, "=", "=", "true", "", "=", `["1"]`, "[1]", ""},
		`true`:      {`"true"`, "1", "1", "=", "", "", `["true"]`, "[1]", ""},
		`["x"]`:     {`"x"`, "", "", "", "", "", "=", "", ""},
		`["1","2"]`: {"", "", "", "", "", "", "=", "[1,2]", ""},
		`{"a":1}`:   {"", "", "", "", "=", "", "", "", `[{"a":1}]`},
		`null`:      {"∅", "∅", "∅", "∅", "∅", "∅", "∅", "∅", "∅"},
		`""`:        {"∅", "∅", "∅", "∅", "∅", "∅", "∅", "∅", "∅"},
	}
	for value, wants := range rows {
		for i, want := range wants {
			s := compile(t, `{"f":{"label":"F","type":`+columns[i]+`}}`)
			got, err := s.Process(event.MustParse(`{"f":` + value + `}`))
			switch want {
			case "":
				assert.Error(t, err, "%s as %s gave %s", value, columns[i], got.JSON())
				continue
			case "=":
				want = `{"f":` + value + `}`
			case "∅":
				want = `{}`
			default:
				want = `{"f":` + want + `}`
			}
			require.NoError(t, err, "%s as %s", value, columns[i])
			assert.True(t, event.Equal(event.MustParse(want), got), "%s as %s: want %s, got %s", value, columns[i], want, got.JSON())
		}
	}
}

func TestMessagesNameTheFieldAndThePointer(t *testing.T) {
	s := compile(t, `{
		"id": {"label": "User ID", "type": "string", "required": true},
		"mail": {"label": "E-mail", "type": "string", "format": "email"},
		"secret": {"label": "Key", "type": "password", "minimum": 20, "choices": ["never shown either"]},
		"n": {"label": "Count", "type": "integer", "minimum": 1, "maximum": 9},
		"plan": {"label": "Plan", "type": "string", "choices": ["free", "gold"]},
		"alias": {"label": "Alias", "type": "object", "properties": {"name": {"label": "Name", "type": "string", "required": true}, "tags": {"label": "Tags", "type": "number", "multiple": true}}}}`)
	_, err := s.Process(event.MustParse(`{"mail":"nope","secret":"s3cret","n":12,"plan":"silver","alias":{"tags":["1","x"]}}`))
	require.Error(t, err)
	assert.Equal(t, fault.CodeInvalidPayload, fault.As(err).Code)
	var lines []string
	for _, p := range fieldschema.ProblemsOf(err) {
		lines = append(lines, p.Pointer+" "+p.Message)
	}
	assert.Equal(t, []string{
		`/alias/name Alias › Name is required but missing`,
		`/alias/tags/1 Alias › Tags 2 should be a number but is the text "x"`,
		`/id User ID is required but missing`,
		`/mail E-mail should be an email address but is the text "nope"`,
		`/n Count should be at most 9 but is 12`,
		`/plan Plan should be "free", "gold" but is the text "silver"`,
		`/secret Key should be "never shown either" but is another text`,
		`/secret Key should have at least 20 characters but is another text`,
	}, lines)
	assert.NotContains(t, err.Error(), "s3cret")
}

func TestParseFieldsReportsEveryMistake(t *testing.T) {
	_, err := fieldschema.ParseFields(event.MustParse(`{"a":{"label":"A","type":"strng"},"b":5,"c":{"type":"string","multiple":"yes","minimum":"1","format":"mail"},
		"f":{"type":"string","choices":"x","required":1}}`))
	fields, _ := fieldschema.ParseFields(event.MustParse(`{"d":{"type":"object","properties":{"e":{"type":"number","required":{"conditions":[{"fieldKey":"x","operator":"is"}]}}}}}`))
	var lines []string
	for _, p := range append(fault.ProblemsOf(err), fields.Check()...) {
		lines = append(lines, p.Pointer+" "+p.Message)
	}
	assert.Equal(t, []string{
		`/a/type unknown type "strng" (did you mean "string"?): the types are string, text, number, integer, datetime, boolean, password, object`,
		`/b should be a field, an object, but is a number`,
		`/c/multiple should be true or false but is a string`,
		`/c/minimum should be a number but is a string`,
		`/c/format unknown format "mail" (did you mean "email"?)`,
		`/f/required should be true, false or conditions but is a number`,
		`/f/choices should be a list but is a string`,
		`/d/properties/e/required condition 1 is on the field "x", which does not exist`,
	}, lines)
}

func TestTraceExplainsEachField(t *testing.T) {
	s := compile(t, `{"a":{"label":"A","type":"string"},"n":{"label":"N","type":"number"},"l":{"label":"L","type":"string","multiple":true},"e":{"label":"E","type":"string"},"r":{"label":"R","type":"string","required":true},"z":{"label":"Z","type":"string"}}`)
	var lines []string
	for _, tr := range s.Trace(event.MustParse(`{"a":"x","n":"5","l":"y","e":"","u":1}`)) {
		lines = append(lines, tr.Key+" | "+tr.Coerced.JSON()+" | "+tr.Reason)
	}
	assert.Equal(t, []string{
		`a | "x" | `, `n | 5 | converted from a string to a number`, `l | ["y"] | wrapped in a list`, `e |  | dropped: empty`,
		`u |  | dropped: the action has no such field`, `r |  | R is required but missing`, `z |  | `,
	}, lines)
}

const brazeFields = `{"external_id":{"label":"E","type":"string"},"user_alias":{"label":"U","type":"object","properties":{"alias_name":{"label":"N","type":"string","required":true},"alias_label":{"label":"L","type":"string","required":true}}},
	"device_id":{"label":"D","type":"string"},"cohort_id":{"label":"C","type":"string","required":true},"cohort_name":{"label":"N","type":"string","required":true},"enable_batching":{"label":"B","type":"boolean"},
	"personas_audience_key":{"label":"K","type":"string","required":true},"event_properties":{"label":"P","type":"object","required":true},"time":{"label":"T","type":"string","required":true},"batch_keys":{"label":"B","type":"string","multiple":true}}`

const brazePayload = `{"external_id":"u1","cohort_id":"aud_1","cohort_name":"vip","enable_batching":true,"personas_audience_key":"vip","event_properties":{"vip":true,"x":null},"time":"2026-01-02T03:04:05Z","batch_keys":["cohort_name","cohort_id"]}`

func TestValidPayloadsDoNotAllocate(t *testing.T) {
	s, v := compile(t, brazeFields), event.MustParse(brazePayload)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		if err := s.Validate(v); err != nil {
			t.Fatal(err)
		}
	}))
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = s.Process(v) }), 6.0)
}

func BenchmarkProcess(b *testing.B) {
	s, v := compile(b, brazeFields), event.MustParse(brazePayload)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Process(v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	s, v := compile(b, brazeFields), event.MustParse(brazePayload)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Validate(v); err != nil {
			b.Fatal(err)
		}
	}
}
