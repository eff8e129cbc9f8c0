package event

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
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
		shorts, _, ascii := fastScan(text)
		if err != nil {
			assert.Nil(t, shorts, "%q: %v", text, err)
			return
		}
		if shorts == nil {
			assert.True(t, exceedsShortNodes(s.index), "%q", text)
			return
		}
		want, got := &document{text: text, outline: &outline{longNodes: s.index}}, &document{text: text, shortNodes: shorts}
		assert.Equal(t, want.root(), got.root(), "%q", text)
		assertSameContent(t, want, got, want.root())
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

// assertSameContent compares the content of a container that is at the same position of both indexes.
func assertSameContent(t *testing.T, want, got *document, container node) {
	if container.kind() < Array {
		return
	}
	assert.Equal(t, want.containerText(container), got.containerText(container))
	from, to := contentRange(container)
	for i := from; i < to; i++ {
		assert.Equal(t, want.node(i), got.node(i))
		assertSameContent(t, want, got, want.node(i))
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
