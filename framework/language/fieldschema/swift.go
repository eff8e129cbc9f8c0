package fieldschema

import (
	"sync/atomic"

	"github.com/landfall-dev/landfall/framework/event"
)

// swift is isSettled for payloads that a mapping has built, which is nearly all: what is asked of each field is worked out when
// the fields are compiled, and fields are expected in their order. FuzzProcess holds the two against each other.
type swift struct {
	fields   []swiftField
	required uint64 // the fields that must be there, a bit each
	asking   []int  // the fields that conditions make required
	last     atomic.Pointer[fitted]
	seen     atomic.Pointer[event.Shape] // once; when it comes again it is fitted
}

// swiftField is one field.
type swiftField struct {
	key   string
	field *Field
	kinds uint16 // kinds of which every value is good; others are asked one by one
}

// maxSwift is how many fields have a bit.
const maxSwift = 64

func newSwift(fields Fields) *swift {
	if len(fields) > maxSwift {
		return nil
	}
	w := &swift{}
	for i := range fields {
		f := &fields[i]
		w.fields = append(w.fields, swiftField{f.Key, f, f.plainKinds()})
		switch {
		case f.Required.Always:
			w.required |= 1 << i
		case len(f.Required.Conditions) > 0:
			w.asking = append(w.asking, i)
		}
	}
	return w
}

// plainKinds are the kinds of which every value is one of the field's, but for an empty text.
func (f *Field) plainKinds() uint16 {
	if f.Multiple || len(f.Choices) > 0 && !f.OpenChoices || f.Minimum.Exists() || f.Maximum.Exists() || f.hasProperties() {
		return 0
	}
	switch f.Type {
	case String, Text, Password:
		if f.format == nil {
			return 1 << event.String
		}
	case Number:
		return 1 << event.Number
	case Boolean:
		return 1<<event.True | 1<<event.False
	case Object:
		return 1 << event.Object
	}
	return 0
}

// settled is isSettled; sure is false for a payload that was not built.
func (w *swift) settled(payload event.Value) (settled, sure bool) {
	shape, values, built := payload.ShapeAndValues()
	if !built || w == nil {
		return false, false
	}
	places, next, seen := w.places(shape), 0, uint64(0)
	for i := range values {
		v := &values[i]
		kind := v.Kind()
		if kind == event.Absent {
			continue
		}
		at := 0
		if places != nil {
			at = int(places[i])
		} else {
			at = w.find(shape.Keys()[i], next)
			next = at + 1
		}
		if at < 0 || kind == event.String && v.Falsy() {
			return false, true
		}
		f := &w.fields[at]
		if f.kinds>>kind&1 == 0 && !f.field.valid(*v) {
			return false, true
		}
		seen |= 1 << at
	}
	if w.required&^seen != 0 {
		return false, true
	}
	for _, at := range w.asking {
		if seen>>at&1 == 0 && w.fields[at].field.Required.asks(payload) {
			return false, true
		}
	}
	return true, true
}

// places are the fields of a shape's keys, -1 where there is none. They are kept of a shape that comes twice, as that of a mapping's
// payloads does, and nil for others.
func (w *swift) places(shape *event.Shape) []int8 {
	if last := w.last.Load(); last != nil && last.shape == shape {
		return last.places
	}
	if w.seen.Swap(shape) != shape {
		return nil
	}
	fit, next := &fitted{shape: shape}, 0
	for _, key := range shape.Keys() {
		at := w.find(key, next)
		fit.places = append(fit.places, int8(at))
		next = at + 1
	}
	w.last.Store(fit)
	return fit.places
}

// fitted is where the keys of a shape have their fields.
type fitted struct {
	shape  *event.Shape
	places []int8
}

// find is the place of a key's field, most likely at next; -1 where there is none.
func (w *swift) find(key string, next int) int {
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
