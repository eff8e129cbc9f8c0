package fieldschema_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/event"
)

// builtPayload returns an object as a mapping builds it, which the fast check reads.
func builtPayload(text string) event.Value { return event.NewObject(membersOf(event.MustParse(text))) }

// assertProcess checks the result of a payload, both parsed and built by a mapping. "" as the result means that it is invalid.
func assertProcess(t *testing.T, fields, payload, want string) {
	t.Helper()
	s := compile(t, fields)
	for _, v := range []event.Value{event.MustParse(payload), builtPayload(payload)} {
		got, err := s.Process(v)
		if want == "" {
			assert.Error(t, err, "%s | %s gave %s", fields, payload, got.JSON())
			continue
		}
		if assert.NoError(t, err, "%s | %s", fields, payload) {
			assert.Equal(t, want, got.JSON(), "%s | %s", fields, payload)
		}
	}
}

// TestBoundsAreInclusive checks values at, above and below each bound. The length of a text counts characters, not bytes.
func TestBoundsAreInclusive(t *testing.T) {
	for bounds, values := range map[string]struct{ accepted, refused []string }{
		`"type":"number","minimum":-1.5,"maximum":2`:                   {[]string{"-1.5", "0", "2", `"2"`}, []string{"-1.6", "2.01", `"3"`}},
		`"type":"integer","minimum":3`:                                 {[]string{"3", "1e9"}, []string{"2", "-3"}},
		`"type":"integer","maximum":3`:                                 {[]string{"3", "-7"}, []string{"4"}},
		`"type":"string","minimum":2,"maximum":3`:                      {[]string{`"ab"`, `"äöü"`, `"👍👍👍"`, `12`}, []string{`"a"`, `"abcd"`, `"ä"`, `1`}},
		`"type":"text","minimum":2`:                                    {[]string{`"ab"`}, []string{`"a"`}},
		`"type":"password","maximum":2`:                                {[]string{`"ab"`}, []string{`"abc"`}},
		`"type":"string","minimum":2,"multiple":true`:                  {[]string{`["ab","cd"]`, `[]`}, []string{`["ab","c"]`}},
		`"type":"boolean","minimum":5,"maximum":6`:                     {[]string{"true"}, nil},
		`"type":"datetime","minimum":5,"maximum":6`:                    {[]string{"1767323045", `"2026-01-02"`}, nil},
		`"type":"string","minimum":1.5,"maximum":2`:                    {[]string{`"a"`, `"abc"`}, nil}, // not a length
		`"type":"string","minimum":-1`:                                 {[]string{`"a"`}, nil},
		`"type":"string","minimum":2,"maximum":-1`:                     {[]string{`"a"`}, nil},
		`"type":"number","choices":[1,2.5],"minimum":2`:                {[]string{"2.5"}, []string{"1", "3"}},
		`"type":"number","choices":[1],"openChoices":true,"minimum":2`: {[]string{"2"}, []string{"1"}},
	} {
		fields := fmt.Sprintf(`{"v":{%s}}`, bounds)
		s := compile(t, fields)
		for _, value := range values.accepted {
			_, err := s.Process(event.MustParse(`{"v":` + value + `}`))
			assert.NoError(t, err, "%s %s", bounds, value)
		}
		for _, value := range values.refused {
			assertProcess(t, fields, `{"v":`+value+`}`, "")
		}
	}
}

// TestTextsAsNumbers checks which texts a number field accepts: those that JavaScript's Number accepts.
func TestTextsAsNumbers(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "-0.5": "-0.5", "+5": "5", ".5": "0.5", "5.": "5", "1E3": "1000", "007": "7", "12345678901234567890": "12345678901234567890",
		"0x1F": "31", "0X1f": "31", "0o17": "15", "0O17": "15", "0b101": "5", "0B1": "1", "\t\n": "0", "0x7fffffffffffffff": "9223372036854775807",
		"1_0": "", "0x1_0": "", "0x": "", "0xg": "", "0o8": "", "0b2": "", "-0x10": "", "+0x10": "", "0x1p3": "", "1p3": "", "NaN": "", "nan": "", "Infinity": "", "inf": "", "1e400": "", "-1e400": "", "1 2": "", "1,5": "", "five": "", "0x10000000000000000": "", "null": "", "true ": "", "[1]": "",
	} {
		want := want
		if want != "" {
			want = `{"n":` + want + `}`
		}
		s := compile(t, `{"n":{"type":"number","allowNull":true}}`)
		got, err := s.Process(event.NewObject([]event.Member{{Key: "n", Value: event.NewString(text)}}))
		if want == "" {
			assert.Error(t, err, "%q gave %s", text, got.JSON())
		} else if assert.NoError(t, err, "%q", text) {
			assert.True(t, event.Equal(event.MustParse(want), got), "%q gave %s", text, got.JSON())
		}
	}
}

// TestIntegersHaveNoFraction checks whole numbers in every notation.
func TestIntegersHaveNoFraction(t *testing.T) {
	const fields = `{"n":{"type":"integer"}}`
	for _, value := range []string{"5", "-5", "5.0", "5e1", "1.5e1", `"5.0"`, `"1e3"`, "true"} {
		_, err := compile(t, fields).Process(event.MustParse(`{"n":` + value + `}`))
		assert.NoError(t, err, value)
	}
	for _, value := range []string{"5.5", "5e-1", `"5.5"`, `"1e400"`, `{"a":1}`, `[1,2]`} {
		assertProcess(t, fields, `{"n":`+value+`}`, "")
	}
}

// TestTextsAsBooleans checks that only true, false, 1 and 0 become booleans.
func TestTextsAsBooleans(t *testing.T) {
	const fields = `{"b":{"type":"boolean"}}`
	for value, want := range map[string]string{
		"true": "true", "false": "false", `"true"`: "true", `"false"`: "false", "1": "true", "0": "false", "1.0": "true", "-0": "false",
		"2": "", "0.5": "", `"True"`: "", `"1"`: "", `"0"`: "", "{}": "",
	} {
		if want != "" {
			want = `{"b":` + want + `}`
		}
		assertProcess(t, fields, `{"b":`+value+`}`, want)
	}
}

// TestManyFields checks a schema with more fields than the fast check can hold: required fields and unknown keys count beyond it too.
func TestManyFields(t *testing.T) {
	for _, count := range []int{63, 64, 65, 130} {
		var fields, members []string
		for i := range count {
			fields = append(fields, fmt.Sprintf(`"f%d":{"type":"string","required":true}`, i))
			members = append(members, fmt.Sprintf(`"f%d":"x"`, i))
		}
		list, all := "{"+strings.Join(fields, ",")+"}", "{"+strings.Join(members, ",")+"}"
		assertProcess(t, list, all, all)
		assertProcess(t, list, "{"+strings.Join(members[:count-1], ",")+"}", "")
		assertProcess(t, list, "{"+strings.Join(members[1:], ",")+"}", "")
		assertProcess(t, list, strings.TrimSuffix(all, "}")+`,"unknown":1}`, all)
	}
}
