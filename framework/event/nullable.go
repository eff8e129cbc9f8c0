package event

import "encoding/json"

// Nullable is a value that may be absent, null or a T. The zero Nullable is absent.
type Nullable[T any] struct {
	kind  nullableKind
	value T
}

type nullableKind uint8

const (
	nullableAbsent nullableKind = iota
	nullableNull
	nullableValue
)

// NewNullable returns a Nullable that holds v.
func NewNullable[T any](v T) Nullable[T] { return Nullable[T]{nullableValue, v} }

// NullOf returns a Nullable that is null.
func NullOf[T any]() Nullable[T] { return Nullable[T]{kind: nullableNull} }

// ReadNullable reads a value with read, unless the value is absent or null.
func ReadNullable[T any](v Value, read func(Value) T) Nullable[T] {
	switch v.Kind() {
	case Absent:
		return Nullable[T]{}
	case Null:
		return NullOf[T]()
	}
	return NewNullable(read(v))
}

// Get returns the value. ok is false if it is absent or null; then the value is the zero T.
func (n Nullable[T]) Get() (value T, ok bool) { return n.value, n.kind == nullableValue }

// IsNull reports whether the value is null.
func (n Nullable[T]) IsNull() bool { return n.kind == nullableNull }

// IsZero reports whether the value is absent. It makes the JSON option omitzero leave it out.
func (n Nullable[T]) IsZero() bool { return n.kind == nullableAbsent }

// MarshalJSON writes null for what is null or absent.
func (n Nullable[T]) MarshalJSON() ([]byte, error) {
	if n.kind != nullableValue {
		return []byte("null"), nil
	}
	return json.Marshal(n.value)
}
