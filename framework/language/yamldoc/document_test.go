package yamldoc_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
)

func TestParse(t *testing.T) {
	cases := map[string]string{
		"":                                      `null`,
		"a: 1":                                  `{"a":1}`,
		"a: {\"@path\": $.userId}":              `{"a":{"@path":"$.userId"}}`,
		"[1, 1.50, 0x1f, 1e3, -2]":              `[1,1.50,31,1e3,-2]`,
		"[12345678901234567890123]":             `[12345678901234567890123]`,
		"[true, no, yes, ~, null, '']":          `[true,"no","yes",null,null,""]`,
		"['1', \"2\"]":                          `["1","2"]`,
		"a: |\n  x\n  y\n":                      `{"a":"x\ny\n"}`,
		"a: &k {x: 1}\nb: *k":                   `{"a":{"x":1},"b":{"x":1}}`,
		"a: &k {x: 1, y: 2}\nb: {<<: *k, x: 3}": `{"a":{"x":1,"y":2},"b":{"x":3,"y":2}}`,
		"q: event = \"A\" or event = \"B\"":     `{"q":"event = \"A\" or event = \"B\""}`,
		`{"a": "\ud83d\ude00\/", "b": 1.0}`:     `{"a":"😀/","b":1.0}`,
		"1: x\ntrue: y":                         `{"1":"x","true":"y"}`,
	}
	for text, want := range cases {
		d, err := yamldoc.Parse("f.yaml", []byte(text))
		require.NoError(t, err, text)
		assert.Equal(t, want, d.Value().JSON(), text)
	}
}

// TestReadOfDuplicateKeys checks what a document with duplicate keys has for further checks: what is written under either of the keys, each at its place.
func TestReadOfDuplicateKeys(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1\na: 2\nb: 3": `{"a":1,"b":3}`,
		"a: {x: 1}\na:\n  y: 2\na: {x: 5, z: {q: 1}}": `{"a":{"x":1,"y":2,"z":{"q":1}}}`,
		"a: [1]\na: [2, {x: 1}]":                      `{"a":[1,2,{"x":1}]}`,
		"a: [1]\na: {x: 1}":                           `{"a":[1]}`,
		"a: {x: 1}\na: [1]":                           `{"a":{"x":1}}`,
		"b: &m {x: 1}\na: {y: 1}\na: {<<: *m}":        `{"b":{"x":1},"a":{"y":1}}`,
	} {
		d, problems := yamldoc.Read("f.yaml", []byte(text))
		require.NotNil(t, d, text)
		assert.Equal(t, want, d.Value().JSON(), text)
		for _, p := range problems {
			assert.Contains(t, p.Message, `the key "a" is written twice`)
		}
		_, err := yamldoc.Parse("f.yaml", []byte(text))
		assert.Equal(t, error(problems), err)
	}
	d, _ := yamldoc.Read("f.yaml", []byte("a:\n  - {x: 1}\nb: 1\na:\n  - y: 1\n    x: 2"))
	line, column := d.Position("/a/1/x")
	assert.Equal(t, []int{6, 8}, []int{line, column})
	var many strings.Builder
	for i := range 150 {
		fmt.Fprintf(&many, "a: {x%d: 1}\n", i)
	}
	joined, problems := yamldoc.Read("f.yaml", []byte(many.String()))
	assert.Equal(t, 101, joined.Value().Get("a").Len(), "the first value, and those of a hundred more")
	assert.Len(t, problems, 149)
	for _, text := range []string{"b: *c\na: 1\na: 2", "a: [", "a: 1\na: 2\n---\nb: 1", "{a: 1, a: 2, [1]: 2}"} {
		d, problems := yamldoc.Read("f.yaml", []byte(text))
		assert.Nil(t, d, text)
		assert.NotEmpty(t, problems)
	}
}

func TestParseReportsPositions(t *testing.T) {
	cases := map[string]string{
		"a: 1\nb: 2\na: 3": `f.yaml:3:1: the key "a" is written twice: it is in line 1 already`,
		"a: [1\nb: 2":      `f.yaml:2:1: does not belong into the [ that begins in line 1, column 4: a comma between two entries or the closing ] is missing`,
		"a: *nope":         `f.yaml:1:4: the anchor "nope" is not defined before this`,
		"a: 1\n---\nb: 1":  `f.yaml:2:1: contains more than one document: write what follows the --- into a file of its own`,
	}
	for text, want := range cases {
		_, err := yamldoc.Parse("f.yaml", []byte(text))
		assert.EqualError(t, err, want, text)
	}
	_, err := yamldoc.Parse("f.yaml", []byte(strings.Repeat("x", yamldoc.MaxBytes+1)))
	assert.EqualError(t, err, "f.yaml: the text is larger than 1 MB")
	_, err = yamldoc.Parse("f.yaml", []byte(strings.Repeat("[", 300)))
	assert.EqualError(t, err, "f.yaml:1:201: is nested deeper than 200")
}

func TestAliasesAreLimited(t *testing.T) {
	text := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'h'; c++ {
		text += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+", ", 9) + "*" + string(c-1) + "]\n"
	}
	_, err := yamldoc.Parse("f.yaml", []byte(text))
	assert.ErrorContains(t, err, "contains more than 200000 values")
}

func TestLocate(t *testing.T) {
	text := "name: x\nlist:\n  - id: a\n    mapping:\n      k: {\"@path\": 5}\n  - id: b\n"
	for _, text := range []string{text, `{"name":"x",` + "\n" + `"list":[{"id":"a","mapping":{"k":{"@path":5}}},{"id":"b"}]}`} {
		d, err := yamldoc.Parse("f.yaml", []byte(text))
		require.NoError(t, err)
		located := d.Locate(fault.Problems{
			{Pointer: "/list/1/missing/deep", Message: "should be there"},
			{Pointer: "/list/0/mapping/k/@path", Message: "should be a string"},
			{Pointer: "/nowhere", Message: "m"},
		})
		require.Len(t, located, 3)
		assert.Equal(t, "/nowhere", located[0].Pointer)
		assert.Equal(t, "/list/0/mapping/k/@path", located[1].Pointer)
		line, column := d.Position("/list/0/mapping/k/@path")
		assert.Equal(t, []int{line, column}, []int{located[1].Line, located[1].Column})
		assert.Greater(t, column, 10)
		line, _ = d.KeyPosition("/list")
		assert.Equal(t, 2, line)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a: 1", "a: &x [1]\nb: *x", `{"a":[1,"\u00e9",null]}`, "- |\n  x", "a: {<<: {b: 1}}", "? x\n: y", "!!str 5", "a: 'x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := yamldoc.Parse("f.yaml", []byte(text))
		v, jsonErr := event.ParseString(text)
		if err != nil {
			for _, p := range fault.ProblemsOf(err) {
				assert.NotEmpty(t, p.Message)
			}
			return
		}
		if jsonErr == nil {
			assert.True(t, event.Equal(v, d.Value()), "JSON reads differently: %s", d.Value().JSON())
		}
		again, err := event.ParseString(d.Value().JSON())
		require.NoError(t, err, "the value is no JSON: %s", d.Value().JSON())
		assert.True(t, event.Equal(again, d.Value()))
	})
}
