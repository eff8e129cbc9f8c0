package fieldschema

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/landfall-dev/landfall/framework/event"
)

// Schema is a compiled list of fields.
type Schema struct {
	fields     Fields
	jsonSchema event.Value
	validator  *jsonschema.Schema
	fast       *fastCheck // nil if there are too many fields for it
}

// Compile compiles fields.
func Compile(fields Fields) (*Schema, error) {
	s := &Schema{fields: fields, jsonSchema: jsonSchemaOf(fields), fast: newFastCheck(fields)}
	compiler := jsonschema.NewCompiler()
	compiler.Draft = jsonschema.Draft2020
	compiler.AssertFormat = true
	for _, f := range formats {
		compiler.Formats[f.name] = func(v any) bool {
			if number, ok := v.(json.Number); ok && f.name == dateLike {
				value, err := event.ParseString(number.String())
				return err == nil && isTimeValue(value)
			}
			text, ok := v.(string)
			return !ok || f.accepts(text)
		}
	}
	const url = "https://landfall.dev/fields.json"
	if err := compiler.AddResource(url, strings.NewReader(s.jsonSchema.JSON())); err != nil {
		return nil, fmt.Errorf("compiling the fields: %w", err)
	}
	var err error
	if s.validator, err = compiler.Compile(url); err != nil {
		return nil, fmt.Errorf("compiling the fields: %w", err)
	}
	return s, nil
}

// Fields returns the fields from which the schema was compiled.
func (s *Schema) Fields() Fields { return s.fields }

// JSON returns the JSON Schema (draft 2020-12) of a payload after Clean and Coerce.
func (s *Schema) JSON() event.Value { return s.jsonSchema }

// Process cleans, coerces and validates a payload. The error is a *fault.Error that wraps fault.Problems, one for each invalid
// value.
func (s *Schema) Process(payload event.Value) (event.Value, error) {
	if passes, known := s.fast.passesUnchanged(payload); passes || !known && s.passesUnchanged(payload) {
		return payload, nil
	}
	processed := s.Coerce(s.Clean(payload))
	if err := s.Validate(processed); err != nil {
		return event.Value{}, err
	}
	return processed, nil
}

// Validate checks a payload that has been cleaned and coerced. The error is the same as that of Process.
func (s *Schema) Validate(payload event.Value) error {
	if s.isClearlyValid(payload) {
		return nil
	}
	return s.explain(payload)
}
