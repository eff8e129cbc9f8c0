package destination

import (
	"hash/maphash"

	"github.com/landfall-dev/landfall/internal/pool"
)

// identityTable finds the newest change of each identity in a batch. It is a hash table with open addressing whose memory is pooled: a map
// costs several times as much for a batch of a thousand identities.
type identityTable struct {
	slots []*MemberChange // at most half of them are used, so that a search ends; their number is a power of two
}

var (
	identitySeed = maphash.MakeSeed()
	slotPool     pool.Slice[*MemberChange]
)

// newIdentityTable returns an empty table for at most n identities.
func newIdentityTable(n int) identityTable {
	size := 2
	for size < 2*n {
		size *= 2
	}
	return identityTable{slotPool.Get(size)}
}

// slot returns the place of an identity, which is nil until the caller sets it.
func (t identityTable) slot(identity string) **MemberChange {
	mask := uint64(len(t.slots) - 1)
	for i := maphash.String(identitySeed, identity) & mask; ; i = (i + 1) & mask {
		if c := t.slots[i]; c == nil || c.text == identity {
			return &t.slots[i]
		}
	}
}

// release returns the table's memory to the pool.
func (t identityTable) release() { slotPool.Put(t.slots) }
