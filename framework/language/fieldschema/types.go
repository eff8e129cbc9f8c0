package fieldschema

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/reference"
)

// typeEntry is an entry of the table of types.
type typeEntry struct {
	name         Type
	summary      string
	jsonTypes    []string                        // the types of its values in a JSON Schema
	format       string                          // the format of its values in a JSON Schema, "" for that of the field
	bounds       [2]string                       // the keywords of minimum and maximum in a JSON Schema; empty if they do not apply
	isText       bool                            // only strings are accepted, which may have a format
	allowsNoText bool                            // "" is a possible value
	kinds        uint16                          // kinds whose values are all accepted
	accepts      func(v event.Value) bool        // whether a value is accepted, apart from the properties of an object
	coerce       func(v event.Value) event.Value // returns the absent Value if v cannot be converted
}

var (
	sizeBounds   = [2]string{"minimum", "maximum"}
	lengthBounds = [2]string{"minLength", "maxLength"}
)

// types lists all types. It is read-only.
var types = []*typeEntry{
	textType(String, "a text", ""),
	textType(Text, "a text of several lines", ""),
	{name: Number, summary: "a number", jsonTypes: []string{"number"}, bounds: sizeBounds, kinds: 1 << event.Number, accepts: isNumber, coerce: coerceNumber},
	{name: Integer, summary: "a number without a fraction", jsonTypes: []string{"integer"}, bounds: sizeBounds, accepts: isInteger, coerce: coerceInteger},
	{name: Datetime, summary: "a text or number in any of the formats of [TIMES.md](../../event/TIMES.md)", jsonTypes: []string{"string", "number"}, format: dateLike, allowsNoText: true, accepts: isTimeValue, coerce: coerceTime},
	{name: Boolean, summary: "true or false", jsonTypes: []string{"boolean"}, kinds: 1<<event.True | 1<<event.False, accepts: isBoolean, coerce: coerceBoolean},
	textType(Password, "a text that is never displayed", "password"),
	{name: Object, summary: "an object", jsonTypes: []string{"object"}, kinds: 1 << event.Object, accepts: isObject, coerce: func(v event.Value) event.Value { return v }},
}

func textType(name Type, summary, format string) *typeEntry {
	return &typeEntry{name: name, summary: summary, jsonTypes: []string{"string"}, format: format, bounds: lengthBounds, isText: true, allowsNoText: true,
		kinds: 1 << event.String, accepts: event.Value.IsString, coerce: coerceText}
}

// entry returns the entry of a type. An unknown type counts as a text.
func (t Type) entry() *typeEntry {
	for _, e := range types {
		if e.name == t {
			return e
		}
	}
	return types[0]
}

// entry returns the entry of the field's type.
func (f *Field) entry() *typeEntry {
	if f.kind != nil {
		return f.kind
	}
	return f.Type.entry()
}

// IsText reports whether the type accepts only strings.
func (t Type) IsText() bool { return t.entry().isText }

// Types lists the field types, each with the JSON Schema of its values.
func Types() []reference.Entry {
	var list []reference.Entry
	for _, e := range types {
		schema := memberList{{Key: "type", Value: typeValue(e.jsonTypes)}}
		schema.addText("format", e.format)
		list = append(list, reference.Entry{Name: string(e.name), Summary: e.summary, Schema: schema.toObject().JSON()})
	}
	return list
}

func typeNames() []string {
	names := make([]string, len(types))
	for i, e := range types {
		names[i] = string(e.name)
	}
	return names
}

func isNumber(v event.Value) bool { return v.Kind() == event.Number }

func isInteger(v event.Value) bool { return v.Kind() == event.Number && isWhole(v) }

func isBoolean(v event.Value) bool { return v.Kind() == event.True || v.Kind() == event.False }

func isObject(v event.Value) bool { return v.Kind() == event.Object }

// hasDigitsOnly reports whether a bound is a non-negative integer, as the bound of a length must be.
func hasDigitsOnly(bound event.Value) bool { return !strings.ContainsAny(bound.Digits(), ".eE-") }
