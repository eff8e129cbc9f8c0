package fieldschema

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/landfall-dev/landfall/framework/event"
)

// Schema is compiled fields.
type Schema struct {
	fields    Fields
	published event.Value
	authority *jsonschema.Schema
	swift     *swift // nil where there are too many fields for it
}

// Compile compiles fields.
func Compile(fields Fields) (*Schema, error) {
	s := &Schema{fields: fields, published: publish(fields), swift: newSwift(fields)}
	compiler := jsonschema.NewCompiler()
	compiler.Draft = jsonschema.Draft2020
	compiler.AssertFormat = true
	for name, is := range formats() {
		compiler.Formats[name] = func(v any) bool {
			if number, ok := v.(json.Number); ok && name == dateLike {
				value, err := event.ParseString(number.String())
				return err == nil && isTimeValue(value)
			}
			text, ok := v.(string)
			return !ok || is(text)
		}
	}
	const url = "https://landfall.dev/fields.json"
	if err := compiler.AddResource(url, strings.NewReader(s.published.JSON())); err != nil {
		return nil, fmt.Errorf("compiling the fields: %w", err)
	}
	var err error
	if s.authority, err = compiler.Compile(url); err != nil {
		return nil, fmt.Errorf("compiling the fields: %w", err)
	}
	return s, nil
}

// Fields are the fields that the schema was compiled from.
func (s *Schema) Fields() Fields { return s.fields }

// JSON is the JSON Schema (draft 2020-12) of a payload that has been cleaned and coerced.
func (s *Schema) JSON() event.Value { return s.published }

// Process cleans, coerces and validates a payload. The error is a *fault.Error that wraps the fault.Problems of the places
// that are not valid.
func (s *Schema) Process(payload event.Value) (event.Value, error) {
	if settled, sure := s.swift.settled(payload); settled || !sure && s.isSettled(payload) {
		return payload, nil
	}
	processed := s.Coerce(s.Clean(payload))
	if err := s.Validate(processed); err != nil {
		return event.Value{}, err
	}
	return processed, nil
}

// Validate checks a payload that has been cleaned and coerced.
func (s *Schema) Validate(payload event.Value) error {
	if s.surelyValid(payload) {
		return nil
	}
	return s.explain(payload)
}
