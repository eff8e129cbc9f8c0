package event

import (
	"errors"
	"iter"
	"math"
	"slices"
	"strconv"
)

// Kind is the type of a Value.
type Kind uint8

// The kinds. Absent is the kind of the zero Value, which a path returns when it finds nothing.
const (
	Absent Kind = iota
	Null
	False
	True
	Number
	String
	Array
	Object
)

// String returns the JSON name of the kind. True and False are both "boolean".
func (k Kind) String() string {
	return [...]string{"nothing", "null", "boolean", "boolean", "number", "string", "array", "object"}[k]
}

// WithArticle returns the kind for use in a sentence: "a string", "an object", "null".
func (k Kind) WithArticle() string {
	switch k {
	case Absent, Null:
		return k.String()
	case Array, Object:
		return "an " + k.String()
	}
	return "a " + k.String()
}

// built is the content of a container that was built in Go rather than parsed.
type built struct {
	shape  *Shape // keys of an object, one for each value; nil for an array
	values []Value
	size   int  // approximate size as JSON in bytes
	record bool // absent members do not exist; otherwise they are holes
	holes  bool // the container has holes at any depth
}

// Member is a key and its value in an object.
type Member struct {
	Key   string
	Value Value
}

// Exists reports whether v is neither absent nor null.
func (v Value) Exists() bool { return v.Kind() > Null }

// IsString reports whether v is a string.
func (v Value) IsString() bool { return v.Kind() == String }

// Bool returns v as a boolean. ok is false if v is not a boolean.
func (v Value) Bool() (b, ok bool) { return v.Kind() == True, v.Kind() == True || v.Kind() == False }

// Str returns the content of a string, or "" for any other kind.
func (v Value) Str() string {
	switch {
	case v.Kind() != String:
		return ""
	case v.escaped():
		return unescape(v.text())
	}
	return v.text()
}

// Digits returns the text of a number as it was written, or "" for any other kind.
func (v Value) Digits() string {
	if v.Kind() != Number {
		return ""
	}
	return v.text()
}

// Float returns the float64 nearest to a number, infinite if it is out of range, or 0 for any other kind.
func (v Value) Float() float64 {
	if v.Kind() != Number {
		return 0
	}
	f, _ := strconv.ParseFloat(v.text(), 64) // the only possible error is out of range: f is ±Inf
	return f
}

// Raw returns the JSON text of an object or an array as it was received, or "" for a value that was built in Go and for any other kind.
func (v Value) Raw() string {
	if v.Kind() < Array || v.built() != nil {
		return ""
	}
	return v.doc().containerText(v.node())
}

// Falsy reports whether v is falsy in JavaScript: absent, null, false, 0 or "".
func (v Value) Falsy() bool {
	switch v.Kind() {
	case Absent, Null, False:
		return true
	case Number:
		return v.Float() == 0
	case String:
		return v.text() == ""
	}
	return false
}

// Len returns the number of items of an array or members of an object, or 0 for any other kind.
func (v Value) Len() int {
	switch {
	case v.Kind() == Array && v.built() != nil:
		return len(v.built().values)
	case v.Kind() == Array:
		return v.node().length()
	case v.Kind() == Object:
		n := 0
		for range v.Members() {
			n++
		}
		return n
	}
	return 0
}

// Index returns item i of an array, or the absent Value if i is out of range or v is not an array.
func (v Value) Index(i int) Value {
	if v.Kind() != Array || i < 0 {
		return Value{}
	}
	if v.built() != nil {
		if i >= len(v.built().values) {
			return Value{}
		}
		return v.built().values[i].orNull()
	}
	if i >= v.node().length() {
		return Value{}
	}
	return v.doc().valueOf(v.doc().node(v.node().start() + i))
}

func (v Value) orNull() Value {
	if v.Kind() == Absent {
		return NewNull()
	}
	return v
}

// Get returns the value of a key in an object, or the absent Value if there is none. If a key is repeated, the last value counts.
func (v Value) Get(key string) Value {
	if v.Kind() != Object {
		return Value{}
	}
	if b := v.built(); b != nil {
		if at := slices.Index(b.shape.keys, key); at >= 0 {
			return b.values[at]
		}
		return Value{}
	}
	d := v.doc()
	return d.valueOf(d.memberNode(d.findMember(v.node(), key)))
}

// Items iterates over the items of an array in order. It yields nothing for any other kind.
func (v Value) Items() iter.Seq2[int, Value] {
	return func(yield func(int, Value) bool) {
		if v.Kind() != Array {
			return
		}
		if v.built() != nil {
			for i, item := range v.built().values {
				if !yield(i, item.orNull()) {
					return
				}
			}
			return
		}
		d, from := v.doc(), v.node().start()
		for i := range v.node().length() {
			if !yield(i, d.valueOf(d.node(from+i))) {
				return
			}
		}
	}
}

// Members iterates over the members of an object in order. It yields nothing for any other kind. A repeated key is yielded once, at
// its first position, with its last value.
func (v Value) Members() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		switch {
		case v.Kind() != Object:
		case v.built() == nil:
			v.doc().eachMember(v.node(), yield)
		default:
			b := v.built()
			for i, key := range b.shape.keys {
				if value := b.values[i]; value.Kind() != Absent && !yield(key, value) {
					return
				}
			}
		}
	}
}

// ShapeAndValues returns the shape of an object that was built in Go and one value for each of its keys, some of which may be
// absent. ok is false for any other value. The result must not be modified.
func (v Value) ShapeAndValues() (shape *Shape, values []Value, ok bool) {
	if v.Kind() != Object || v.built() == nil {
		return nil, nil, false
	}
	return v.built().shape, v.built().values, true
}

// Slots is like Members but also yields holes: members whose value is absent.
func (v Value) Slots() iter.Seq2[string, Value] {
	b := v.built()
	if v.Kind() != Object || b == nil || b.record {
		return v.Members()
	}
	return func(yield func(string, Value) bool) {
		for i, key := range b.shape.keys {
			if !yield(key, b.values[i]) {
				return
			}
		}
	}
}

// ItemSlots is like Items but yields holes as absent values, which Items yields as null.
func (v Value) ItemSlots() iter.Seq2[int, Value] {
	b := v.built()
	if v.Kind() != Array || b == nil {
		return v.Items()
	}
	return slices.All(b.values)
}

// Int returns a number truncated to an int64 and clamped to its range, or 0 for any other kind.
func (v Value) Int() int64 {
	if n, err := strconv.ParseInt(v.Digits(), 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return n
	}
	switch f := v.Float(); {
	case f >= math.MaxInt64:
		return math.MaxInt64
	case f <= math.MinInt64:
		return math.MinInt64
	default:
		return int64(f)
	}
}
