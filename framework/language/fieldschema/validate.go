package fieldschema

import (
	"unicode/utf8"

	"github.com/landfall-dev/landfall/framework/event"
)

// surelyValid tells whether a payload is valid beyond doubt. It never passes what the JSON Schema refuses; where it is not
// sure, the JSON Schema is asked.
func (s *Schema) surelyValid(payload event.Value) bool {
	return validObject(s.fields, payload, false)
}

// isSettled tells whether a payload is valid beyond doubt and would be cleaned and coerced into itself: the types are right,
// no key is unknown, and no text at the root is empty.
func (s *Schema) isSettled(payload event.Value) bool {
	for _, m := range payload.Members() {
		if m.IsString() && m.Falsy() {
			return false
		}
	}
	return s.surelyValid(payload)
}

func validObject(fields Fields, v event.Value, additional bool) bool {
	if v.Kind() != event.Object {
		return false
	}
	for key, m := range v.Members() {
		f := fields.Get(key)
		if f == nil && !additional || f != nil && !f.valid(m) {
			return false
		}
	}
	for i := range fields {
		if fields[i].Required.asks(v) && v.Get(fields[i].Key).Kind() == event.Absent {
			return false
		}
	}
	return true
}

// asks tells whether the field must be in an object.
func (r *Required) asks(v event.Value) bool {
	if r.Always || len(r.Conditions) == 0 {
		return r.Always
	}
	for i := range r.Conditions {
		if r.Conditions[i].holds(v) == r.Any {
			return r.Any
		}
	}
	return !r.Any
}

func (c *Condition) holds(v event.Value) bool {
	got := event.NewPath(c.FieldKey).Read(v)
	if c.Value.Kind() == event.Absent {
		return got.Exists() == c.Not
	}
	return event.Equal(got, c.Value) != c.Not
}

// valid tells whether a value is surely one of the field's.
func (f *Field) valid(v event.Value) bool {
	if v.Kind() == event.Null {
		return f.AllowNull && !f.Multiple
	}
	if !f.Multiple {
		return f.validOne(v)
	}
	if v.Kind() != event.Array {
		return false
	}
	for i := range v.Len() {
		if !f.validOne(v.Index(i)) {
			return false
		}
	}
	return true
}

func (f *Field) validOne(v event.Value) bool {
	if !f.validType(v) {
		return false
	}
	if len(f.Choices) > 0 && !f.OpenChoices && !f.chosen(v) {
		return false
	}
	return !f.bounded() || f.validBounds(v)
}

func (f *Field) validType(v event.Value) bool {
	switch f.Type {
	case Number:
		return v.Kind() == event.Number
	case Integer:
		return v.Kind() == event.Number && isWhole(v)
	case Boolean:
		return v.Kind() == event.True || v.Kind() == event.False
	case Object:
		if f.hasProperties() {
			return validObject(f.Properties, v, f.AdditionalProperties)
		}
		return v.Kind() == event.Object
	case Datetime:
		return isTimeValue(v)
	}
	return v.IsString() && (f.format == nil || f.format(v.Str()))
}

func (f *Field) chosen(v event.Value) bool {
	for i := range f.Choices {
		if event.Equal(f.Choices[i].Value, v) {
			return true
		}
	}
	return false
}

// validBounds compares the size of a number, or the length of a text in code points.
func (f *Field) validBounds(v event.Value) bool {
	if !f.Minimum.Exists() && !f.Maximum.Exists() {
		return true
	}
	size := v.Float()
	if v.IsString() {
		size = float64(utf8.RuneCountInString(v.Str()))
	}
	return (!f.Minimum.Exists() || size >= f.Minimum.Float()) && (!f.Maximum.Exists() || size <= f.Maximum.Float())
}
