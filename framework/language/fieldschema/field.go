// Package fieldschema implements the fields of settings and payloads: it parses their definitions, derives a JSON Schema from them,
// and cleans, coerces and validates payloads.
//
// A Schema first runs a compiled check that accepts valid payloads without allocating. Only jsonschema/v5, with the derived JSON
// Schema, can reject a payload, and it explains why. The package knows nothing about events, mappings or destinations. Fields and
// Schemas are immutable and safe for concurrent use. README.md beside this file is the reference.
package fieldschema

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// Type is the type of a field's value.
type Type string

// The field types.
const (
	String   Type = "string"
	Text     Type = "text"     // a string of several lines
	Password Type = "password" // a string that is never displayed
	Number   Type = "number"
	Integer  Type = "integer"
	Boolean  Type = "boolean"
	Datetime Type = "datetime" // a string or a number that event.ReadTime accepts
	Object   Type = "object"
)

// Field is one field of a definition. Keys that only concern forms are kept in Raw.
type Field struct {
	Key                  string
	Label                string
	Description          string
	Type                 Type
	Required             Required
	Multiple             bool        // the value is a list
	Default              event.Value // absent if the field has none
	Choices              []Choice
	OpenChoices          bool   // values other than the choices are accepted too
	Properties           Fields // of an object; nil if any keys are accepted
	AdditionalProperties bool   // an object may have keys that are not in Properties
	AllowNull            bool
	Format               string
	Minimum, Maximum     event.Value // numbers, or absent
	Raw                  event.Value // the definition of the field

	format func(string) bool // nil if any text is accepted
	kind   *typeEntry        // of Type; nil for a field that was not parsed
}

// Choice is one of the values that a field accepts.
type Choice struct {
	Label string
	Value event.Value
}

// Required says when a field must be present: always, or when conditions on other fields are met.
type Required struct {
	Always     bool
	Any        bool // one met condition is enough
	Conditions []Condition
}

// Condition is a condition on another field. Without a Value it tests whether that field is set: "is" means that it is not set, and
// "is_not" that it is set.
type Condition struct {
	FieldKey string // dots select a property of an object
	Not      bool   // is_not
	Value    event.Value
}

// Fields lists the fields of an object in the order of its definition.
type Fields []Field

// Get returns the field with a key, or nil.
func (list Fields) Get(key string) *Field {
	for i := range list {
		if list[i].Key == key {
			return &list[i]
		}
	}
	return nil
}

// Find is like Get, but dots in the key select properties of objects.
func (list Fields) Find(key string) *Field {
	if f := list.Get(key); f != nil {
		return f
	}
	head, rest, nested := strings.Cut(key, ".")
	if f := list.Get(head); nested && f != nil {
		return f.Properties.Find(rest)
	}
	return nil
}

// Keys returns the keys of the fields in order.
func (list Fields) Keys() []string {
	keys := make([]string, len(list))
	for i := range list {
		keys[i] = list[i].Key
	}
	return keys
}

// hasProperties reports whether the field is an object with defined properties.
func (f *Field) hasProperties() bool { return f.Type == Object && f.Properties != nil }
