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
		index, ascii := swift(text)
		if err != nil {
			assert.Nil(t, index, "%q: %v", text, err)
			return
		}
		assert.Equal(t, s.index, index, "%q", text)
		if ascii {
			assert.False(t, strings.ContainsFunc(text, func(r rune) bool { return r > 0x7f }), "%q", text)
		}
	})
}
