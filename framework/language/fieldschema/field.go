// Package schema is the fields of settings and payloads: what a definition says of them, the JSON Schema that follows, and
// how a payload is cleaned, coerced and validated by them.
//
// A Schema has a compiled check that passes good payloads without allocating; jsonschema/v5 with the published schema is
// the authority on all others and explains them. The package knows nothing of events, mappings or destinations. Fields and
// Schemas are immutable and safe for concurrent use. README.md beside this file is the reference.
package fieldschema

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// Type is the type of a field's value.
type Type string

// The types.
const (
	String   Type = "string"
	Text     Type = "text"     // a string of many lines
	Password Type = "password" // a string that is never shown
	Number   Type = "number"
	Integer  Type = "integer"
	Boolean  Type = "boolean"
	Datetime Type = "datetime" // a string or a number that event.ReadTime reads
	Object   Type = "object"
)

var types = []string{"string", "text", "number", "integer", "datetime", "boolean", "password", "object"}

// Field is one field of a definition. Keys that only concern forms stay in Raw.
type Field struct {
	Key                  string
	Label                string
	Description          string
	Type                 Type
	Required             Required
	Multiple             bool        // the value is a list
	Default              event.Value // absent where there is none
	Choices              []Choice
	OpenChoices          bool   // other values than the choices are taken too
	Properties           Fields // of an object; nil for one with any keys
	AdditionalProperties bool   // an object may have keys beside Properties
	AllowNull            bool
	Format               string
	Minimum, Maximum     event.Value // numbers, or absent
	Raw                  event.Value // the field as it is written

	format func(string) bool // nil for any text
}

// Choice is one value of a field that has a fixed set of them.
type Choice struct {
	Label string
	Value event.Value
}

// Required says when a field must be there: always, or when conditions on other fields hold.
type Required struct {
	Always     bool
	Any        bool // one condition is enough
	Conditions []Condition
}

// Condition is a condition on another field. An absent Value asks whether the field is set: "is" that it is not, "is_not"
// that it is.
type Condition struct {
	FieldKey string // with dots for a property of an object
	Not      bool   // is_not
	Value    event.Value
}

// Fields are the fields of an object in the order of its definition.
type Fields []Field

// Get is the field with a key, nil where there is none.
func (list Fields) Get(key string) *Field {
	for i := range list {
		if list[i].Key == key {
			return &list[i]
		}
	}
	return nil
}

// Find is Get for a key that may lead into objects, with dots.
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

// Keys are the keys of the fields in order.
func (list Fields) Keys() []string {
	keys := make([]string, len(list))
	for i := range list {
		keys[i] = list[i].Key
	}
	return keys
}

// isText tells whether values of the type are strings and nothing else.
func (t Type) isText() bool { return t == String || t == Text || t == Password }

// takesEmpty tells whether "" may be a value of the type.
func (t Type) takesEmpty() bool { return t.isText() || t == Datetime }

// hasProperties tells whether the keys of an object are known.
func (f *Field) hasProperties() bool { return f.Type == Object && f.Properties != nil }
