package fql

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/fault"
)

var update = flag.Bool("update", false, "write testdata/problems.txt again")

// mistakes are queries that must be refused. The expected messages are in testdata/problems.txt.
var mistakes = []string{
	"", "  \n\t", `type = "track" AND event = "x"`, `type = "track" Or event = "x"`, `OR`, `type == "track"`, `type === "track"`, `type <> "track"`, `n => 5`, `n ≥ 5`, `type: "track"`,
	`type = "track" && event = "x"`, `type = "track" || event = "x"`, `event = “Signed Up”`, "event = `x`", `event = 'it's'`,
	`type = "track`, `(type = "track"`, `((type = "track")`, `type = "track")`, `type = "track"]`, `type =`, `= "track"`, `>= 5`, `type = = "x"`, `type = and event = "x"`, `in ["a"]`,
	`type = track`, `event = Audience Entered`, `properties.n > five`, `event = "A" "B"`, `event = "A" or "B"`, `type = "track" properties.vip`, `properties.vip type = "track"`, `event (type = "track")`,
	`type = "track" and`, `type = "track" or`, `and type = "track"`, `type = "a" and or type = "b"`, `!`, `type = "a" and !`, `()`, `type = "a" and ()`, `(`, `type = "a" and (`, `(type = "a" and )`,
	`a = 1 = 2`, `(a = 1) = true`, `1 < properties.n < 5`, `"x"`, `5`, `null`, `["a"]`,
	`contain(event, "x")`, `Contains(event, "x")`, `LENGTH(event) > 1`, `startsWith(event, "x")`, `properties.contains(event, "x")`, `event(type = "x")`,
	`length(event)`, `!lowercase(event)`, `contains(event)`, `contains()`, `length(event, type)`, `contains(event, 5)`, `contains(5, "x")`, `length(true) = 1`, `number(true) = 1`, `number(["1"]) = 1`,
	`contains(event, "x"`, `contains(event,`, `contains(`, `contains(event "x")`, `contains(event = "x")`, `contains(, "x")`, `contains(event, "x",)`, `contains(event]`,
	`properties.n > "5"`, `properties.n < "x"`, `properties.n >= null`, `"5" < properties.n`, `lowercase(event) > 5`, `properties.n > [5]`,
	`type in ("a", "b")`, `type in "a"`, `type in`, `type in lowercase(event)`, `type IN ["a"]`, `type not in ["a"]`, `not contains(event, "x")`, `NOT(type = "x")`, `x = TRUE`, `x = Null`,
	`type is null`, `type equals "x"`, `event like "x%"`, `event contains "x"`, `event starts with "x"`,
	`x in ["a", b]`, `x in [["a"]]`, `x in [1, ]`, `x in [, 1]`, `x in [1 2]`, `x in ["a"`, `x in ["a",`, `x in [1)`,
	`properties..a = 1`, `properties. = 1`, `properties.`, `.a = 1`, `properties.@id = 1`, `@id = 1`, `properties.first name = "x"`, `$x = 1`, `$`, `properties.a[x] = 1`, `properties.a[-1] = 1`, `properties.a[""] = 1`, `properties.a["x = 1`, `properties.a[0 = 1`, `properties.a[0]b = 1`, `a\`,
	`5abc = 1`, `x = 1.`, `x = .5`, `x = 1.2.3`, `x = -`, `x = 1e999`, `x = 0x10`, "x = \x00", "x = \"\xff\"", `x = "a", y = "b"`,
	`]`, `,`, `type @`, `type = "a" or @`, `type = "a" and @`, `(@`, `!@`, `x in [@`, `x in [1, @`, `contains(@`, `contains(event, @`, `length(event, [1, @`,
	`"` + strings.Repeat("so long a text ", 10) + `"`, "type = \"\x1b[31m\"]",
	"type = \"track\"\n\tand event == \"x\"\nand true", "type = \"track\" and\r\n  größe = \"ü\" AND x\r\n",
	`event = "` + strings.Repeat("long ", 40) + `" AND type = "` + strings.Repeat("tail ", 40) + `"`,
}

func TestProblems(t *testing.T) {
	const golden, between = "testdata/problems.txt", "\n\n"
	var said []string
	for _, text := range mistakes {
		_, err := Compile(text)
		require.Error(t, err, text)
		list, ok := err.(fault.Problems)
		require.True(t, ok, text)
		require.Len(t, list, 1, text)
		assert.Positive(t, list[0].Line, text)
		assert.Positive(t, list[0].Column, text)
		said = append(said, err.Error())
	}
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(strings.Join(said, between)+"\n"), 0o644))
	}
	page, err := os.ReadFile(golden)
	require.NoError(t, err)
	want := strings.Split(strings.TrimSuffix(string(page), "\n"), between)
	require.Len(t, said, len(want))
	for i, text := range mistakes {
		assert.Equal(t, want[i], said[i], text)
	}
}

func TestLimits(t *testing.T) {
	clause := `event = "x" or `
	cases := map[string]struct{ fits, breaks, problem string }{
		"bytes":       {clause + strings.Repeat(" ", MaxBytes-len(clause)-4) + "true", clause + strings.Repeat(" ", MaxBytes-len(clause)-3) + "true", "the query is longer than 64 KB"},
		"parentheses": {strings.Repeat("(", 200) + "x" + strings.Repeat(")", 200), strings.Repeat("(", 201) + "x" + strings.Repeat(")", 201), "column 201: nested deeper than 200"},
		"negations":   {strings.Repeat("!", 200) + "x", strings.Repeat("!", 201) + "x", "column 201: nested deeper than 200"},
		"both":        {strings.Repeat("!(", 199) + "!x = 1" + strings.Repeat(")", 199), strings.Repeat("!(", 200) + "!x = 1" + strings.Repeat(")", 200), "nested deeper than 200"},
		"functions":   {strings.Repeat("lowercase(", 200) + "x" + strings.Repeat(")", 200) + ` = "x"`, strings.Repeat("lowercase(", 201) + "x" + strings.Repeat(")", 201) + ` = "x"`, "nested deeper than 200"},
		"items":       {"x in [" + strings.Repeat("1,", 999) + "1]", "x in [" + strings.Repeat("1,", 1000) + "1]", "a list has at most 1000 items"},
		"pattern":     {`match(x, "` + strings.Repeat("ü", 1000) + `")`, `match(x, "` + strings.Repeat("ü", 1001) + `")`, "a pattern has at most 1000 characters"},
		"path":        {strings.Repeat("a.", 207) + "a", strings.Repeat("a.", 208) + "a", "a field path has at most 208 names"},
	}
	for name, c := range cases {
		q, err := Compile(c.fits)
		require.NoError(t, err, name)
		again, err := Compile(q.String())
		require.NoError(t, err, name)
		assert.Equal(t, q.String(), again.String(), name)
		_, err = Compile(c.breaks)
		assert.ErrorContains(t, err, c.problem, name)
		assert.Less(t, len(err.Error()), 500, name)
	}
	for _, open := range []string{"(", "!", "!(", "contains(", "[", "a[", "a.", "a=1 and (", "\"\\"} {
		_, err := Compile(strings.Repeat(open, MaxBytes/len(open)))
		assert.Error(t, err, open)
	}
}
