package event

import (
	"slices"
	"sync/atomic"
)

// Key is the name of a member that is read from many objects. These are most often built alike, such as the payloads of a mapping:
// where the member was last is tried first. It is safe for concurrent use, and must not be copied.
type Key struct {
	name string
	last atomic.Int32
}

// NewKey is the key with a name.
func NewKey(name string) *Key { return &Key{name: name} }

// Of is the value that the key has in v, as v.Get has it.
func (k *Key) Of(v Value) Value {
	b := v.built()
	if b == nil || v.Kind() != Object {
		return v.Get(k.name)
	}
	keys := b.shape.keys
	if at := int(k.last.Load()); at < len(keys) && keys[at] == k.name {
		return b.values[at]
	}
	at := slices.Index(keys, k.name)
	if at < 0 {
		return Value{}
	}
	k.last.Store(int32(at))
	return b.values[at]
}
