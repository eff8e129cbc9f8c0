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

// NewNullable returns a Nullable with the value v.
func NewNullable[T any](v T) Nullable[T] { return Nullable[T]{nullableValue, v} }

// NullOf returns a Nullable that is null.
func NullOf[T any]() Nullable[T] { return Nullable[T]{kind: nullableNull} }

// ReadNullable converts v with read, unless v is absent or null.
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

// IsZero reports whether the value is absent. The JSON option omitzero then omits it.
func (n Nullable[T]) IsZero() bool { return n.kind == nullableAbsent }

// MarshalJSON implements json.Marshaler. Null and absent values become null.
func (n Nullable[T]) MarshalJSON() ([]byte, error) {
	if n.kind != nullableValue {
		return []byte("null"), nil
	}
	return json.Marshal(n.value)
}
