package fieldschema_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestJSONSchemaOfEachKey checks the JSON Schema of one field, by the keys of its definition.
func TestJSONSchemaOfEachKey(t *testing.T) {
	for field, want := range map[string]string{
		`"type":"string","label":"L","description":"D","default":"x"`:                           `{"title":"L","description":"D","default":"x","type":"string"}`,
		`"type":"string","allowNull":true`:                                                      `{"title":"v","type":["string","null"]}`,
		`"type":"string","multiple":true,"allowNull":true`:                                      `{"title":"v","type":"array","items":{"type":"string"}}`,
		`"type":"password"`:                                                                     `{"title":"v","type":"string","format":"password"}`,
		`"type":"password","format":"uri"`:                                                      `{"title":"v","type":"string","format":"uri"}`,
		`"type":"datetime"`:                                                                     `{"title":"v","type":["string","number"],"format":"date-like"}`,
		`"type":"datetime","format":"date","allowNull":true`:                                    `{"title":"v","type":["string","number","null"],"format":"date-like"}`,
		`"type":"number","minimum":1.5,"maximum":2`:                                             `{"title":"v","type":"number","minimum":1.5,"maximum":2}`,
		`"type":"integer","minimum":-1`:                                                         `{"title":"v","type":"integer","minimum":-1}`,
		`"type":"string","minimum":1,"maximum":2`:                                               `{"title":"v","type":"string","minLength":1,"maxLength":2}`,
		`"type":"string","maximum":2`:                                                           `{"title":"v","type":"string","maxLength":2}`,
		`"type":"string","minimum":1.5`:                                                         `{"title":"v","type":"string"}`,
		`"type":"string","minimum":-1,"maximum":5`:                                              `{"title":"v","type":"string"}`,
		`"type":"boolean","minimum":1`:                                                          `{"title":"v","type":"boolean"}`,
		`"type":"string","choices":["a",{"label":"B","value":"b"}]`:                             `{"title":"v","type":"string","enum":["a","b"]}`,
		`"type":"string","choices":["a"],"allowNull":true`:                                      `{"title":"v","type":["string","null"],"enum":["a",null]}`,
		`"type":"string","choices":["a"],"openChoices":true`:                                    `{"title":"v","type":"string"}`,
		`"type":"object"`:                                                                       `{"title":"v","type":"object"}`,
		`"type":"object","allowNull":true,"properties":{"x":{"type":"number","required":true}}`: `{"title":"v","type":["object","null"],"properties":{"x":{"title":"x","type":"number"}},"additionalProperties":false,"required":["x"]}`,
		`"type":"object","additionalProperties":true,"properties":{"x":{"type":"number"}}`:      `{"title":"v","type":"object","properties":{"x":{"title":"x","type":"number"}},"additionalProperties":true}`,
		`"type":"object","multiple":true,"properties":{"x":{"type":"string","allowNull":true}}`: `{"title":"v","type":"array","items":{"type":"object","properties":{"x":{"title":"x","type":["string","null"]}},"additionalProperties":false}}`,
	} {
		s := compile(t, `{"v":{`+field+`}}`)
		assert.Equal(t, want, s.JSON().Get("properties").Get("v").JSON(), field)
	}
}

// TestJSONSchemaOfConditions checks the rule for each kind of condition.
func TestJSONSchemaOfConditions(t *testing.T) {
	const isX = `{"type":"object","properties":{"a":{"const":"x"}},"required":["a"]}`
	const isSet = `{"type":"object","properties":{"a":{"not":{"type":"null"}}},"required":["a"]}`
	for required, want := range map[string]string{
		`{"match":"all","conditions":[{"fieldKey":"a","operator":"is","value":"x"}]}`:     `{"allOf":[` + isX + `]}`,
		`{"match":"any","conditions":[{"fieldKey":"a","operator":"is_not","value":"x"}]}`: `{"anyOf":[{"not":` + isX + `}]}`,
		`{"conditions":[{"fieldKey":"a","operator":"is"}]}`:                               `{"allOf":[{"not":` + isSet + `}]}`,
		`{"conditions":[{"fieldKey":"a","operator":"is_not"}]}`:                           `{"allOf":[` + isSet + `]}`,
		`{"conditions":[{"fieldKey":"o.a","operator":"is","value":"x"}]}`:                 `{"allOf":[{"type":"object","properties":{"o":` + isX + `},"required":["o"]}]}`,
	} {
		s := compile(t, `{"a":{"type":"string"},"r":{"type":"string","required":`+required+`}}`)
		assert.Equal(t, `[{"if":`+want+`,"then":{"required":["r"]}}]`, s.JSON().Get("allOf").JSON(), required)
		assert.False(t, s.JSON().Get("required").Exists(), required)
	}
	s := compile(t, `{"a":{"type":"string"},"r":{"type":"string","required":true}}`)
	assert.Equal(t, `["r"]`, s.JSON().Get("required").JSON())
	assert.False(t, s.JSON().Get("allOf").Exists())
}
