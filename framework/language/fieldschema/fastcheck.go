package fieldschema

import (
	"sync/atomic"

	"github.com/landfall-dev/landfall/framework/event"
)

// fastCheck implements passesUnchanged for payloads that were built by a mapping, which nearly all are. The checks of each field
// are prepared when the fields are compiled, and keys are expected in the order of the fields. FuzzProcess compares it with the
// full validation.
type fastCheck struct {
	fields        []fastField
	required      uint64 // the fields that are always required, one bit each
	conditional   []int  // the fields that are conditionally required
	cachedShape   atomic.Pointer[shapeIndexes]
	previousShape atomic.Pointer[event.Shape] // the shape of the previous payload that was not cached; if it occurs again, it is cached
}

// fastField is one field of a fastCheck.
type fastField struct {
	key   string
	field *Field
	kinds uint16 // kinds whose values are all valid; values of other kinds are checked individually
}

// maxFastFields is the number of bits for fields.
const maxFastFields = 64

func newFastCheck(fields Fields) *fastCheck {
	if len(fields) > maxFastFields {
		return nil
	}
	c := &fastCheck{}
	for i := range fields {
		f := &fields[i]
		c.fields = append(c.fields, fastField{f.Key, f, f.acceptedKinds()})
		switch {
		case f.Required.Always:
			c.required |= 1 << i
		case len(f.Required.Conditions) > 0:
			c.conditional = append(c.conditional, i)
		}
	}
	return c
}

// acceptedKinds returns the kinds whose values are all valid for the field, except for an empty text.
func (f *Field) acceptedKinds() uint16 {
	if f.Multiple || len(f.Choices) > 0 && !f.OpenChoices || f.Minimum.Exists() || f.Maximum.Exists() || f.hasProperties() {
		return 0
	}
	e := f.entry()
	if e.isText && f.format != nil {
		return 0
	}
	return e.kinds
}

// passesUnchanged is like Schema.passesUnchanged. known is false if the payload was not built in Go, so that the answer is unknown.
func (w *fastCheck) passesUnchanged(payload event.Value) (passes, known bool) {
	shape, values, built := payload.ShapeAndValues()
	if !built || w == nil {
		return false, false
	}
	indexes, next, seen := w.fieldIndexes(shape), 0, uint64(0)
	for i := range values {
		v := &values[i]
		kind := v.Kind()
		if kind == event.Absent {
			continue
		}
		at := 0
		if indexes != nil {
			at = int(indexes[i])
		} else {
			at = w.findField(shape.Keys()[i], next)
			next = at + 1
		}
		if at < 0 || kind == event.String && v.Falsy() {
			return false, true
		}
		f := &w.fields[at]
		if f.kinds>>kind&1 == 0 && !f.field.isValid(*v) {
			return false, true
		}
		seen |= 1 << at
	}
	if w.required&^seen != 0 {
		return false, true
	}
	for _, at := range w.conditional {
		if seen>>at&1 == 0 && w.fields[at].field.Required.IsRequiredIn(payload) {
			return false, true
		}
	}
	return true, true
}

// fieldIndexes returns the index of the field of each key of a shape, -1 for unknown keys. It caches the result for a shape that
// occurs twice in a row, as that of a mapping's payloads does, and returns nil for other shapes.
func (w *fastCheck) fieldIndexes(shape *event.Shape) []int8 {
	if last := w.cachedShape.Load(); last != nil && last.shape == shape {
		return last.indexes
	}
	if w.previousShape.Swap(shape) != shape {
		return nil
	}
	found, next := &shapeIndexes{shape: shape}, 0
	for _, key := range shape.Keys() {
		at := w.findField(key, next)
		found.indexes = append(found.indexes, int8(at))
		next = at + 1
	}
	w.cachedShape.Store(found)
	return found.indexes
}

// shapeIndexes caches the field indexes of a shape.
type shapeIndexes struct {
	shape   *event.Shape
	indexes []int8
}

// findField returns the index of the field with a key, or -1. It starts the search at next, where the field most likely is.
func (w *fastCheck) findField(key string, next int) int {
	for i := next; i < len(w.fields); i++ {
		if w.fields[i].key == key {
			return i
		}
	}
	for i := range min(next, len(w.fields)) {
		if w.fields[i].key == key {
			return i
		}
	}
	return -1
}
