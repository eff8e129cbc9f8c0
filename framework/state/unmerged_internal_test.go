package state

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/state/statetest"
)

// unmergedStore opens a store that merges the unmerged writes of an audience above a number of bytes, and keeps few rows of the table members in memory.
func unmergedStore(t *testing.T, location string, limit int64) *Store {
	t.Helper()
	s, err := Open(t.Context(), location)
	require.NoError(t, err)
	s.limits = recentLimits{unmerged: limit, unmergedTotal: 2 * limit, flush: math.MaxInt64, read: 6000, portion: 3}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// ledgerStep returns a random operation on a ledger. It returns the same operation for the same seed.
func ledgerStep(seed uint64) func(t *testing.T, s *Store) {
	random := rand.New(rand.NewPCG(seed, 1))
	a := destination.Audience{ID: fmt.Sprintf("aud_%d", random.IntN(3)), Name: "name"}
	instance := fmt.Sprintf("instance-%d", random.IntN(2))
	var changes []destination.Change
	var notes []destination.Note
	for range 1 + random.IntN(6) {
		c := destination.Change{Identity: fmt.Sprintf("u\x00%d", random.IntN(12)), Member: random.IntN(2) == 0, At: second(random.IntN(1000)), Unchanged: random.IntN(8) == 0}
		changes = append(changes, c)
		notes = append(notes, destination.Note{Identity: c.Identity, At: c.At, Member: c.Member, Outcome: "refused", Reason: "r" + strconv.Itoa(random.IntN(9))})
	}
	kind, moment, erased := random.IntN(56), second(random.IntN(1000)), changes[0].Identity
	return func(t *testing.T, s *Store) {
		l := s.Ledger(instance)
		var err error
		switch {
		case kind < 12:
			err = l.MarkUncertain(t.Context(), a, slices.Clone(changes))
		case kind < 26:
			err = l.Record(t.Context(), a, slices.Clone(changes))
		case kind < 31:
			err = l.Annotate(t.Context(), a, notes)
		case kind < 33:
			_, err = l.Decide(t.Context(), a, slices.Clone(changes))
		case kind < 34:
			err = l.Purge(t.Context(), a, moment)
		case kind < 35:
			err = l.DecideAll(t.Context(), a, moment)
		case kind < 36:
			err = s.MarkAllUncertain(t.Context())
		case kind < 37:
			err = l.Rename(t.Context(), "instance-0")
		case kind < 38 && moment.Unix()%4 == 0:
			err = l.Forget(t.Context())
		case kind < 39:
			err = s.EraseMembers(t.Context(), func(identity string) bool { return identity == erased }, func(ErasedMember) {})
		case kind < 40:
			_, err = s.TrimHistory(t.Context(), time.Now().Add(time.Hour))
		case kind < 41:
			err = errors.Join(s.Downgrade(t.Context()), s.Upgrade(t.Context()))
		case kind < 44:
			err = l.settle(t.Context(), a.ID)
		default:
			n := min(int(moment.Unix()%7), len(changes))
			err = updateLedger(t, l, a, destination.MemberUpdate{
				Accepted: slices.Clone(changes[:n]), Notes: notes[:n/2], Uncertain: slices.Clone(changes[n/2:])})
		}
		require.NoError(t, err)
	}
}

// updateLedger writes an update at once, or one part after the other if the ledger merges every write.
func updateLedger(t *testing.T, l *Ledger, a destination.Audience, u destination.MemberUpdate) error {
	if l.store.limits.unmerged > 0 {
		return l.Update(t.Context(), a, u)
	}
	return errors.Join(l.Record(t.Context(), a, u.Accepted), l.Annotate(t.Context(), a, u.Notes), l.MarkUncertain(t.Context(), a, u.Uncertain))
}

// describeLedger describes all that a store has of an instance: what lookups return, and with all set also what is in its tables.
func describeLedger(t *testing.T, s *Store, instance string, all bool) (text string) {
	t.Helper()
	l, names := s.Ledger(instance), []string{}
	for i := range 12 {
		names = append(names, fmt.Sprintf("u\x00%d", i))
	}
	for i := range 3 {
		id := fmt.Sprintf("aud_%d", i)
		records, err := l.Lookup(t.Context(), id, names)
		require.NoError(t, err)
		text += fmt.Sprintf("%s %+v\n", id, records)
		for _, name := range names[3*i : 3*i+3] {
			m, history, ok, err := l.Find(t.Context(), id, name)
			require.NoError(t, err)
			text += fmt.Sprintf("%q %v %+v %v %v:", name, ok, m.Record, m.Delivered.IsZero(), m.Confirmed.IsZero())
			for _, h := range history {
				text += fmt.Sprintf(" %v %v %s %s;", h.At, h.Member, h.Outcome, h.Reason)
			}
			text += "\n"
		}
		if all {
			require.NoError(t, l.Each(t.Context(), id, "", func(m Membership) error { text += fmt.Sprintf("%q %+v\n", m.Identity, m.Record); return nil }))
			for _, since := range []time.Time{time.Now().Add(-time.Hour), time.Now().Add(time.Hour)} {
				require.NoError(t, l.EachChanged(t.Context(), id, since, func(identity string) error { text += fmt.Sprintf("%q ", identity); return nil }))
			}
			require.NoError(t, l.eachState(t.Context(), id, func(identity string, state MemberState) error {
				text += fmt.Sprintf("%q %v ", identity, state)
				return nil
			}))
		}
	}
	sizes, err := l.Sizes(t.Context())
	require.NoError(t, err)
	return text + fmt.Sprintf("%+v", sizes)
}

// Two processes that share a database, one of which is replaced now and then, with rows in memory, see the same as one that merges each
// write at once and has nothing in memory.
func TestUnmergedWritesChangeNothing(t *testing.T) {
	check := func(t *testing.T, plainLocation, location string, steps int, flush int64) {
		plain := unmergedStore(t, plainLocation, 0)
		openStore := func(limit int64) *Store {
			s := unmergedStore(t, location, limit)
			s.limits.flush = flush
			return s
		}
		stores := []*Store{openStore(1000), openStore(300)}
		random, inFiles := rand.New(rand.NewPCG(3, uint64(steps))), 0
		for n := range steps {
			step := ledgerStep(uint64(n))
			step(t, plain)
			require.NoError(t, plain.mergeAllWrites(t.Context()))
			plain.recent = map[recentKey]*recentRows{}
			i := random.IntN(2)
			step(t, stores[i])
			if random.IntN(40) == 0 { // as a process that is killed: its unmerged writes stay
				require.NoError(t, stores[i].closeConnections())
				stores[i] = openStore(1000)
			}
			if stores[i].IsLocal() && random.IntN(50) == 0 { // all continue with a copy
				location = t.TempDir()
				require.NoError(t, stores[i].Backup(t.Context(), filepath.Join(location, FileName)))
				require.NoError(t, errors.Join(stores[0].closeConnections(), stores[1].closeConnections()))
				stores = []*Store{openStore(1000), openStore(300)}
			}
			for instance := range 2 {
				name := fmt.Sprintf("instance-%d", instance)
				require.Equal(t, describeLedger(t, plain, name, n%16 == 0), describeLedger(t, stores[random.IntN(2)], name, n%16 == 0), "step %d", n)
			}
			if flush == 0 {
				inFiles += rowsOf(t, stores[0], "member_files")
			}
		}
		assert.Equal(t, flush == 0, inFiles > steps, inFiles)
	}
	t.Run("sqlite", func(t *testing.T) { check(t, t.TempDir(), t.TempDir(), 120, math.MaxInt64) })
	t.Run("member files", func(t *testing.T) { check(t, t.TempDir(), t.TempDir(), 400, 0) })
	t.Run("postgres", func(t *testing.T) { check(t, t.TempDir(), statetest.Postgres(t), 60, math.MaxInt64) })
	t.Run("postgres and member files", func(t *testing.T) { check(t, t.TempDir(), statetest.Postgres(t), 150, 0) })
}

// The unmerged writes and the rows in memory stay within their limits, which writes may exceed by a half while they are merged in portions.
func TestUnmergedWritesAreBounded(t *testing.T) {
	s := unmergedStore(t, t.TempDir(), 4000)
	for n := range 300 {
		var changes []destination.Change
		for i := range 10 {
			changes = append(changes, destination.Change{Identity: fmt.Sprintf("u%d", n*10+i), Member: true, At: second(n)})
		}
		a := destination.Audience{ID: fmt.Sprintf("aud_%d", n%7)}
		require.NoError(t, s.Ledger("main").Record(t.Context(), a, changes))
		require.LessOrEqual(t, s.unmergedTotal.Load(), int64(8000+4000))
		_, err := s.Ledger("main").Lookup(t.Context(), a.ID, []string{fmt.Sprintf("x%d", n)})
		require.NoError(t, err)
		require.LessOrEqual(t, s.readTotal.Load(), s.limits.read+4000, "by what a merge or a look-up adds")
	}
	var size int64
	require.NoError(t, s.db.QueryRowContext(t.Context(), `SELECT SUM(LENGTH(changes)) FROM unmerged`).Scan(&size))
	assert.Equal(t, s.unmergedTotal.Load(), size)
	assert.Less(t, rowsOf(t, s, "members"), 3000)
	s.forgetRead()
	assert.Zero(t, s.readTotal.Load())
	require.NoError(t, s.mergeAllWrites(context.WithoutCancel(t.Context())))
	assert.Equal(t, 3000, rowsOf(t, s, "members"))
	assert.Zero(t, rowsOf(t, s, "unmerged"))
}

// An unmerged write is decoded as it was, and damage is found.
func TestUnmergedRowsAreEncoded(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		rows := map[string]*memberRow{}
		for i := range 1 + random.IntN(5) {
			c := compactRow{flags: uint8(random.IntN(isKnown)), turns: random.Int32()}
			for _, moment := range c.times() {
				if moment != nil {
					*moment = random.Int64() - random.Int64()
				}
			}
			e := c.expand(fmt.Sprintf("ü\x00%d", i))
			for slot := range random.IntN(3) {
				e.added = append(e.added, historyRow{int64(slot), random.Int64(), -random.Int64(), slot == 0, []string{outcomeDelivered, "refused"}[random.IntN(2)], "why"})
			}
			e.changed = true
			rows[e.identity] = e
		}
		data, decoded := encodeWrite(rows), map[string]*memberRow{}
		places := map[string]uint32{}
		text := newRowText(string(data))
		require.NoError(t, text.each(func(identity string, at uint32) { places[identity] = at }))
		for identity, at := range places {
			c := text.state(at)
			decoded[identity] = c.expand(text.identity(at))
			decoded[identity].added, decoded[identity].changed = text.history(at), true
		}
		require.Equal(t, rows, decoded)
		text = newRowText(string(data[:len(data)-1]))
		require.ErrorIs(t, text.each(func(string, uint32) {}), errDamaged)
	}
	assert.Nil(t, encodeWrite(map[string]*memberRow{"u1": {identity: "u1"}}))
}

// After a merge, the rows of the unmerged writes stay in memory, and replace those that were read before.
func TestMergedRowsStayInMemory(t *testing.T) {
	s := unmergedStore(t, t.TempDir(), 0)
	record := func(identity string, n int) {
		require.NoError(t, s.Ledger("main").Record(t.Context(), vipAudience, []destination.Change{{Identity: identity, Member: true, At: second(n)}}))
	}
	look := func() destination.Record {
		records, err := s.Ledger("main").Lookup(t.Context(), vipAudience.ID, []string{"u1"})
		require.NoError(t, err)
		return records[0]
	}
	record("u1", 1)
	require.NoError(t, s.mergeAllWrites(t.Context()))
	assert.Equal(t, second(1), look().At)
	record("u1", 2)
	record("u2", 3) // merges first
	assert.Equal(t, 1, rowsOf(t, s, "unmerged"))
	_, err := s.db.ExecContext(t.Context(), `ALTER TABLE members RENAME TO unusable`)
	require.NoError(t, err)
	assert.Equal(t, second(2), look().At)
	_, err = s.db.ExecContext(t.Context(), `ALTER TABLE unusable RENAME TO members`)
	require.NoError(t, err)
}

// Unmerged writes that another process has extended or merged count no longer once they are merged, so that later writes need not merge them again.
func TestMergedWritesOfAnotherProcessDoNotCount(t *testing.T) {
	dir := t.TempDir()
	s, other := unmergedStore(t, dir, 1000), unmergedStore(t, dir, 1<<20)
	record := func(s *Store, audience string, n int) {
		change := []destination.Change{{Identity: fmt.Sprintf("u%d", n), Member: true, At: second(n)}}
		require.NoError(t, s.Ledger("main").Record(t.Context(), destination.Audience{ID: audience}, change))
	}
	for _, byOther := range []func(){
		func() { record(other, "large", 1000) },
		func() { require.NoError(t, other.mergeAllWrites(t.Context())) },
		func() { require.NoError(t, other.Ledger("main").Forget(t.Context())) },
	} {
		for n := range 10 {
			record(s, "large", n)
		}
		byOther()
		s.limits.unmergedTotal = 1
		record(s, "small", 1)
		assert.Zero(t, s.recentOf("main", "large").unmergedSize())
		s.limits.unmergedTotal = 2000
		records, err := s.Ledger("main").Lookup(t.Context(), "small", []string{"u1"})
		require.NoError(t, err)
		assert.True(t, records[0].Member)
	}
}

// A time from a wrong clock counts as one of the server's clock, also in memory and in unmerged writes, so that later events can change the row.
func TestFutureTimesAreLimitedEverywhere(t *testing.T) {
	dir := t.TempDir()
	s := openLocal(t, dir)
	ahead := destination.Change{Identity: "u1", Member: true, At: time.Now().Add(72 * time.Hour)}
	require.NoError(t, s.Ledger("main").Record(t.Context(), vipAudience, []destination.Change{ahead}))
	check := func(where string) {
		records, err := s.Ledger("main").Lookup(t.Context(), vipAudience.ID, []string{"u1"})
		require.NoError(t, err)
		assert.True(t, records[0].Member, where)
		assert.WithinDuration(t, time.Now(), records[0].At, 5*time.Minute, where)
	}
	check("in memory")
	s.recent = map[recentKey]*recentRows{}
	check("in an unmerged write")
	require.NoError(t, s.mergeAllWrites(t.Context()))
	check("in the table")
	exit := destination.Change{Identity: "u1", At: time.Now().Add(2 * time.Minute)}
	require.NoError(t, s.Ledger("main").Record(t.Context(), vipAudience, []destination.Change{exit}))
	size, ok, err := s.Ledger("main").Audience(t.Context(), vipAudience.ID)
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Zero(t, size.Members)
}

// A damaged unmerged write is an error of every call that needs it, and of Close, which leaves it where it is.
func TestDamagedWritesAreReported(t *testing.T) {
	dir := t.TempDir()
	s := openLocal(t, dir)
	l := s.Ledger("main")
	change := []destination.Change{{Identity: "u1", Member: true, At: second(1)}}
	require.NoError(t, l.Record(t.Context(), vipAudience, change))
	_, err := s.db.ExecContext(t.Context(), `UPDATE unmerged SET changes = x'ff'`)
	require.NoError(t, err)
	s.recent = map[recentKey]*recentRows{}
	for range 2 {
		_, err = l.Lookup(t.Context(), vipAudience.ID, []string{"u1"})
		require.ErrorIs(t, err, errDamaged)
		require.ErrorIs(t, l.Record(t.Context(), vipAudience, change), errDamaged)
		_, _, _, err = l.Find(t.Context(), vipAudience.ID, "u1")
		require.ErrorIs(t, err, errDamaged)
	}
	require.ErrorIs(t, s.Close(), errDamaged)
	s = openLocal(t, dir)
	assert.Equal(t, 1, rowsOf(t, s, "unmerged"))
}
