package event

import (
	"errors"
	"iter"
	"math"
	"slices"
	"strconv"
)

// Kind is what a Value is.
type Kind uint8

// The kinds. Absent is what a path gives where nothing is; it is the kind of the zero Value.
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

// String names the kind as JSON does; booleans are one kind here.
func (k Kind) String() string {
	return [...]string{"nothing", "null", "boolean", "boolean", "number", "string", "array", "object"}[k]
}

// WithArticle is "a string", "an object", "null".
func (k Kind) WithArticle() string {
	switch k {
	case Absent, Null:
		return k.String()
	case Array, Object:
		return "an " + k.String()
	}
	return "a " + k.String()
}

// built is the content of a container that was not read from a document.
type built struct {
	shape  *Shape // of an object, a key for each value; nil for an array
	values []Value
	size   int  // about the bytes of its JSON
	record bool // what is absent is not there, else it is a hole
	holes  bool // it has holes, at any depth
}

// Member is one key of an object with its value.
type Member struct {
	Key   string
	Value Value
}

// Exists tells whether v is neither absent nor null.
func (v Value) Exists() bool { return v.Kind() > Null }

// IsString tells whether v is a string.
func (v Value) IsString() bool { return v.Kind() == String }

// Bool is v as a boolean; ok is false where v is none.
func (v Value) Bool() (b, ok bool) { return v.Kind() == True, v.Kind() == True || v.Kind() == False }

// Str is the content of a string, and "" for any other kind.
func (v Value) Str() string {
	switch {
	case v.Kind() != String:
		return ""
	case v.escaped():
		return unescape(v.text())
	}
	return v.text()
}

// Digits is a number's text as it was written, and "" for any other kind.
func (v Value) Digits() string {
	if v.Kind() != Number {
		return ""
	}
	return v.text()
}

// Float is a number's nearest float64 (infinite where it is too large), and 0 for any other kind.
func (v Value) Float() float64 {
	if v.Kind() != Number {
		return 0
	}
	f, _ := strconv.ParseFloat(v.text(), 64) // an error here means out of range: f is ±Inf
	return f
}

// Falsy tells whether JavaScript takes v for false: absent, null, false, 0 and "".
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

// Len is the number of items of an array or members of an object, and 0 for any other kind.
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

// Index is item i of an array; absent where there is none.
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
	return v.doc().value(v.doc().node(v.node().place() + i))
}

func (v Value) orNull() Value {
	if v.Kind() == Absent {
		return NewNull()
	}
	return v
}

// Get is the value of key in an object; absent where there is none. Of a key that is written twice the last one counts.
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
	return v.doc().value(v.doc().find(v.node(), key))
}

// Items are the items of an array in order; none for any other kind.
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
		d, from := v.doc(), v.node().place()
		for i := range v.node().length() {
			if !yield(i, d.value(d.node(from+i))) {
				return
			}
		}
	}
}

// Members are the members of an object in order; none for any other kind. A key that is written twice comes once,
// where it was first, with its last value.
func (v Value) Members() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		switch {
		case v.Kind() != Object:
		case v.built() == nil:
			v.doc().members(v.node(), yield)
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

// BuiltOf is what an object was built of, a value for each key, some of which may be absent; ok is false for what was not built
// but read. It must not be modified.
func (v Value) BuiltOf() (shape *Shape, values []Value, ok bool) {
	if v.Kind() != Object || v.built() == nil {
		return nil, nil, false
	}
	return v.built().shape, v.built().values, true
}

// Slots are the members of an object and its holes, in order.
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

// Int is a number cut to a whole int64, at the nearest end of the range where it does not fit, and 0 for any other kind.
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
