package yamldoc_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
)

func TestWrite(t *testing.T) {
	v := event.MustParse(`{"name":"Acme CRM","on":"yes","n":1.50,"none":null,"empty":{},"list":[],"words":["a","b, c","1e3"],
		"fields":{"id":{"label":"ID: the first","default":{"@path":"$.userId"}}},"steps":[{"a":1,"b":[[1,{"c":2}],[]]},"x"],"query":"type = \"identify\" and a != 'b'"}`)
	const want = `name: Acme CRM
"on": "yes"
"n": 1.50
none: null
empty: {}
list: []
words:
  - a
  - "b, c"
  - "1e3"
fields:
  id:
    label: "ID: the first"
    default: {"@path": $.userId}
steps:
  - a: 1
    b:
      - - 1
        - {c: 2}
      - []
  - x
query: type = "identify" and a != 'b'
`
	got := string(yamldoc.Write(v))
	doc, err := yamldoc.Parse("w.yaml", []byte(got))
	require.NoError(t, err, got)
	assert.True(t, event.Equal(v, doc.Value()), got)
	assert.Equal(t, want, got)
}

// FuzzWrite checks that Parse returns the value that was written.
func FuzzWrite(f *testing.F) {
	for _, text := range []string{
		`{"a":"1e3","b":"~","c":"line\n\nbreak\n","d":" lead","g":"- x: #","i":"\t","<<":1,"*a":"&b","":"","?":":","o":"!x","p":"a\u0000\u2028\ufeff\ud83d\ude00"}`,
		`{"i<<":1,"a b":"c <d"}`, `[[[]],[{}],{"a":[{"b":[1,[2]]}]}]`, `"x"`, `-0`, `{"a":{"b":{"c":{"d":"e"}}}}`, `{"k":["a b","c d",{"x":null}]}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := event.ParseString(text)
		if err != nil || len(text) > 1<<12 || !utf8.ValidString(text) {
			return
		}
		written := yamldoc.Write(v)
		doc, err := yamldoc.Parse("w.yaml", written)
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, text, written)
		}
		if !event.Equal(doc.Value(), v) {
			t.Fatalf("%s\n%s\n%s", text, written, doc.Value().JSON())
		}
	})
}

// TestWriteKeepsLinesShort checks that a nested list that is too long for one line has a line for each item.
func TestWriteKeepsLinesShort(t *testing.T) {
	item := func(n int) string { return strings.Repeat("x", n) }
	write := func(last int) string {
		return string(yamldoc.Write(event.MustParse(`[[["` + item(36) + `","` + item(last) + `"]]]`)))
	}
	assert.Equal(t, 1, strings.Count(write(40), "\n"), write(40))
	assert.Equal(t, 2, strings.Count(write(41), "\n"), write(41))
}
