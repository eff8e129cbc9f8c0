package runtime_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/runtime"
)

const checkedFields = `{
	"key": {"label": "Key", "type": "string", "required": true},
	"alias": {"label": "Alias", "type": "object", "properties": {
		"name": {"label": "Name", "type": "string"}, "label": {"label": "Label", "type": "string", "required": true}}},
	"on": {"label": "On", "type": "boolean"},
	"mail": {"label": "Mail", "type": "string", "format": "email"},
	"plan": {"label": "Plan", "type": "string", "choices": [{"label": "Free", "value": "free"}, {"label": "Paid", "value": "paid"}]},
	"tags": {"label": "Tags", "type": "string", "multiple": true},
	"items": {"label": "Items", "type": "object", "multiple": true, "properties": {"id": {"label": "ID", "type": "integer", "required": true}}},
	"free": {"label": "Free", "type": "object"},
	"street": {"label": "Street", "type": "string", "required": {"conditions": [{"fieldKey": "plan", "operator": "is", "value": "paid"}]}}
}`

func TestMappingsForWhichEveryEventIsRefused(t *testing.T) {
	for mapping, want := range map[string][]string{
		`{}`:                        {` maps nothing to the required field Key (key), which has no default, so every event is refused`},
		`{"key":""}`:                {`/key gives no value to the required field Key (key): "", so every event is refused`},
		`{"key":null}`:              {`/key gives no value to the required field Key (key): null, so every event is refused`},
		`{"key":{"@literal":null}}`: {`/key gives no value to the required field Key (key): null, so every event is refused`},
		`{"key":{"@template":""}}`:  {`/key gives no value to the required field Key (key): "", so every event is refused`},
		`{"key":{"@expr":"\"\""}}`:  {`/key gives no value to the required field Key (key): "", so every event is refused`},
		`{"key":{"@expr":"let a = upper(\"\"); a"}}`:               {`/key gives no value to the required field Key (key): "", so every event is refused`},
		`{"key":{"@expr":"nil"}}`:                                  {`/key gives no value to the required field Key (key), so every event is refused`},
		`{"key":{"@expr":"filter([1, 2], # > 2)"}}`:                {`/key Key should be a string but is an array, so every event is refused`},
		`{"key":"k","on":{"@expr":"\"n\" + \"o\""}}`:               {`/on On should be a boolean but is the text "no", so every event is refused`},
		`{"key":{"@liquid":"{% if false %}x{% endif %}"}}`:         {`/key gives no value to the required field Key (key): "", so every event is refused`},
		`{"key":"k","plan":{"@liquid":"{{ 'GOLD' | downcase }}"}}`: {`/plan Plan should be "free", "paid" but is the text "gold", so every event is refused`},
		`{"key":{"@if":{"exists":{"@path":"$.a"},"then":{"@expr":"\"\""},"else":{"@liquid":""}}}}`: {
			`/key/@if/then gives no value to the required field Key (key): "", so every event is refused`,
			`/key/@if/else gives no value to the required field Key (key): "", so every event is refused`,
		},
		`{"key":{"@if":{"exists":{"@path":"$.a"},"then":"","else":null}}}`: {
			`/key/@if/then gives no value to the required field Key (key): "", so every event is refused`,
			`/key/@if/else gives no value to the required field Key (key): null, so every event is refused`,
		},
		`{"key":{"@path":"$.properties.["}}`:            {`/key/@path has an unpaired [ in the path "$.properties.[", so no value matches: write [0] for an item, ['a key'] for a key`},
		`{"key":{"@path":"$.a]"}}`:                      {`/key/@path has an unpaired ] in the path "$.a]", so no value matches: write [0] for an item, ['a key'] for a key`},
		`{"key":{"@arrayPath":["$.a[0",{}]}}`:           {`/key/@arrayPath/0 has an unpaired [ in the path "$.a[0", so no value matches: write [0] for an item, ['a key'] for a key`},
		`{"key":{"@template":"x {{a}} {{traits.x"}}`:    {`/key/@template has {{ without a closing }}, so it stays as text: "{{traits.x"`},
		`{"key":"k","alias":"email"}`:                   {`/alias Alias should be an object but is the text "email", so every event is refused`},
		`{"key":"k","alias":{"name":{"@path":"$.a"}}}`:  {`/alias maps nothing to the required field Label (label), which has no default, so every event is refused`},
		`{"key":"k","alias":{"name":"n","label":null}}`: {`/alias/label gives no value to the required field Label (label): null, so every event is refused`},
		`{"key":"k","alias":{"name":"n"}}`:              {`/alias maps nothing to the required field Label (label), which has no default, so every event is refused`},
		`{"key":"k","alias":[{"@path":"$.a"},1]}`:       {`/alias Alias should be an object but is an array, so every event is refused`},
		`{"key":"k","on":"nope"}`:                       {`/on On should be a boolean but is the text "nope", so every event is refused`},
		`{"key":"k","on":{"@if":{"exists":{"@path":"$.a"},"then":"x","else":"y"}}}`: {
			`/on/@if/then On should be a boolean but is the text "x", so every event is refused`,
			`/on/@if/else On should be a boolean but is the text "y", so every event is refused`,
		},
		`{"key":"k","mail":"nobody"}`:                             {`/mail Mail should be an email address but is the text "nobody", so every event is refused`},
		`{"key":"k","mail":{"a":{"@path":"$.a"}}}`:                {`/mail Mail should be a string but is an object, so every event is refused`},
		`{"key":"k","plan":"gold"}`:                               {`/plan Plan should be "free", "paid" but is the text "gold", so every event is refused`},
		`{"key":"k","tags":[{"@path":"$.a"},{"x":1}]}`:            {`/tags/1 Tags 1 should be a string but is an object, so every event is refused`},
		`{"key":"k","items":[{"id":{"@path":"$.a"}},{}]}`:         {`/items/1 maps nothing to the required field ID (id), which has no default, so every event is refused`},
		`{"key":"k","items":[{"id":{"@path":"$.a"}},{"id":"x"}]}`: {`/items/1/id Items 1 › ID should be an integer but is the text "x", so every event is refused`},
		`{"key":"k","items":[{"id":1},{"id":"x"}]}`:               {`/items/1/id Items 2 › ID should be an integer but is the text "x", so every event is refused`},
		`{"key":"k","items":{"id":"x"}}`:                          {`/items/id Items 1 › ID should be an integer but is the text "x", so every event is refused`},
		`{"key":"k","free":"text"}`:                               {`/free Free should be an object but is the text "text", so every event is refused`},
		`{"key":"k","plan":"paid"}`:                               {` maps nothing to the required field Street (street), which has no default, so every event is refused`},
		`{"key":{"@path":"$"}}`:                                   {`/key/@path Key should be a string but is an object, so every event is refused`},
		`{"key":"k","tags":{"@path":""}}`:                         {`/tags/@path Tags 1 should be a string but is an object, so every event is refused`},
		`{"key":["a","b"]}`:                                       {`/key Key should be a string but is an array, so every event is refused`},
		`{"@literal":"x"}`:                                        {` produces a string for every event, which is not a payload, so every event is refused`},
	} {
		wrong, doubtful := checkMapping(t, mapping)
		assert.Equal(t, want, wrong, mapping)
		assert.Empty(t, doubtful, mapping)
	}
}

func TestMappingsForWhichSomeEventsAreAccepted(t *testing.T) {
	for _, mapping := range []string{
		`{"key":"k"}`, `{"key":5}`, `{"key":["k"]}`, `{"key":{"@path":"$.properties.a[0]['b [']"}}`, `{"key":{"@template":"a {{b}} }} c"}}`, `{"key":{"@path":["a["]}}`,
		`{"key":{"@liquid":"{{ properties.x }}"}}`, `{"key":{"@case":{"operator":"upper","value":"x"}}}`, `{"key":{"@if":{"exists":{"@path":"$.a"},"then":"a"}}}`,
		`{"key":{"@expr":"\"k\" + \"\""}}`, `{"key":{"@expr":"now()"}}`, `{"key":{"@expr":"$env.a"}}`, `{"key":{"@expr":"text(1/0)"}}`, `{"key":{"@liquid":"{{ 'now' | date }}"}}`,
		`{"key":{"@liquid":"{% increment a %}"}}`, `{"key":{"@liquid":"{{ [\"a\"] }}"}}`,
		`{"key":"k","alias":{"name":{"@path":"$.a"},"label":{"@path":"$.b"}}}`, `{"key":"k","alias":{"@path":"$.alias"}}`, `{"key":"k","alias":null}`,
		`{"key":"k","alias":{"@if":{"exists":{"@path":"$.a"},"then":{"name":"n","label":{"@path":"$.a"}}}}}`,
		`{"key":"k","on":"true","plan":"free","mail":"a@example.com"}`, `{"key":"k","on":""}`, `{"key":"k","tags":"one"}`, `{"key":"k","tags":[{"@path":"$.a"},null]}`,
		`{"key":"k","items":{"id":{"@path":"$.a"}}}`, `{"key":"k","items":{"@arrayPath":["$.products",{"id":{"@path":"$.id"}}]}}`, `{"key":"k","free":{"any":{"@path":"$.a"}}}`,
		`{"key":"k","plan":{"@path":"$.plan"}}`, `{"key":"k","plan":"paid","street":{"@path":"$.s"}}`, `{"@merge":{"direction":"left","objects":[{"@path":"$.a"},{}]}}`, `{"key":"k","unknown":{"x":1}}`,
		`{"key":"k","free":{"@path":"$"}}`, `{"key":"k","items":{"@path":"$."}}`, `{"key":"k","alias":{"@path":"$"}}`,
	} {
		wrong, doubtful := checkMapping(t, mapping)
		assert.Empty(t, wrong, mapping)
		assert.Empty(t, doubtful, mapping)
	}
	wrong, doubtful := checkMapping(t, `{"key":"k","on":{"@if":{"exists":{"@path":"$.a"},"then":"x","else":{"@path":"$.b"}}}}`)
	assert.Empty(t, wrong)
	assert.Equal(t, []string{`/on/@if/then On should be a boolean but is the text "x", so events that take this branch are refused`}, doubtful)
}

// checkMapping returns the findings of the check, one per line.
func checkMapping(t *testing.T, text string) (wrong, doubtful []string) {
	fields, err := fieldschema.ParseFields(event.MustParse(checkedFields))
	require.NoError(t, err)
	problems, some := runtime.CheckMapping(fields, event.MustParse(text))
	return problemLines(problems.Err()), problemLines(some.Err())
}
