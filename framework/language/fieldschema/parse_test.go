package fieldschema_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

// messagesOf returns the pointer and message of each problem.
func messagesOf(problems fault.Problems) (lines []string) {
	for _, p := range problems {
		lines = append(lines, p.Pointer+" "+p.Message)
	}
	return lines
}

func TestParseFieldsNamesTheInnermostMistake(t *testing.T) {
	for text, want := range map[string]string{
		`[]`:   " should be an object of fields but is an array",
		`null`: " should be an object of fields but is null",
		`{"a":{"type":"object","properties":[]}}`:                 "/a/properties should be an object of fields but is an array",
		`{"a":{"type":"object","properties":{"b/c":{"type":5}}}}`: `/a/properties/b~1c/type unknown type "": the types are string, text, number, integer, datetime, boolean, password, object`,
		`{"a":{"type":"string","maximum":true}}`:                  "/a/maximum should be a number but is a boolean",
		`{"a":{"type":"string","allowNull":1}}`:                   "/a/allowNull should be true or false but is a number",
		`{"a":{"type":"string","openChoices":"no"}}`:              "/a/openChoices should be true or false but is a string",
		`{"a":{"type":"object","additionalProperties":{}}}`:       "/a/additionalProperties should be true or false but is an object",
		`{"a":{"type":"string","required":"yes"}}`:                "/a/required should be true, false or conditions but is a string",
		`{"a":{}}`: `/a/type unknown type "": the types are string, text, number, integer, datetime, boolean, password, object`,
	} {
		_, err := fieldschema.ParseFields(event.MustParse(text))
		assert.Equal(t, []string{want}, messagesOf(fault.ProblemsOf(err)), text)
	}
}

func TestParseFieldsReadsEveryKey(t *testing.T) {
	fields, err := fieldschema.ParseFields(event.MustParse(`{
		"plain": {"type": "string"},
		"full": {"type": "number", "label": "Full", "description": "D", "multiple": true, "allowNull": true, "openChoices": true, "minimum": 1, "maximum": 9, "default": 5, "required": true,
			"choices": [1, {"label": "Two", "value": 2}]},
		"o": {"type": "object", "additionalProperties": true, "required": false, "properties": {"x": {"type": "text", "format": "uri"}}},
		"free": {"type": "object", "required": null},
		"c": {"type": "string", "required": {"match": "any", "conditions": [{"fieldKey": "plain", "operator": "is_not", "value": "v"}, {"type": "syncMode", "operator": "is", "value": "add"}]}}}`))
	require.NoError(t, err)
	assert.Equal(t, []string{"plain", "full", "o", "free", "c"}, fields.Keys())
	plain, full, o, c := fields.Get("plain"), fields.Get("full"), fields.Get("o"), fields.Get("c")
	assert.Equal(t, "plain", plain.Label, "the key is the label of a field without one")
	assert.False(t, plain.Multiple || plain.AllowNull || plain.OpenChoices || plain.AdditionalProperties || plain.Required.Always || plain.Minimum.Exists() || plain.Maximum.Exists() || plain.Default.Exists())
	assert.Equal(t, []string{"Full", "D", "1", "9", "5"}, []string{full.Label, full.Description, full.Minimum.JSON(), full.Maximum.JSON(), full.Default.JSON()})
	assert.True(t, full.Multiple && full.AllowNull && full.OpenChoices && full.Required.Always)
	assert.Equal(t, []string{"1", "1", "Two", "2"}, []string{full.Choices[0].Label, full.Choices[0].Value.JSON(), full.Choices[1].Label, full.Choices[1].Value.JSON()})
	assert.True(t, o.AdditionalProperties && !o.Required.Always && o.Properties.Get("x").Format == "uri")
	assert.Nil(t, fields.Get("free").Properties, "an object without properties takes any keys")
	assert.True(t, c.Required.Any && !c.Required.Always)
	assert.Equal(t, "plain", c.Required.Conditions[0].FieldKey)
	assert.True(t, c.Required.Conditions[0].Not)
	assert.Equal(t, fieldschema.SyncModeKey, c.Required.Conditions[1].FieldKey)
	assert.False(t, c.Required.Conditions[1].Not)
	assert.Nil(t, fields.Get("missing"))
}

func TestFindSelectsProperties(t *testing.T) {
	fields, err := fieldschema.ParseFields(event.MustParse(`{"a.b":{"type":"string"},"a":{"type":"object","properties":{"b":{"type":"number"},"c":{"type":"object","properties":{"d":{"type":"boolean"}}}}},"s":{"type":"string"}}`))
	require.NoError(t, err)
	for key, want := range map[string]fieldschema.Type{"a.b": fieldschema.String, "a.c": fieldschema.Object, "a.c.d": fieldschema.Boolean, "a": fieldschema.Object, "s": fieldschema.String} {
		if f := fields.Find(key); assert.NotNil(t, f, key) {
			assert.Equal(t, want, f.Type, key)
		}
	}
	for _, key := range []string{"", "b", "s.x", "a.x", "a.c.x", "x.y", "a.", ".a"} {
		assert.Nil(t, fields.Find(key), key)
	}
}

func TestCheckFindsConditionsThatAreNeverMet(t *testing.T) {
	condition := func(key string) string {
		return `{"plan":{"type":"string"},"o":{"type":"object","properties":{"x":{"type":"string"}}},"r":{"type":"string","required":{"conditions":[{"fieldKey":"plan","operator":"is"},` + key + `]}}}`
	}
	for key, want := range map[string]string{
		`{"fieldKey":"o.x","operator":"is"}`:                     "",
		`{"fieldKey":"o","operator":"is"}`:                       "",
		`{"type":"syncMode","operator":"is","value":"add"}`:      "",
		`{"fieldKey":"plam","operator":"is"}`:                    `/r/required condition 2 is on the field "plam", which does not exist (did you mean "plan"?)`,
		`{"fieldKey":"somewhere.else.entirely","operator":"is"}`: `/r/required condition 2 is on the field "somewhere.else.entirely", which does not exist`,
	} {
		fields, err := fieldschema.ParseFields(event.MustParse(condition(key)))
		require.NoError(t, err)
		var wants []string
		if want != "" {
			wants = []string{want}
		}
		assert.Equal(t, wants, messagesOf(fields.Check()), key)
	}
}

// TestTypesThatAreTexts checks which types take only strings, and that a type that does not exist counts as a text.
func TestTypesThatAreTexts(t *testing.T) {
	for _, entry := range fieldschema.Types() {
		name := fieldschema.Type(entry.Name)
		assert.Equal(t, name == fieldschema.String || name == fieldschema.Text || name == fieldschema.Password, name.IsText(), entry.Name)
	}
	assert.True(t, fieldschema.Type("none").IsText())
}
