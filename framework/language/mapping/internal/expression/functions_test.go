package expression_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping/internal/expression"
)

func TestFunctionsOfOurOwn(t *testing.T) {
	input := event.MustParse(`{"o":{"a":1,"b":null,"c":[1,null]},"n":null,"t":"x1y22","sha256":"a","md5":"b"}`)
	for text, want := range map[string]string{
		`sha256(n)`: ``, `digits(12.5)`: `"125"`, `squash("a\u00a0b\tc")`: `"abc"`, `text(true)`: `"true"`, `text(n)`: ``,
		`number("1e2")`: `100`, `number("12a")`: ``, `number("")`: ``, `number(o)`: ``, `isEmail("a@b")`: `false`, `isEmail(n)`: `false`,
		`extract(t, "y(.)")`: `"2"`, `extract(t, "z")`: ``, `extract(n, "z")`: ``, `extract(n, "")`: ``, `substitute(n, "^", "x")`: ``, `extract(12, "1")`: `"1"`, `substitute(t, "[0-9]+", "$0")`: `"x$0y$0"`,
		`seconds("2026-01-02")`: `1767312000`, `seconds("soon")`: ``, `milliseconds(n)`: ``, `isoTime("2026-01-02")`: `"2026-01-02T00:00:00.000Z"`,
		`merge(o, n, {"a": 2})`: `{"a":2,"b":null,"c":[1,null]}`, `omit(o, ["a", "c"])`: `{"b":null}`, `pick(o, ["a", "z"])`: `{"a":1}`, `omit(n, ["a"])`: ``,
		`seconds(date("2026-01-02"))`: `1767312000`, `isoTime(date("2026-01-02T01:00:00+01:00"))`: `"2026-01-02T00:00:00.000Z"`, // a time of expr, not a text
		`sha256 + text(md5)`: `"ab"`, // keys of the event
		`convertDates({"a": ["2026-01-02T03:04:05Z"], "b": {"c": "2026-01-02T03:04:05Z", "d": "2026-99-02"}}, "^[0-9]{4}-", "seconds", false)`: `{"a":["2026-01-02T03:04:05Z"],"b":{"c":1767323045,"d":"2026-99-02"}}`,
		`convertDates(["2026-01-02T03:04:05+01:00", "x", 1], "^[0-9]{4}-", "utc", true)`:                                                       `["2026-01-02 02:04:05 +00:00","x",1]`,
		`e164("+4915112345678", n)`: `"+4915112345678"`, `e164("(415) 555-0123", "us")`: `"+14155550123"`, `e164("+44 20 7946 0958", "GB")`: `"+442079460958"`,
		`e164("0049 151 1234567", "DE")`: `"+491511234567"`, `e164("+1 415 555 0123", "DE")`: ``, `e164("12", "US")`: ``, `e164("+4915112345678901234", n)`: ``, `e164("41555501234567890", "US")`: ``, `e164("call me", "US")`: ``,
		`e164("4155550123", "XX")`: ``, `e164("06 1234 5678", "IT")`: `"+390612345678"`, `e164(n, "US")`: ``, `encodeQuery("a b&c=d\"é#%")`: `"a%20b%26c%3Dd%22%C3%A9%23%25"`, `encodeQuery(n)`: ``, `decodeQuery("a%20b%26c%3Dd%22%C3%A9%23%25")`: `"a b&c=d\"é#%"`, `decodeQuery("100%")`: `"100%"`, `decodeQuery(n)`: ``, `e164("4155550123", n)`: ``,
		`merge(fromPairs([["k", 1], [2, 3]]), {"a": 1})`: `{"2":3,"a":1,"k":1}`, `omit(fromPairs([]), ["a"])`: `{}`, `compact(fromPairs([["k", nil]]))`: `{}`,
		`json({"b": "<é", "a": [1, nil]})`: `"{\"a\":[1,null],\"b\":\"<é\"}"`, `json(n)`: ``, `json("x")`: `"\"x\""`,
		`compact(o)`: `{"a":1,"c":[1,null]}`, `compact(o.c)`: `[1]`, `compact(n)`: ``,
	} {
		p, err := expression.Compile(text)
		require.NoError(t, err, text)
		got, err := p.Eval(input)
		require.NoError(t, err, text)
		if want == "" {
			assert.Equal(t, event.Absent, got.Kind(), text)
			continue
		}
		assert.Equal(t, want, got.JSON(), text)
	}
	for _, text := range []string{`merge("a")`, `omit(o, "a")`, `omit(t, ["a"])`, `compact(t)`, `sha256()`, `isEmail(t, t)`} {
		p, err := expression.Compile(text)
		if err == nil {
			_, err = p.Eval(input)
		}
		assert.Error(t, err, text)
	}
	for text, want := range map[string]string{
		`extract(t, t)`:        "extract needs a constant text as pattern",
		`substitute(t,"(","")`: "a pattern that is not a regular expression",
		`sha265(t)`:            `unknown function "sha265" (did you mean "sha256"?)`,
	} {
		_, err := expression.Compile(text)
		assert.ErrorContains(t, err, want, text)
	}
}
