package liquid_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping/internal/liquid"
)

// TestAsLiquidJS checks the output of liquidjs for templates on which implementations of Liquid differ.
func TestAsLiquidJS(t *testing.T) {
	e := event.MustParse(`{"s":"lit","e":"","n":5,"zero":0,"nul":null,"t":true,"f":false,"arr":[3,1,2],"one":[7],"none":[],"o":{"k":1},"nested":[[1,[2]],3],"mixed":["a",null,"b"],"big":9007199254740991}`)
	for template, want := range map[string]string{
		`{{ big | round }}`: "9007199254740991", `{{ 9007199254740991 | round: 1 }}`: "9007199254740991", `{{ 4503599627370497 | round }}`: "4503599627370497",
		`{{ 1.5 | round }} {{ -1.5 | round }} {{ 2.5 | round }}`: "2 -2 3", `{{ 1.005 | round: 2 }}`: "1.01", `{{ 1234.5 | round: -2 }}`: "1200",

		`{% if empty %}T{% else %}F{% endif %}`: "T", `{% if blank %}T{% else %}F{% endif %}`: "T", `{% if nil %}T{% else %}F{% endif %}`: "F",
		`{% unless blank %}T{% else %}F{% endunless %}`: "F", `{% if nope or empty %}T{% else %}F{% endif %}`: "T", `{% if n and blank %}T{% else %}F{% endif %}`: "T",
		`{% if n and nil %}T{% else %}F{% endif %}`: "F", `{% if nope %}A{% elsif empty %}B{% endif %}`: "B", `{{ empty }}|{{ blank }}|{{ nil }}`: "||",
		`{% if s contains empty %}T{% else %}F{% endif %}`: "T", `{% if s contains nil %}T{% else %}F{% endif %}`: "F", `{% if none == empty %}T{% else %}F{% endif %}`: "T",

		`{% if one < s %}T{% else %}F{% endif %}`: "T", `{% if s < one %}T{% else %}F{% endif %}`: "F", `{% if "2" > (1..3) %}T{% else %}F{% endif %}`: "T",
		`{% if "10" <= one %}T{% else %}F{% endif %}`: "T", `{% if one > 6 %}T{% else %}F{% endif %}`: "T", `{% if arr > 6 %}T{% else %}F{% endif %}`: "F",
		`{% if arr > nested %}T{% else %}F{% endif %}`: "T", `{% if mixed < "a,,c" %}T{% else %}F{% endif %}`: "T", `{% if o <= s %}T{% else %}F{% endif %}`: "T",
		`{% if o > 0 %}T{% else %}F{% endif %}`: "F", `{% if none < 1 %}T{% else %}F{% endif %}`: "T", `{% if nul < 1 %}T{% else %}F{% endif %}`: "T",

		`{{ "12px" | to_integer }} {{ "12" | to_integer | plus: 1 }} {{ t | to_integer }} {{ nul | to_integer }} {{ one | to_integer }} {{ arr | to_integer }}`: "NaN 13 1 0 7 NaN",
		`{{ "a b c" | truncatewords: 2 }} {{ "a b c" | truncatewords: 0 }} {{ "a b c" | truncatewords: nil }} {{ "a b c" | truncatewords: "x" }}|`:              "a b... a... a... |",
		`{{ e | truncate: -1, "xy" }}|{{ "ab" | truncate: -1, "xy" }}`:                                                                                          "|xy", `{{ n | divided_by: nil }}`: "Infinity",

		`{% if e.k %}T{% else %}F{% endif %}{% if e.size == 0 %}T{% endif %}`: "FT", `{{ nul.k | json }}|{{ nope.k | json }}|{{ e.k | json }}`: "null||",
		`{% assign a = nope | json %}{{ a | json }}`: "", `{% assign a = blank %}{% if a %}T{% endif %}{% if a == "" %}T{% endif %}{% if a == s %}T{% endif %}`: "TT",
		`{{ empty | default: "d" }}|{{ s | default: empty }}|{{ empty | size }}|{{ blank | to_integer }}`:                                             "d|lit|0|0",
		`{{ (1..3) | slice }}|{{ (1..3) | slice: "x" }}|{{ (1..3) | slice: 1.5, 1.5 | join }}|{{ (1..3) | slice: nul, 2 | join }}`:                    "||2 3|1 2",
		`{{ "abcd" | slice }}|{{ "abcd" | slice: 1.5, 1.5 }}|{{ "abcd" | slice: "x" }}`:                                                               "a|cd|a",
		`{{ 4 | sum: zero }}|{{ 4 | sum: e }}|{{ 4 | sum: s }}|{{ o | sum: "k" }}`:                                                                    "4|4|0|1",
		`{{ " 10 " | strip: zero }}|{{ " 10 " | strip: f }}|{{ 10 | strip: "0" }}|{{ " x" | lstrip: e }}`:                                             "10|10|1|x",
		`{{ 2 | truncate: t | json }}|{{ 12 | truncate: t }}|{{ "abcd" | truncate: 3.5 }}|{{ "abcd" | truncate: 2.5, "-" }}`:                          "2|...|abcd|ab-",
		`{{ "a b" | truncatewords: 1.5 }}|{{ "a" | truncatewords: 1.5 }}|{{ "a b c" | truncatewords: f, "!" }}|{{ "a b" | truncatewords: 1, blank }}`: "a...|a|a!|a",
		`{{ n | divided_by: nope }}|{{ 7 | divided_by: 2, zero }}|{{ 7 | divided_by: 2, e }}|{{ 7 | divided_by: 2, "1" }}|{{ 7 | divided_by: 2, t }}`: "Infinity|3.5|3.5|3|3",
		`{{ 1.5 | modulo: 0.1 }}|{{ -1 | modulo: 3 }}`:                                                                                                "0.09999999999999992|2",
		"{{ ' YW\tI= ' | base64_decode }}|{{ 'YWI' | base64_decode }}":                                                                                "ab|ab", `{{ one | json: "ab" }}|{{ one | json: t }}|{{ one | json: 2.7 }}`: "[\nab7\n]|[7]|[\n  7\n]",
	} {
		program, err := liquid.Compile(template)
		require.NoError(t, err, template)
		got, err := program.Render(e)
		require.NoError(t, err, template)
		assert.Equal(t, want, got, template)
	}
}
