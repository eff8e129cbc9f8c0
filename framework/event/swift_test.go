package event

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// FuzzSwift holds the fast way of reading a text against the scanner: what it takes, it indexes alike; what is valid, it takes.
func FuzzSwift(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,{"b":"\u00e9\\"}],"a":null}`, `[1e5,-0.1,true,false,null,0,-0,01,-]`, ` {"" : { } , "x" : [ ] } `, `{"k":"1234567\"890"}`,
		`{"a":"é 1234567890","b":[[[[]]],{}]}`, `[1,]`, `{"a":1,}`, `{"a"}`, `[}`, `{]`, "[\"a\nb\"]", `"\u12`, `tru`, `1.`, `1e`, `[1 2]`, `{} {}`,
		strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth), strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := scanner{text: text}
		err := s.run()
		shorts, ascii := swift(text)
		if err != nil {
			assert.Nil(t, shorts, "%q: %v", text, err)
			return
		}
		if shorts == nil {
			assert.True(t, hasLong(s.index), "%q", text)
			return
		}
		want, got := &document{text: text, nodes: &s.index}, &document{text: text, shorts: shorts}
		assert.Equal(t, want.root(), got.root(), "%q", text)
		assertAlike(t, want, got, want.root())
		if ascii {
			assert.False(t, strings.ContainsFunc(text, func(r rune) bool { return r > 0x7f }), "%q", text)
		}
	})
}

// hasLong tells whether an index has what a short cannot say.
func hasLong(index []node) bool {
	for _, n := range index {
		if n.kind() != Absent && n.length() > maxShortLength || n.end() > maxShort {
			return true
		}
	}
	return false
}

// assertAlike compares all that lies in a container, which is at the same place in both.
func assertAlike(t *testing.T, want, got *document, container node) {
	if container.kind() < Array {
		return
	}
	assert.Equal(t, want.textOf(container), got.textOf(container))
	from, to := inside(container)
	for i := from; i < to; i++ {
		assert.Equal(t, want.node(i), got.node(i))
		assertAlike(t, want, got, want.node(i))
	}
}

// TestLongTexts reads what is too long for the fast way, and what is just not.
func TestLongTexts(t *testing.T) {
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
