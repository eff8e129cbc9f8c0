package delivery

import (
	"math/rand/v2"
	"slices"
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

// addID adds an id that is alone on its page, and reports whether it was known.
func addID(r *recentIDs, id, seq uint64, at int64) bool { return addPage(r, []uint64{id}, seq, at)[0] }

// addPage adds the ids of a page, and returns the indexes of those that were known.
func addPage(r *recentIDs, ids []uint64, seq uint64, at int64) map[int]bool {
	return r.addIDs(seq, at, ids, []eventRange{{0, len(ids)}})
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
		for len(list) > 0 && list[0].at < at-dedupeTime.Milliseconds() {
			list = list[1:]
		}
		var ids []uint64
		var known map[int]bool
		for i := range rand.IntN(8) {
			id := 1 + uint64(rand.IntN(3000))*0x9e3779b97f4a7c15
			ids = append(ids, id)
			if !slices.ContainsFunc(list, func(s seen) bool { return s.id == id }) {
				list = append(list, seen{id, seq, at})
				continue
			}
			if known == nil {
				known = map[int]bool{}
			}
			known[i] = true
		}
		require.Equal(t, known, addPage(r, ids, seq, at), "page %d", seq)
		if len(list) > 0 {
			require.Equal(t, list[0].seq, r.oldestBefore(list[0].seq+1))
			require.Zero(t, r.oldestBefore(list[0].seq))
		}
	}
}

// TestRecentIDsAreLimited adds more ids than are remembered within the time, in pages of a hundred.
func TestRecentIDsAreLimited(t *testing.T) {
	r := newRecentIDs()
	assert.True(t, r.isEmpty())
	const more = 1000
	id := func(i uint64) uint64 { return 1 + i*0x9e3779b97f4a7c15 }
	var ids []uint64
	for i := range uint64(dedupeCount + more) {
		if ids = append(ids, id(i)); len(ids) == 100 || i+1 == dedupeCount+more {
			require.Nil(t, addPage(r, ids, i/100, 0))
			ids = nil
		}
	}
	assert.Equal(t, dedupeCount, r.ids.n)
	assert.EqualValues(t, more/100-1, r.oldestBefore(1<<40), "the newest page was compared with ids that are forgotten since")
	assert.True(t, addID(r, id(more), 1<<20, 0), "the oldest that is remembered")
	assert.False(t, addID(r, id(more-1), 1<<20, 0), "the newest that is forgotten")
	assert.LessOrEqual(t, len(r.order), 2*dedupeCount+1)
}

// TestIDsOfARestart checks that an event has the same verdict after a restart before its page was finished, also if it is a duplicate of the
// oldest event of those that are remembered.
func TestIDsOfARestart(t *testing.T) {
	const size, newest = 64, dedupeCount/64 + 3
	page := func(seq uint64) (ids []uint64) {
		for i := range uint64(size) {
			ids = append(ids, 1+(seq*size+i)*0x9e3779b97f4a7c15)
		}
		return ids
	}
	last := slices.Concat(page(newest), page(newest+1), page(newest+2))
	last[0] = page(newest - dedupeCount/size)[0]
	read := func(from uint64) (r *recentIDs, known map[int]bool) {
		r = newRecentIDs()
		for seq := from; seq < newest; seq++ {
			addPage(r, page(seq), seq, 0)
		}
		return r, addPage(r, last, newest, 0)
	}
	r, known := read(1)
	assert.Equal(t, map[int]bool{0: true}, known)
	_, known = read(r.oldestBefore(newest))
	assert.Equal(t, map[int]bool{0: true}, known)
}

// TestIDsAreRememberedForTheirTime checks that an id is remembered for ten minutes, and not longer.
func TestIDsAreRememberedForTheirTime(t *testing.T) {
	for later, known := range map[time.Duration]bool{0: true, dedupeTime: true, dedupeTime + time.Millisecond: false} {
		r := newRecentIDs()
		assert.False(t, addID(r, 7, 1, 1000))
		assert.False(t, addID(r, 8, 2, 1000+later.Milliseconds()))
		assert.Equal(t, known, addID(r, 7, 3, 1000+later.Milliseconds()), later)
	}
}
