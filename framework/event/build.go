package event

import (
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strconv"
)

// NewNull is null.
func NewNull() Value { return Value{meta: uint64(Null)} }

// NewBool is true or false.
func NewBool(b bool) Value {
	if b {
		return Value{meta: uint64(True)}
	}
	return Value{meta: uint64(False)}
}

// NewString is a string.
func NewString(s string) Value { return scalar(String, s) }

// NewInt is a whole number.
func NewInt(n int64) Value { return scalar(Number, strconv.FormatInt(n, 10)) }

// NewFloat is a number; one that JSON cannot hold (NaN, infinite) becomes null.
func NewFloat(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return NewNull()
	}
	return scalar(Number, FormatFloat(f))
}

// NewArray is an array of items, which it keeps. An absent item reads as null.
func NewArray(items []Value) Value {
	return of((&built{values: items}).counted(), Array)
}

// NewObject is an object of members. Their keys must differ. A member whose value is absent is a hole: Slots shows it, everything
// else passes over it.
func NewObject(members []Member) Value {
	keys, values := make([]string, len(members)), make([]Value, len(members))
	for i, m := range members {
		keys[i], values[i] = m.Key, m.Value
	}
	return NewSlots(NewShape(keys), values)
}

// Shape is the keys of objects that are built alike: what is found out about them holds for all objects of the shape.
type Shape struct {
	keys []string
	size int // about the bytes that they take in JSON
}

// NewShape is the shape of these keys, which must differ. It keeps them.
func NewShape(keys []string) *Shape {
	s := &Shape{keys: keys}
	for _, key := range keys {
		s.size += len(key) + 4
	}
	return s
}

// Keys are the keys in order. They must not be modified.
func (s *Shape) Keys() []string { return s.keys }

// NewSlots is an object of a shape, with a value for each of its keys, holes included. It keeps the values.
func NewSlots(shape *Shape, values []Value) Value {
	return of((&built{shape: shape, values: values}).counted(), Object)
}

// NewRecord is NewSlots without holes: what is absent is not there.
func NewRecord(shape *Shape, values []Value) Value {
	return of((&built{shape: shape, values: values, record: true}).counted(), Object)
}

// counted is c with its size, and whether it has holes.
func (c *built) counted() *built {
	c.size = 2
	if c.shape != nil {
		c.size += c.shape.size
	}
	for i := range c.values {
		v := &c.values[i]
		if v.Kind() == Absent && c.shape != nil {
			c.size -= len(c.shape.keys[i]) + 4
			c.holes = c.holes || !c.record
			continue
		}
		c.size = min(c.size+v.Size()+1, maxSize)
		c.holes = c.holes || v.built() != nil && v.built().holes
	}
	return c
}

// maxSize is where Size stops counting.
const maxSize = 1 << 40

// Size is about the number of bytes of v as JSON, known without writing it. A value that holds the same part many times
// counts it each time.
func (v Value) Size() int {
	if v.built() != nil {
		return v.built().size
	}
	if v.Kind() >= Array {
		return len(v.doc().textOf(v.node())) + 2
	}
	return len(v.text()) + 2
}

// Solid is v without its holes, at every depth.
func (v Value) Solid() Value {
	if v.built() == nil || !v.built().holes {
		return v
	}
	values := make([]Value, len(v.built().values))
	for i, value := range v.built().values {
		values[i] = value.Solid()
	}
	if v.Kind() == Array {
		return NewArray(values)
	}
	return NewRecord(v.built().shape, values)
}

// From builds a Value of what encoding/json would decode to, and of Go integers, []string and []Value. Maps are
// sorted by key. What has no JSON form is an error.
func From(x any) (Value, error) {
	switch x := x.(type) {
	case nil:
		return NewNull(), nil
	case Value:
		return x, nil
	case bool:
		return NewBool(x), nil
	case string:
		return NewString(x), nil
	case int:
		return NewInt(int64(x)), nil
	case int64:
		return NewInt(x), nil
	case float64:
		return NewFloat(x), nil
	case json.Number:
		return ParseString(string(x))
	case []Value:
		return NewArray(x), nil
	case []any:
		return fromSlice(x)
	case []string:
		return fromSlice(x)
	case map[string]any:
		return fromMap(x)
	}
	raw, err := json.Marshal(x)
	if err != nil {
		return Value{}, fmt.Errorf("building a JSON value of %T: %w", x, err)
	}
	return ParseValue(raw)
}

func fromSlice[T any](list []T) (Value, error) {
	items := make([]Value, len(list))
	for i, x := range list {
		v, err := From(x)
		if err != nil {
			return Value{}, err
		}
		items[i] = v
	}
	return NewArray(items), nil
}

func fromMap(m map[string]any) (Value, error) {
	members := make([]Member, 0, len(m))
	for key, x := range m {
		v, err := From(x)
		if err != nil {
			return Value{}, err
		}
		members = append(members, Member{key, v})
	}
	sort.Slice(members, func(i, j int) bool { return members[i].Key < members[j].Key })
	return NewObject(members), nil
}
