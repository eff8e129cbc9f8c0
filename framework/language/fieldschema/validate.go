package fieldschema

import (
	"unicode/utf8"

	"github.com/landfall-dev/landfall/framework/event"
)

// isClearlyValid reports whether a payload is valid, without using the JSON Schema. It never accepts a payload that the JSON Schema
// rejects. If it returns false, the JSON Schema decides.
func (s *Schema) isClearlyValid(payload event.Value) bool {
	return isValidObject(s.fields, payload, false)
}

// passesUnchanged reports whether a payload is clearly valid and Clean and Coerce would not change it: the types match, all keys
// are known, and no text at the root is empty.
func (s *Schema) passesUnchanged(payload event.Value) bool {
	for _, m := range payload.Members() {
		if m.IsString() && m.Falsy() {
			return false
		}
	}
	return s.isClearlyValid(payload)
}

func isValidObject(fields Fields, v event.Value, additional bool) bool {
	if v.Kind() != event.Object {
		return false
	}
	for key, m := range v.Members() {
		f := fields.Get(key)
		if f == nil && !additional || f != nil && !f.isValid(m) {
			return false
		}
	}
	for i := range fields {
		if fields[i].Required.IsRequiredIn(v) && v.Get(fields[i].Key).Kind() == event.Absent {
			return false
		}
	}
	return true
}

// IsRequiredIn reports whether the field must be present in an object.
func (r *Required) IsRequiredIn(v event.Value) bool {
	if r.Always || len(r.Conditions) == 0 {
		return r.Always
	}
	for i := range r.Conditions {
		if r.Conditions[i].isMetBy(v) == r.Any {
			return r.Any
		}
	}
	return !r.Any
}

func (c *Condition) isMetBy(v event.Value) bool {
	got := event.NewPath(c.FieldKey).Read(v)
	if c.Value.Kind() == event.Absent {
		return got.Exists() == c.Not
	}
	return event.Equal(got, c.Value) != c.Not
}

// isValid reports whether a value is clearly valid for the field.
func (f *Field) isValid(v event.Value) bool {
	if v.Kind() == event.Null {
		return f.AllowNull && !f.Multiple
	}
	if !f.Multiple {
		return f.isValidOne(v)
	}
	if v.Kind() != event.Array {
		return false
	}
	for i := range v.Len() {
		if !f.isValidOne(v.Index(i)) {
			return false
		}
	}
	return true
}

func (f *Field) isValidOne(v event.Value) bool {
	if !f.hasValidType(v) {
		return false
	}
	if len(f.Choices) > 0 && !f.OpenChoices && !f.isChoice(v) {
		return false
	}
	return !f.hasBounds() || f.isWithinBounds(v)
}

func (f *Field) hasValidType(v event.Value) bool {
	if f.hasProperties() {
		return isValidObject(f.Properties, v, f.AdditionalProperties)
	}
	e := f.entry()
	return e.accepts(v) && (f.format == nil || !e.isText || f.format(v.Str()))
}

func (f *Field) isChoice(v event.Value) bool {
	for i := range f.Choices {
		if event.Equal(f.Choices[i].Value, v) {
			return true
		}
	}
	return false
}

// isWithinBounds checks the size of a number, or the length of a text in code points.
func (f *Field) isWithinBounds(v event.Value) bool {
	if !f.Minimum.Exists() && !f.Maximum.Exists() {
		return true
	}
	size := v.Float()
	if v.IsString() {
		size = float64(utf8.RuneCountInString(v.Str()))
	}
	return (!f.Minimum.Exists() || size >= f.Minimum.Float()) && (!f.Maximum.Exists() || size <= f.Maximum.Float())
}
