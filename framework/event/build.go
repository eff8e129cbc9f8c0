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
	c := &built{items: items, size: 2}
	for i := range items {
		c.count(&items[i])
	}
	return of(c, Array)
}

// NewObject is an object of members, which it keeps. Their keys must differ. A member whose value is absent is a hole:
// Slots shows it, everything else passes over it.
func NewObject(members []Member) Value {
	c := &built{members: members, size: 2}
	for i := range members {
		c.size += len(members[i].Key) + 4
		c.count(&members[i].Value)
		c.holes = c.holes || members[i].Value.Kind() == Absent
	}
	return of(c, Object)
}

func (c *built) count(v *Value) {
	c.size = min(c.size+v.Size()+1, maxSize)
	c.holes = c.holes || v.built() != nil && v.built().holes
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
	if v.Kind() == Array {
		items := make([]Value, len(v.built().items))
		for i, item := range v.built().items {
			items[i] = item.Solid()
		}
		return NewArray(items)
	}
	members := make([]Member, 0, len(v.built().members))
	for _, m := range v.built().members {
		if m.Value.Kind() != Absent {
			members = append(members, Member{m.Key, m.Value.Solid()})
		}
	}
	return NewObject(members)
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
