package delivery

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/testsize"
)

// TestHashSet compares a set with a map, with hashes that often have the same place.
func TestHashSet(t *testing.T) {
	var set hashSet
	known := map[uint64]bool{}
	for range testsize.Of(300_000, 50_000) {
		hash := 1 + uint64(rand.IntN(40))<<32 + uint64(rand.IntN(40))
		if known[hash] && rand.IntN(3) > 0 {
			set.remove(hash)
			delete(known, hash)
		} else {
			require.Equal(t, !known[hash], set.add(hash))
			known[hash] = true
		}
		require.Equal(t, len(known), set.n)
	}
	for hash := range known {
		require.False(t, set.add(hash))
	}
}

// TestRecentIDs compares the remembered ids with a list, whose pages are seconds or minutes apart.
func TestRecentIDs(t *testing.T) {
	type seen struct {
		id, seq uint64
		at      int64
	}
	var list []seen
	r, at := newRecentIDs(), time.Now().UnixMilli()
	for seq := range uint64(testsize.Of(3000, 1000)) {
		at += rand.Int64N([]int64{10, 1000, 60_000}[rand.IntN(3)])
		for range rand.IntN(8) {
			id := 1 + uint64(rand.IntN(3000))*0x9e3779b97f4a7c15
			found := false
			for _, s := range list {
				found = found || s.id == id
			}
			require.Equal(t, found, r.addID(id, seq, at), "page %d", seq)
			if found {
				continue
			}
			n := 0
			for n < len(list) && list[n].at < at-dedupeTime.Milliseconds() {
				n++
			}
			list = append(list[n:], seen{id, seq, at})
		}
		if len(list) > 0 {
			require.Equal(t, list[0].seq, r.oldestBefore(list[0].seq+1))
			require.Zero(t, r.oldestBefore(list[0].seq))
		}
	}
}

// TestRecentIDsAreLimited adds more ids than are remembered within the time.
func TestRecentIDsAreLimited(t *testing.T) {
	r := newRecentIDs()
	assert.True(t, r.isEmpty())
	const more = 1000
	id := func(i uint64) uint64 { return 1 + i*0x9e3779b97f4a7c15 }
	for i := range uint64(dedupeCount + more) {
		require.False(t, r.addID(id(i), i/100, 0))
	}
	assert.Equal(t, dedupeCount, r.ids.n)
	assert.EqualValues(t, more/100, r.oldestBefore(1<<40))
	assert.True(t, r.addID(id(more), 1<<20, 0), "the oldest that is remembered")
	assert.False(t, r.addID(id(more-1), 1<<20, 0), "the newest that is forgotten")
	assert.LessOrEqual(t, len(r.order), 2*dedupeCount+1)
}

// TestIDsAreRememberedForTheirTime checks that an id is remembered for ten minutes, and not longer.
func TestIDsAreRememberedForTheirTime(t *testing.T) {
	for later, known := range map[time.Duration]bool{0: true, dedupeTime: true, dedupeTime + time.Millisecond: false} {
		r := newRecentIDs()
		assert.False(t, r.addID(7, 1, 1000))
		assert.False(t, r.addID(8, 2, 1000+later.Milliseconds()))
		assert.Equal(t, known, r.addID(7, 3, 1000+later.Milliseconds()), later)
	}
}
