package yamldoc_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/language/yamldoc"
)

func TestTagsDecideTheType(t *testing.T) {
	for text, want := range map[string]string{
		"!!str 5": `"5"`, "!!str 0123": `"0123"`, "!!str true": `"true"`, "!!str ~": `"~"`, "!!str": `""`, "!!str .nan": `".nan"`, "!!str '5'": `"5"`,
		`!!int "5"`: "5", `!!int "0o17"`: "15", `!!float "1.5"`: "1.5", "!!float 3": "3", `!!bool "true"`: "true", "!!bool False": "false", `!!null ""`: "null",
		"!!map {a: 1}": `{"a":1}`, "!!seq [1]": "[1]", "!!timestamp 2026-01-02": `"2026-01-02"`, "!custom 5": "5", "!!set {a: }": `{"a":null}`,
	} {
		d, err := yamldoc.Parse("f.yaml", []byte("a: "+text+"\n"))
		if assert.NoError(t, err, text) {
			assert.Equal(t, want, d.Value().Get("a").JSON(), text)
		}
	}
	for text, want := range map[string]string{
		`!!int "abc"`: "f.yaml:1:4: !!int is before a string", `!!bool "yes"`: "f.yaml:1:4: !!bool is before a string",
		"!!float .nan":      "f.yaml:1:4: !!float is before a string",
		"!!binary aGVsbG8=": "f.yaml:1:4: !!binary cannot be represented in JSON: write the text itself",
	} {
		_, err := yamldoc.Parse("f.yaml", []byte("a: "+text+"\n"))
		assert.EqualError(t, err, want, text)
	}
}

func TestMergeKeysAddObjectsOnly(t *testing.T) {
	for text, want := range map[string]string{
		"v: {<<: {a: 1}, <<: {a: 2, b: 2}}":                     `{"v":{"a":1,"b":2}}`,
		"x: &x {a: 1}\ny: &y {<<: *x, b: 2}\nv: {<<: *y, a: 3}": `{"x":{"a":1},"y":{"b":2,"a":1},"v":{"a":3,"b":2}}`,
		"%YAML 1.2\n---\na: 1":                                  `{"a":1}`,
	} {
		d, err := yamldoc.Parse("f.yaml", []byte(text))
		require.NoError(t, err, text)
		assert.Equal(t, want, d.Value().JSON(), text)
	}
	const neither = "<< adds the keys of an object, or of a list of objects: this is neither"
	for text, want := range map[string]string{
		"v: {<<: text}": "f.yaml:1:9: " + neither, "v: {<<: null}": "f.yaml:1:9: " + neither, "v: {<<: [1]}": "f.yaml:1:10: " + neither,
		"v: {<<: [[{a: 1}]]}": "f.yaml:1:10: " + neither, "b: &b 5\nv: {<<: *b}": "f.yaml:1:7: " + neither,
		"v: {<<: *b}":          `f.yaml:1:9: the anchor "b" is not defined before this`,
		"a: &a [*a]":           `f.yaml:1:8: the value of the anchor "a" contains itself here`,
		"a: &a {b: {c: *a}}":   `f.yaml:1:15: the value of the anchor "a" contains itself here`,
		"a: &a {b: {<<: *a}}":  `f.yaml:1:16: the value of the anchor "a" contains itself here`,
		"v: {<<: &x {<<: *x}}": `f.yaml:1:17: the value of the anchor "x" contains itself here`,
		"a: &a\n  <<: *a\n":    `f.yaml:2:7: the value of the anchor "a" contains itself here`,
	} {
		_, err := yamldoc.Parse("f.yaml", []byte(text))
		assert.EqualError(t, err, want, text)
	}
}

// TestMergesAreBounded checks that the entries of merged objects count each time that they are merged: objects that are merged again and
// again must not cost much time.
func TestMergesAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("a: &a {")
	for i := range 2000 {
		fmt.Fprintf(&b, "k%d: 1, ", i)
	}
	b.WriteString("z: 1}\nb: &b {<<: [" + strings.Repeat("*a, ", 90) + "*a]}\n")
	d, err := yamldoc.Parse("f.yaml", []byte(b.String()))
	require.NoError(t, err)
	assert.Equal(t, 2001, d.Value().Get("b").Len())
	_, err = yamldoc.Parse("f.yaml", []byte(b.String()+"c: {<<: [*b, *b, *b]}\n"))
	assert.ErrorContains(t, err, "contains more than 200000 values")
}
