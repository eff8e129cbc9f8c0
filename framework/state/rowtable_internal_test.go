package state

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
)

// randomWrite returns a write of random rows of few identities, and these rows.
func randomWrite(random *rand.Rand, identities int) (unmergedWrite, map[string]*memberRow) {
	rows := map[string]*memberRow{}
	for range 1 + random.IntN(5) {
		c := compactRow{flags: uint8(random.IntN(isKnown)) | isKnown, turns: random.Int32()}
		for _, moment := range c.times() {
			if moment != nil {
				*moment = random.Int64() - random.Int64()
			}
		}
		e := c.expand(strings.Repeat("user", random.IntN(3)) + fmt.Sprint(random.IntN(identities)))
		for slot := range random.IntN(MaxHistory) {
			e.added = append(e.added, historyRow{slot: int64(slot), decided: random.Int64(), outcome: outcomeDelivered})
		}
		e.changed = true
		rows[e.identity] = e
	}
	return unmergedWrite{changes: string(encodeWrite(rows))}, rows
}

// A table has the rows that a map of the same writes has, whatever their order and number.
func TestRowTableIsAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for range 30 {
		table, other, plain, all := &rowTable{}, &rowTable{}, map[string]compactRow{}, map[string]*memberRow{}
		identities := 1 + random.IntN(200)
		for i := range random.IntN(100) {
			w, rows := randomWrite(random, identities)
			if i < 50 {
				require.NoError(t, table.add(w.changes))
			} else {
				require.NoError(t, other.add(w.changes))
			}
			maps.Copy(all, rows)
		}
		for identity, e := range all {
			plain[identity] = e.compact()
		}
		if random.IntN(2) == 0 {
			table.keep([]string{"none", "none", "kept"}, map[string]*memberRow{"kept": {identity: "kept", member: true}})
			plain["none"], plain["kept"] = compactRow{}, compactRow{flags: isMember | isKnown}
		}
		table.addAll(other)
		require.Equal(t, len(plain), table.len())
		for identity, want := range plain {
			c, exists := table.find(identity, hashIdentity(identity))
			require.True(t, exists)
			require.Equal(t, want, c)
		}
		for _, identity := range []string{"", "userx", "201"} {
			_, exists := table.find(identity, hashIdentity(identity))
			require.False(t, exists)
		}
	}
	_, exists := (*rowTable)(nil).find("u1", hashIdentity("u1"))
	assert.False(t, exists)
	assert.ErrorIs(t, (&rowTable{}).add("\x00\x05u1"), errDamaged)
}

// Identities with the same hash are told apart.
func TestRowTableTellsCollisionsApart(t *testing.T) {
	rows := map[string]*memberRow{}
	for i := range 100 {
		e := &memberRow{identity: fmt.Sprint("u", i), turns: int64(i), changed: true}
		rows[e.identity] = e
	}
	table, text := &rowTable{}, newRowText(string(encodeWrite(rows)))
	table.texts = append(table.texts, text)
	require.NoError(t, text.each(func(identity string, at uint32) { table.set(identity, rowSlot{1, 1, at}) }))
	for identity, e := range rows {
		c, exists := table.find(identity, 1)
		require.True(t, exists)
		require.Equal(t, e.turns, int64(c.turns))
	}
	_, exists := table.find("u100", 1)
	assert.False(t, exists)
}

// The versions of rows are read as a map collects them: the last one counts, with the newest history of all, in the order of the identities.
func TestRowVersionsAreCollected(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	for range 30 {
		var writes []unmergedWrite
		plain := map[string]*memberRow{}
		for range random.IntN(60) {
			w, rows := randomWrite(random, 1+random.IntN(50))
			writes = append(writes, w)
			for identity, e := range rows {
				if was := plain[identity]; was != nil {
					e.added = append(slices.Clone(was.added), e.added...)
				}
				e.added = e.added[max(0, len(e.added)-MaxHistory):]
				plain[identity] = e
			}
		}
		versions, err := newRowVersions(writes)
		require.NoError(t, err)
		require.Equal(t, len(plain), versions.identities)
		list := versions.all()
		require.Equal(t, slices.Sorted(maps.Keys(plain)), identitiesOf(list))
		for _, e := range list {
			require.True(t, slices.Equal(plain[e.identity].added, e.added))
			e.added, plain[e.identity].added = nil, nil
			require.Equal(t, plain[e.identity], e)
		}
	}
	_, err := newRowVersions([]unmergedWrite{{changes: "\x00\x05u1"}})
	assert.ErrorIs(t, err, errDamaged)
}

func identitiesOf(rows []*memberRow) (list []string) {
	for _, e := range rows {
		list = append(list, e.identity)
	}
	return list
}

// Audiences without rows in memory are dropped, and can be used as before. Those with rows stay.
func TestIdleAudiencesAreDropped(t *testing.T) {
	s := unmergedStore(t, t.TempDir(), 1<<20)
	l := s.Ledger("main")
	record := func(n int) {
		require.NoError(t, l.Record(t.Context(), vipAudience, []destination.Change{{Identity: fmt.Sprint("u", n), Member: true, At: second(n)}}))
	}
	record(1)
	used, idle := s.recentOf("main", vipAudience.ID), s.recentOf("main", "unknown")
	for i := range 3 * leastRecent {
		_ = s.recentOf("main", fmt.Sprint("aud_", i))
	}
	assert.LessOrEqual(t, len(s.recent), leastRecent)
	assert.Same(t, used, s.recentOf("main", vipAudience.ID))
	assert.NotSame(t, idle, s.recentOf("main", "unknown"))
	size := s.unmergedTotal.Load()
	assert.Equal(t, used.unmergedSize(), size)

	w, _ := randomWrite(rand.New(rand.NewPCG(1, 1)), 5) // a caller still has the dropped one
	w.id = 1
	require.NoError(t, idle.addLocked(w))
	idle.keep(&audienceRow{}, []string{"u1"}, nil)
	assert.Equal(t, size, s.unmergedTotal.Load())
	assert.Zero(t, s.readTotal.Load())

	require.NoError(t, s.mergeAllWrites(t.Context()))
	_, err := l.Lookup(t.Context(), vipAudience.ID, []string{"u1"}) // which finds out that they are merged
	require.NoError(t, err)
	s.forgetRead()
	s.recentMu.Lock()
	s.recentKept = 0
	for i := len(s.recent); i < leastRecent; i++ {
		s.recent[recentKey{"main", fmt.Sprint("more_", i)}] = &recentRows{store: s}
	}
	s.recentMu.Unlock()
	_ = s.recentOf("main", "another")
	assert.Len(t, s.recent, 1)
	record(2)
	records, err := l.Lookup(t.Context(), vipAudience.ID, []string{"u1", "u2"})
	require.NoError(t, err)
	assert.True(t, records[0].Member && records[1].Member)
}
