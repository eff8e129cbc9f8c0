package yamldoc_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
)

// TestPositions checks where the value at a pointer and its key begin.
func TestPositions(t *testing.T) {
	const text = `one: {k: 1}
two:
  only: &m
    - x
    - single: y
é: ü
three: *m
four:
  <<: {merged: 1}
  own: 2
? complex
: value
"q r": "s"
`
	d, err := yamldoc.Parse("f.yaml", []byte(text))
	require.NoError(t, err)
	assert.Equal(t, "f.yaml", d.Name())
	for pointer, want := range map[string]string{
		"":                   "value 1:1 key 1:1",
		"/one":               "value 1:6 key 1:1",
		"/one/k":             "value 1:10 key 1:7",
		"/two":               "value 3:3 key 2:1",
		"/two/only":          "value 3:9 key 3:3",
		"/two/only/0":        "value 4:7 key 4:7",
		"/two/only/1":        "value 5:7 key 5:7",
		"/two/only/1/single": "value 5:15 key 5:7",
		"/two/only/7":        "value 3:9 key 3:9",
		"/two/none/deep":     "value 3:3 key 3:3",
		"/é":                 "value 6:4 key 6:1",
		"/three":             "value 7:8 key 7:1",
		"/four/own":          "value 10:8 key 10:3",
		"/four/merged":       "value 9:3 key 9:3",
		"/complex":           "value 12:3 key 11:1",
		"/q r":               "value 13:8 key 13:1",
		"/missing":           "value 1:1 key 1:1",
		"missing":            "value 1:1 key 1:1",
	} {
		line, column := d.Position(pointer)
		keyLine, keyColumn := d.KeyPosition(pointer)
		assert.Equal(t, want, fmt.Sprintf("value %d:%d key %d:%d", line, column, keyLine, keyColumn), pointer)
	}
}

// TestLocateSortsByPosition checks that problems are sorted by line, then by column, and that those in one place keep their order.
func TestLocateSortsByPosition(t *testing.T) {
	d, err := yamldoc.Parse("f.yaml", []byte("a: {x: 1, y: 2}\nb: 3\n"))
	require.NoError(t, err)
	located := d.Locate(fault.Problems{{Pointer: "/b", Message: "1"}, {Pointer: "/a/y", Message: "2"}, {Pointer: "/a/x", Message: "3"}, {Pointer: "/b", Message: "4"}, {Pointer: "/a/x", Message: "5"}})
	var lines []string
	for _, p := range located {
		lines = append(lines, fmt.Sprintf("%s:%d:%d %s", p.File, p.Line, p.Column, p.Message))
	}
	assert.Equal(t, []string{"f.yaml:1:8 3", "f.yaml:1:8 5", "f.yaml:1:14 2", "f.yaml:2:4 1", "f.yaml:2:4 4"}, lines)
}

// TestNestingIsLimited checks texts of the greatest allowed depth and of one more, in each style.
func TestNestingIsLimited(t *testing.T) {
	const depth = 200
	aliases := "a0: &a0 x\n"
	for i := 1; i <= depth; i++ {
		aliases += fmt.Sprintf("a%d: &a%d [*a%d]\n", i, i, i-1)
	}
	for name, text := range map[string]string{
		"brackets": strings.Repeat("[", depth+1) + strings.Repeat("]", depth+1),
		"braces":   strings.Repeat("{a: ", depth+1) + "1" + strings.Repeat("}", depth+1),
		"dashes":   strings.Repeat("- ", depth+1) + "x\n",
		"aliases":  aliases,
	} {
		_, err := yamldoc.Parse("f.yaml", []byte(text))
		assert.ErrorContains(t, err, "nested deeper than 200", name)
	}
	for name, text := range map[string]string{
		"brackets":          strings.Repeat("[", depth) + strings.Repeat("]", depth),
		"braces":            strings.Repeat("{a: ", depth) + "1" + strings.Repeat("}", depth),
		"dashes":            strings.Repeat("- ", depth-1) + "x\n",
		"brackets in a row": strings.Repeat("- [x]\n- {}\n", depth),
	} {
		_, err := yamldoc.Parse("f.yaml", []byte(text))
		assert.NoError(t, err, name)
	}
}

// TestSizeIsLimited checks a text of the greatest allowed size and one that is a byte larger.
func TestSizeIsLimited(t *testing.T) {
	text := "a: 1\n#" + strings.Repeat("x", yamldoc.MaxBytes-6)
	_, err := yamldoc.Parse("f.yaml", []byte(text))
	require.NoError(t, err)
	_, err = yamldoc.Parse("f.yaml", []byte(text+"x"))
	assert.EqualError(t, err, "f.yaml: the text is larger than 1 MB")
}

// TestMergeKeys checks which value a key has that is also merged in.
func TestMergeKeys(t *testing.T) {
	for text, want := range map[string]string{
		"a: &a {x: 1, y: 1}\nb: {<<: *a, y: 2}":                                     `{"a":{"x":1,"y":1},"b":{"y":2,"x":1}}`,
		"a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b], z: 3}":                 `{"a":{"x":1},"b":{"x":2,"y":2},"c":{"z":3,"x":1,"y":2}}`,
		"a: {y: 2, <<: {y: 1, x: {z: [1]}}}":                                        `{"a":{"y":2,"x":{"z":[1]}}}`,
		"a: &a {x: 1}\nb: {<<: *a, <<: {x: 5, w: 6}}":                               `{"a":{"x":1},"b":{"x":1,"w":6}}`,
		"a: &a 1\nb: *a\nc: &a 2\nd: *a":                                            `{"a":1,"b":1,"c":2,"d":2}`,
		"a: !!str 5\nb: !custom {x: 1}":                                             `{"a":"5","b":{"x":1}}`,
		"a: >\n  folded\n  text\nb: |-\n  kept\n":                                   `{"a":"folded text\n","b":"kept"}`,
		"a: 0x1F\nb: 1_000\nc: .5\nd: +1\ne: 1e3\nf: -0\ng: .inf\nh: .NaN\n":        `{"a":31,"b":1000,"c":0.5,"d":1,"e":1e3,"f":-0,"g":".inf","h":".NaN"}`,
		"a: !!str 0123\nb: !!str 'x'\nc: !!str true\nd: !!str |\n  y\ne: !!int 5\n": `{"a":"0123","b":"x","c":"true","d":"y\n","e":5}`,
		"? x\n: y\n? \"z w\"\n: v\n? |\n  block\n: u\n? alone\n":                    `{"x":"y","z w":"v","block\n":"u","alone":null}`,
		"!!str 5: x\n&a k: 1\nb: *a\nc: &d e\n*d : 2\n":                             `{"5":"x","k":1,"b":"k","c":"e","e":2}`,
	} {
		d, err := yamldoc.Parse("f.yaml", []byte(text))
		if assert.NoError(t, err, text) {
			assert.Equal(t, want, d.Value().JSON(), text)
		}
	}
}

// TestKeysThatAreNoTexts checks keys that have no value in JSON.
func TestKeysThatAreNoTexts(t *testing.T) {
	for text, want := range map[string]string{
		"a: &m {x: 1}\n*m : 2\n": "f.yaml:1:7: a key must be a text",
		"a: 1\n*none : 2\n":      `f.yaml:2:1: the anchor "none" is not defined before this`,
		"a: &m *m\n*m : 2\n":     "",
		"&a *a : 1\n":            "",
		"a: &m {*m : 2}\n":       "",
		"? x\n: 1\n? x\n: 2\n":   `f.yaml:3:1: the key "x" is written twice: it is in line 1 already`,
	} {
		_, err := yamldoc.Parse("f.yaml", []byte(text))
		if assert.Error(t, err, text) && want != "" {
			assert.EqualError(t, err, want, text)
		}
	}
}
