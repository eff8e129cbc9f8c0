package fieldschema_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/event"
)

// TestCleanDropsWhatCountsAsMissing checks values that a field does not take, in all places where a value can stand.
func TestCleanDropsWhatCountsAsMissing(t *testing.T) {
	for _, c := range []struct{ name, fields, payload, want string }{
		{"null in a list, also if null is allowed", `{"l":{"type":"string","multiple":true,"allowNull":true}}`, `{"l":["a",null,"b"]}`, `{"l":["a","b"]}`},
		{"null for a list, also if null is allowed", `{"l":{"type":"string","multiple":true,"allowNull":true}}`, `{"l":null}`, `{}`},
		{"an empty text in a list of texts stays", `{"l":{"type":"string","multiple":true}}`, `{"l":["","b"]}`, `{"l":["","b"]}`},
		{"an empty text in a list of numbers", `{"l":{"type":"number","multiple":true}}`, `{"l":["",1]}`, `{"l":[1]}`},
		{"an empty text for a list at the root", `{"l":{"type":"string","multiple":true}}`, `{"l":""}`, `{}`},
		{"an empty text for a list below the root", `{"o":{"type":"object","properties":{"l":{"type":"string","multiple":true},"s":{"type":"string"}}}}`, `{"o":{"l":"","s":""}}`, `{"o":{"s":""}}`},
		{"an empty text for a number below the root", `{"o":{"type":"object","properties":{"n":{"type":"number"},"b":{"type":"boolean"},"s":{"type":"text"}}}}`, `{"o":{"n":"","b":"","s":""}}`, `{"o":{"s":""}}`},
		{"null below the root", `{"o":{"type":"object","properties":{"n":{"type":"number"},"s":{"type":"string","allowNull":true}}}}`, `{"o":{"n":null,"s":null}}`, `{"o":{"s":null}}`},
		{"an unknown key below the root", `{"o":{"type":"object","properties":{"s":{"type":"string"}}}}`, `{"o":{"s":"x","z":{"y":1}}}`, `{"o":{"s":"x"}}`},
		{"additional properties stay as they are", `{"o":{"type":"object","additionalProperties":true,"properties":{"s":{"type":"string"}}}}`, `{"o":{"z":null,"s":null,"y":""}}`, `{"o":{"z":null,"y":""}}`},
		{"unknown keys of objects in a list", `{"l":{"type":"object","multiple":true,"properties":{"s":{"type":"string"}}}}`, `{"l":[{"s":"x","z":1},{"s":"y"}]}`, `{"l":[{"s":"x"},{"s":"y"}]}`},
		{"unknown keys of a single object for a list", `{"l":{"type":"object","multiple":true,"properties":{"s":{"type":"string"}}}}`, `{"l":{"s":"x","z":1}}`, `{"l":[{"s":"x"}]}`},
		{"a list of one in a scalar field", `{"s":{"type":"string"},"o":{"type":"object"}}`, `{"s":["x"]}`, `{"s":"x"}`},
		{"a list of one empty text in a scalar field", `{"s":{"type":"string"}}`, `{"s":[""]}`, `{}`},
		{"what comes before and after a dropped key stays in order", `{"a":{"type":"string"},"b":{"type":"string"},"c":{"type":"string"},"d":{"type":"string"}}`, `{"a":"1","b":"2","x":0,"c":"","d":"4"}`, `{"a":"1","b":"2","d":"4"}`},
	} {
		t.Run(c.name, func(t *testing.T) { assertProcess(t, c.fields, c.payload, c.want) })
	}
}

// TestListsThatDoNotFit checks lists where a field does not take them.
func TestListsThatDoNotFit(t *testing.T) {
	assertProcess(t, `{"s":{"type":"string"}}`, `{"s":["x","y"]}`, "")
	assertProcess(t, `{"s":{"type":"string"}}`, `{"s":[]}`, "")
	assertProcess(t, `{"o":{"type":"object"}}`, `{"o":[{"a":1}]}`, "")
	assertProcess(t, `{"o":{"type":"object","properties":{"a":{"type":"number"}}}}`, `{"o":[{"a":1}]}`, "")
	assertProcess(t, `{"l":{"type":"object","multiple":true,"properties":{"a":{"type":"number"}}}}`, `{"l":[{"a":1},"x"]}`, "")
	assertProcess(t, `{"l":{"type":"number","multiple":true}}`, `{"l":[[1,2]]}`, "")
	assertProcess(t, `{"l":{"type":"number","multiple":true}}`, `{"l":[[]]}`, "")
	assertProcess(t, `{"o":{"type":"object","properties":{"d":{"type":"datetime"}}}}`, `{"o":{"d":""}}`, "")
}

// TestCoerceInside checks that values inside lists and objects are converted, and that the keys around them stay.
func TestCoerceInside(t *testing.T) {
	assertProcess(t, `{"l":{"type":"number","multiple":true}}`, `{"l":["1",2,["3"]]}`, `{"l":[1,2,3]}`)
	assertProcess(t, `{"l":{"type":"string","multiple":true}}`, `{"l":[1,"2",true]}`, `{"l":["1","2","true"]}`)
	assertProcess(t, `{"o":{"type":"object","additionalProperties":true,"properties":{"n":{"type":"number"}}}}`, `{"o":{"m":"1","n":"2","k":"3"}}`, `{"o":{"m":"1","n":2,"k":"3"}}`)
	assertProcess(t, `{"l":{"type":"object","multiple":true,"properties":{"n":{"type":"integer"}}}}`, `{"l":[{"n":1},{"n":"2"}]}`, `{"l":[{"n":1},{"n":2}]}`)
	assertProcess(t, `{"o":{"type":"object"}}`, `{"o":{"n":"2"}}`, `{"o":{"n":"2"}}`)
}

// TestUnchangedPayloadsAreReturnedThemselves checks that cleaning and coercing copy nothing if they change nothing.
func TestUnchangedPayloadsAreReturnedThemselves(t *testing.T) {
	s := compile(t, `{"a":{"type":"string"},"l":{"type":"number","multiple":true},"o":{"type":"object","properties":{"x":{"type":"number"}}},"p":{"type":"object","multiple":true,"properties":{"x":{"type":"number"}}}}`)
	for _, text := range []string{`{}`, `{"a":"x","l":[1,2],"o":{"x":1},"p":[{"x":1}]}`, `{"l":[]}`, `"text"`, `[1]`, `null`} {
		payload := event.MustParse(text)
		assert.True(t, s.Clean(payload) == payload, text)
		assert.True(t, s.Coerce(payload) == payload, text)
	}
	for _, text := range []string{`"text"`, `[1]`, `null`, `5`} {
		_, err := s.Process(event.MustParse(text))
		assert.ErrorContains(t, err, "the payload should be an object but is", text)
	}
}

// TestChoicesOfEachKind checks that a value must equal a choice after it was converted, and that null need not be a choice.
func TestChoicesOfEachKind(t *testing.T) {
	const fields = `{"n":{"type":"number","choices":[1,{"label":"Two","value":2}],"allowNull":true},"l":{"type":"string","multiple":true,"choices":["a","b"]}}`
	assertProcess(t, fields, `{"n":"2","l":["b","a"]}`, `{"n":2,"l":["b","a"]}`)
	assertProcess(t, fields, `{"n":1.0}`, `{"n":1.0}`)
	assertProcess(t, fields, `{"n":null}`, `{"n":null}`)
	assertProcess(t, fields, `{"n":3}`, "")
	assertProcess(t, fields, `{"l":["a","c"]}`, "")
	assertProcess(t, fields, `{"l":"c"}`, "")
}
