package event

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
)

// NewNull returns null.
func NewNull() Value { return Value{meta: uint64(Null)} }

// NewBool returns true or false.
func NewBool(b bool) Value {
	if b {
		return Value{meta: uint64(True)}
	}
	return Value{meta: uint64(False)}
}

// NewString returns a string.
func NewString(s string) Value { return newScalar(String, s) }

// NewInt returns an integer.
func NewInt(n int64) Value { return newScalar(Number, strconv.FormatInt(n, 10)) }

// NewFloat returns a number, or null if JSON cannot represent it (NaN, infinity).
func NewFloat(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return NewNull()
	}
	return newScalar(Number, FormatFloat(f))
}

// NewArray returns an array of the items, which must not be modified afterwards. Absent items read as null.
func NewArray(items []Value) Value {
	return builtContainer((&built{values: items}).measure(), Array)
}

// NewObject returns an object of the members. Their keys must differ. A member with an absent value is a hole: like a JavaScript
// property that is undefined, it has a key but no value. Only Slots and ShapeAndValues show holes.
func NewObject(members []Member) Value {
	keys, values := make([]string, len(members)), make([]Value, len(members))
	for i, m := range members {
		keys[i], values[i] = m.Key, m.Value
	}
	return NewSlots(NewShape(keys), values)
}

// Shape is the list of keys of an object. Objects with the same keys can share a Shape, so that work on the keys is done once for
// all of them.
type Shape struct {
	keys []string
	size int // approximate size of the keys as JSON in bytes
}

// NewShape returns the shape with these keys, which must differ. The slice must not be modified afterwards.
func NewShape(keys []string) *Shape {
	s := &Shape{keys: keys}
	for _, key := range keys {
		s.size += len(key) + 4
	}
	return s
}

// Keys returns the keys in order. The slice must not be modified.
func (s *Shape) Keys() []string { return s.keys }

// NewSlots returns an object of a shape with one value for each of its keys. Absent values are holes. The slice must not be
// modified afterwards.
func NewSlots(shape *Shape, values []Value) Value {
	return builtContainer((&built{shape: shape, values: values}).measure(), Object)
}

// NewRecord is like NewSlots, but members with absent values do not exist: they are not holes.
func NewRecord(shape *Shape, values []Value) Value {
	return builtContainer((&built{shape: shape, values: values, record: true}).measure(), Object)
}

// BuildObject returns an object of a shape with what value returns for each of its keys, or the first error. Absent values are holes, as of
// NewSlots, if holes is set; otherwise their members do not exist. BuildObject allocates less than NewSlots with a slice of values.
func BuildObject(shape *Shape, holes bool, value func(i int) (Value, error)) (Value, error) {
	b := newBuilt(len(shape.keys))
	b.shape, b.record = shape, !holes
	for i := range b.values {
		v, err := value(i)
		if err != nil {
			return Value{}, err
		}
		b.values[i] = v
	}
	return builtContainer(b.measure(), Object), nil
}

// newBuilt returns an empty built with n values. If they are few, they are allocated with it.
func newBuilt(n int) *built {
	switch { // in steps of the sizes that the allocator has
	case n <= 4:
		b := &struct {
			built
			inline [4]Value
		}{}
		b.values = b.inline[:n:n]
		return &b.built
	case n <= 8:
		b := &struct {
			built
			inline [8]Value
		}{}
		b.values = b.inline[:n:n]
		return &b.built
	case n <= 12:
		b := &struct {
			built
			inline [12]Value
		}{}
		b.values = b.inline[:n:n]
		return &b.built
	}
	return &built{values: make([]Value, n)}
}

// measure sets c's size and whether it has holes, and returns c.
func (c *built) measure() *built {
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

// maxSize is the largest result of Size.
const maxSize = 1 << 40

// Size returns the approximate size of v as JSON in bytes, without encoding it. A part that is contained several times counts each
// time.
func (v Value) Size() int {
	if v.built() != nil {
		return v.built().size
	}
	if v.Kind() >= Array {
		return len(v.doc().containerText(v.node())) + 2
	}
	return len(v.text()) + 2
}

// WithoutHoles returns v without its holes at any depth.
func (v Value) WithoutHoles() Value {
	if v.built() == nil || !v.built().holes {
		return v
	}
	values := make([]Value, len(v.built().values))
	for i, value := range v.built().values {
		values[i] = value.WithoutHoles()
	}
	if v.Kind() == Array {
		return NewArray(values)
	}
	return NewRecord(v.built().shape, values)
}

// From returns the Value of a Go value as encoding/json produces or encodes it. Maps are sorted by key. It returns an error for a
// Go value that has no JSON form.
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

// Without returns an object without some of its members; v itself if it is no object or has none of them.
func (v Value) Without(keys ...string) Value {
	if v.Kind() != Object || !slices.ContainsFunc(keys, func(key string) bool { return v.Get(key).Kind() != Absent }) {
		return v
	}
	var members []Member
	for key, m := range v.Members() {
		if !slices.Contains(keys, key) {
			members = append(members, Member{Key: key, Value: m})
		}
	}
	return NewObject(members)
}
