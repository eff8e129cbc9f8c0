package yamldoc_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/language/yamldoc"
)

func TestSyntaxProblemsNameTheText(t *testing.T) {
	const indentation = "does not match the lines above: check the indentation, the colon and space after each key, and quotes around texts with a colon in them"
	for text, want := range map[string]string{
		"a: []\nb: x\nb: y\n":           `f.yaml:3:1: the key "b" is written twice: it is in line 2 already`,
		"a: [\n  {id: a}\nx: y\n":       "f.yaml:3:1: does not belong into the [ that begins in line 1, column 4: a comma between two entries or the closing ] is missing",
		"a:\n  - id: a\n   b: c\n":      "f.yaml:3:4: " + indentation,
		"a:\n\t- id: a\n":               "f.yaml:2:1: the line begins with a tab: indent with spaces",
		"a: \"abc\n":                    "f.yaml:1:4: the text that begins with \" here is not closed by another \"",
		"a: 'abc\n":                     "f.yaml:1:4: the text that begins with ' here is not closed by another '",
		"a: x\nb: [}\n":                 "f.yaml:2:4: this [ is not closed: a ] or a comma between two entries is missing",
		"a: @x\n":                       "f.yaml:1:4: a text cannot begin with @: put it in quotes",
		"a: b: c\n":                     "f.yaml:1:4: " + indentation,
		"é: {b: 1\nc: 2\n":              "f.yaml:2:1: does not belong into the { that begins in line 1, column 4: a comma between two entries or the closing } is missing",
		`{"a": [1, 2}}`:                 "f.yaml:1:12: does not belong into the [ that begins in line 1, column 7: a comma between two entries or the closing ] is missing",
		`{"a": 1,,}`:                    "f.yaml:1:9: does not belong into the { that begins in line 1, column 1: a comma between two entries or the closing } is missing",
		`{"a" 1}`:                       "f.yaml:1:2: does not belong into the { that begins in line 1, column 1: a comma between two entries or the closing } is missing",
		`{"a": [],` + "\n" + `"b": 1`:   "f.yaml:1:1: this { is not closed: a } or a comma between two entries is missing",
		"a:\n  url: {{settings.x}}/y\n": `f.yaml:2:9: a text that begins with {{ needs quotes: write "{{…}}"`,
		"a: [ {{x}} ]":                  `f.yaml:1:7: a text that begins with {{ needs quotes: write "{{…}}"`,
		"a: {b: {{x}}, c: 1}":           `f.yaml:1:9: a text that begins with {{ needs quotes: write "{{…}}"`,
		"a: {@path: $.x}":               "f.yaml:1:5: a text cannot begin with @: put it in quotes",
		"a: {b: %x}":                    "f.yaml:1:8: a text cannot begin with %: put it in quotes",
		"a:\n  " + strings.Repeat("[", 201) + strings.Repeat("]", 201): "f.yaml:2:203: is nested deeper than 200",
	} {
		_, err := yamldoc.Parse("f.yaml", []byte(text))
		assert.EqualError(t, err, want, text)
	}
}
