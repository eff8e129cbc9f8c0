package event

import (
	"slices"
	"sync/atomic"
)

// Key reads one member from many objects. Objects of one origin, such as the payloads of a mapping, usually have the same keys in
// the same order, so a Key first tries the index at which it last found the member. It is safe for concurrent use and must not be
// copied.
type Key struct {
	name string
	last atomic.Int32
}

// NewKey returns a Key that reads the member with this name.
func NewKey(name string) *Key { return &Key{name: name} }

// Get returns the member's value in v, like v.Get.
func (k *Key) Get(v Value) Value {
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
