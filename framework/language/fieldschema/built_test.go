package fieldschema_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
)

const builtFields = `{
	"id": {"type": "string", "required": true},
	"plan": {"type": "string", "choices": ["free", "gold"]},
	"count": {"type": "number"},
	"mail": {"type": "string", "format": "email"},
	"tags": {"type": "string", "multiple": true},
	"note": {"type": "string", "allowNull": true},
	"alias": {"type": "object", "properties": {"name": {"type": "string", "required": true}}},
	"any": {"type": "object"},
	"open": {"type": "string", "choices": ["a"], "openChoices": true},
	"reason": {"type": "string", "required": {"match": "all", "conditions": [{"fieldKey": "plan", "operator": "is", "value": "gold"}]}}
}`

// TestBuiltPayloadsAreCheckedLikeParsedOnes processes payloads that a mapping built several times with one schema, so that the shape of
// the payload is new at first and known later. The result must be that of the parsed payload, and the expected one.
func TestBuiltPayloadsAreCheckedLikeParsedOnes(t *testing.T) {
	for payload, want := range map[string]string{
		`{"id":"1","plan":"free","count":1,"mail":"a@b.co","tags":["x"],"alias":{"name":"n"},"any":{"x":1},"open":"z"}`: "=",
		`{"open":"z","any":{},"alias":{"name":"n"},"tags":[],"mail":"a@b.co","count":1,"plan":"free","id":"1"}`:         "=",
		`{"count":1,"id":"1"}`:                      "=",
		`{"id":"1","plan":"gold","reason":"r"}`:     "=",
		`{"reason":"r","plan":"gold","id":"1"}`:     "=",
		`{"id":"1","plan":"gold"}`:                  "",
		`{"plan":"free"}`:                           "",
		`{"id":"1","plan":"silver"}`:                "",
		`{"id":"1","mail":"nobody"}`:                "",
		`{"id":"1","alias":{}}`:                     "",
		`{"id":"1","alias":{"name":""}}`:            "=",
		`{"id":"1","any":"x"}`:                      "",
		`{"id":"1","count":"x"}`:                    "",
		`{"id":"1","tags":[{}]}`:                    "",
		`{"id":"1","count":"2"}`:                    `{"id":"1","count":2}`,
		`{"id":"1","tags":"x"}`:                     `{"id":"1","tags":["x"]}`,
		`{"id":"1","unknown":1}`:                    `{"id":"1"}`,
		`{"unknown":1,"id":"1","more":{"x":1}}`:     `{"id":"1"}`,
		`{"id":"1","open":""}`:                      `{"id":"1"}`,
		`{"id":""}`:                                 "",
		`{"id":"1","note":null}`:                    "=",
		`{"id":"1","count":null,"plan":"free"}`:     `{"id":"1","plan":"free"}`,
		`{"id":null}`:                               "",
		`{"id":"1","alias":{"name":"n","other":1}}`: `{"id":"1","alias":{"name":"n"}}`,
	} {
		if want == "=" {
			want = payload
		}
		s := compile(t, builtFields)
		other := builtPayload(`{"id":"other","note":"o"}`)
		first := builtPayload(payload)
		shape, values, _ := first.ShapeAndValues()
		built := []event.Value{first}
		for range 4 { // payloads of one mapping share a shape
			built = append(built, event.NewRecord(shape, values))
		}
		for _, v := range append(built, event.MustParse(payload)) {
			got, err := s.Process(v)
			if want == "" {
				assert.Error(t, err, "%s gave %s", payload, got.JSON())
				continue
			}
			require.NoError(t, err, payload)
			assert.Equal(t, want, got.JSON(), payload)
			_, err = s.Process(other)
			require.NoError(t, err)
		}
	}
}

// TestShapesTakeTurns processes payloads of two shapes in turns, whose keys are in the same places.
func TestShapesTakeTurns(t *testing.T) {
	s := compile(t, `{"count": {"type": "number"}, "mail": {"type": "string", "format": "email"}}`)
	build := func(key string) event.Value {
		return event.NewObject([]event.Member{{Key: key, Value: event.NewString("a@b.co")}})
	}
	for range 3 {
		for range 3 {
			assert.NoError(t, s.Validate(build("mail")))
		}
		for range 3 {
			assert.ErrorContains(t, s.Validate(build("count")), "count")
		}
	}
}

// TestListsOfSingleFieldsStay checks that the items of a list are not converted if the field has one value.
func TestListsOfSingleFieldsStay(t *testing.T) {
	s := compile(t, `{"one": {"type": "string"}, "several": {"type": "string", "multiple": true}}`)
	assert.Equal(t, `{"one":[1],"several":["1"]}`, s.Coerce(event.MustParse(`{"one":[1],"several":[1]}`)).JSON())
}
