package event

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzFastScan compares the fast scanner with the full one: it builds the same index, and it accepts every valid text that fits.
func FuzzFastScan(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,{"b":"\u00e9\\"}],"a":null}`, `[1e5,-0.1,true,false,null,0,-0,01,-]`, ` {"" : { } , "x" : [ ] } `, `{"k":"1234567\"890"}`,
		`{"a":"é 1234567890","b":[[[[]]],{}]}`, `[1,]`, `{"a":1,}`, `{"a"}`, `[}`, `{]`, "[\"a\nb\"]", `"\u12`, `tru`, `1.`, `1e`, `[1 2]`, `{} {}`,
		strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth), strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := scanner{text: text}
		err := s.scanText()
		got, ascii := (&fastScanner{known: &outlines{}}).scanText(text)
		if err != nil {
			assert.Nil(t, got, "%q: %v", text, err)
			return
		}
		if got == nil {
			assert.True(t, exceedsShortNodes(s.index), "%q", text)
			return
		}
		want := &document{text: text, outline: &outline{longNodes: s.index}}
		assertSameNode(t, want, got, want.root(), got.root())
		if ascii {
			assert.False(t, strings.ContainsFunc(text, func(r rune) bool { return r > 0x7f }), "%q", text)
		}
	})
}

// exceedsShortNodes reports whether a node of an index does not fit into a shortNode.
func exceedsShortNodes(index []node) bool {
	for _, n := range index {
		if n.kind() != Absent && n.length() > maxShortLength || n.end() > maxShort {
			return true
		}
	}
	return false
}

// assertSameNode checks that two nodes of the index of the same text say the same, with all that they contain. Containers may be at other positions.
func assertSameNode(t *testing.T, want, got *document, w, g node) {
	if w.kind() < Array {
		require.Equal(t, w, g, "%q", want.text)
		return
	}
	require.Equal(t, w.kind(), g.kind(), "%q", want.text)
	require.Equal(t, w.length(), g.length(), "%q", want.text)
	require.Equal(t, want.textNode(w), got.textNode(g), "%q", want.text)
	from, to := contentRange(w)
	for i := range to - from {
		assertSameNode(t, want, got, want.node(from+i), got.node(g.start()+i))
	}
}

// TestTextsTooLongForTheFastScan reads texts at and beyond the limits of the fast scanner.
func TestTextsTooLongForTheFastScan(t *testing.T) {
	for _, n := range []int{maxShortLength - 3, maxShortLength - 2, maxShortLength - 1, maxShort - 20, maxShort, 1 << 20} {
		long := strings.Repeat("x", n)
		v := MustParse(`{"a":"` + long + `","` + long + `":[1,{"b":2}]}`)
		assert.Equal(t, long, v.Get("a").Str())
		assert.Equal(t, "2", v.Get(long).Index(1).Get("b").Digits())
		assert.Equal(t, Value{}, v.Get(long+"x"))
		many := MustParse("[" + strings.Repeat("0,", n) + "7]")
		assert.Equal(t, n+1, many.Len())
		assert.Equal(t, "7", many.Index(n).Digits())
		assert.Equal(t, 2*n+3, len(many.JSON()))
	}
}
