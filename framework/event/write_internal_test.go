package event

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// FuzzCompact checks that copying the text of a compact container writes the same as visiting its values.
func FuzzCompact(f *testing.F) {
	for _, text := range []string{
		`{}`, `[]`, `{"a":1}`, `{"a": 1}`, `{"a":1 }`, `{ "a":1}`, `[1,[2,{"b":null}],"x",true]`, `[1,[2, 3]]`, `{"a":{"b":[ ]}}`, `{"a":1,"a":2}`,
		`{"a":{"b":1,"b":2},"c":3}`, `{"a":"\u0041"}`, `{"\u0061":1}`, `{"a":"x\/y"}`, "{\"a\":\"\xff\"}", "[\n1\n]", `{"é":"ü","":[{},[]]}`, `[-0.50,1e5]`, `"x"`,
		`{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":1,"k":2,"l":3,"m":4,"n":5,"o":6,"p":7,"q":8,"r":9,"s":1,"t":2,"u":3,"v":4,"w":5,"x":6,"y":7}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := ParseString(text)
		if err != nil {
			return
		}
		want := string(v.appendJSON(nil, visitAll))
		assert.Equal(t, want, v.JSON())
		if v.Kind() < Array {
			return
		}
		nodes, err := fullScan(v.doc().text)
		assert.NoError(t, err)
		full := &document{text: v.doc().text, outline: &outline{longNodes: nodes}}
		assert.Equal(t, want, full.valueOf(full.root()).JSON(), "with an index of nodes")
	})
}

func TestWhatIsCompact(t *testing.T) {
	for text, want := range map[string]bool{
		`{}`: true, `[]`: true, `{"a":[1,-2.50,"é",{"b":null}],"c":{"d":false}}`: true, ` [1] `: true,
		`{ }`: false, `[1, 2]`: false, `{"a" :1}`: false, `{"a":1,"a":1}`: false, `{"a":[{"b":1,"b":2}]}`: false, `["\u0041"]`: false, `{"\n":1}`: false,
		"{\"a\":[1\n]}": false,
	} {
		v := MustParse(text)
		assert.Equal(t, want, v.doc().isCompact(v.node()), text)
	}
}
