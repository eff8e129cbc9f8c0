package yamldoc_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
)

func TestScalarsAreReplacedWhereTheyStand(t *testing.T) {
	for _, c := range []struct{ text, to, want string }{
		{"a: {b: one, c: [two, 3]} # x\n", `{"a":{"b":"uno","c":["two",4]}}`, "a: {b: uno, c: [two, 4]} # x\n"},
		{"ä: {ö: \"one\", c: 'it''s'}\r\nd: 5\r\n", `{"ä":{"ö":"1","c":"[x]"},"d":5}`, "ä: {ö: \"1\", c: \"[x]\"}\r\nd: 5\r\n"},
		{`{"a": "b", "c": ["d"]}`, `{"a":"x","c":["y"]}`, `{"a": "x", "c": ["y"]}`},
		{"a: one # one\nb: one\n", `{"a":"one","b":"two"}`, "a: one # one\nb: two\n"},
		{"a: &x one\nb: *x\n", `{"a":"two","b":"one"}`, "a: two\nb: one\n"},
		{"a: |\n  one\n  two\nb: 1\n", `{"a":"three","b":1}`, "a: three\nb: 1\n"},
		{"a: one\n", `{"a":"one","b":2}`, "a: one\nb: 2\n"},
	} {
		edited, err := yamldoc.EditScalars("f.yaml", []byte(c.text), event.MustParse(c.to))
		require.NoError(t, err)
		assert.Equal(t, c.want, string(edited))
		doc, err := yamldoc.Parse("f.yaml", edited)
		require.NoError(t, err)
		assert.Equal(t, c.to, doc.Value().JSON())
	}
	_, err := yamldoc.EditScalars("f.yaml", []byte("a: ["), event.MustParse(`{}`))
	assert.Error(t, err)
}
