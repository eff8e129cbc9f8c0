package state

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
)

// entries returns entries of n users at a second.
func entries(from, n, at int) []destination.Change {
	changes := make([]destination.Change, n)
	for i := range changes {
		changes[i] = destination.Change{Identity: fmt.Sprintf("u%06d", (from+i)*7919%1000003), Member: true, At: second(at)}
	}
	return changes
}

// A write merges a portion of the unmerged writes, and no more. Meanwhile lookups see all rows, and newer writes stay unmerged.
func TestMergesAreDoneInPortions(t *testing.T) {
	s := unmergedStore(t, t.TempDir(), 1<<20)
	l := s.Ledger("main")
	require.NoError(t, l.Record(t.Context(), vipAudience, entries(0, 1000, 1)))
	assert.Zero(t, rowsOf(t, s, "members"))
	s.limits = recentLimits{unmerged: 20_000, unmergedTotal: 1 << 20, flush: math.MaxInt64, read: 1 << 20, portion: 50}
	merged := 0
	for n := 0; n < 20 && merged < 1000; n++ {
		require.NoError(t, l.Record(t.Context(), vipAudience, entries(10*n, 10, 2+n)))
		now := rowsOf(t, s, "members")
		assert.Equal(t, merged+50, now)
		merged = now
		records, err := l.Lookup(t.Context(), vipAudience.ID, []string{entries(0, 1, 0)[0].Identity, entries(10*n, 1, 0)[0].Identity, entries(999, 1, 0)[0].Identity, "u"})
		require.NoError(t, err)
		assert.Equal(t, second(2), records[0].At)
		assert.Equal(t, second(2+n), records[1].At)
		assert.Equal(t, second(1), records[2].At)
		assert.False(t, records[3].Known)
	}
	assert.Equal(t, 1000, merged)
	assert.Equal(t, 20, rowsOf(t, s, "unmerged"), "the writes since the merge began")
	require.NoError(t, s.mergeAllWrites(t.Context()))
	assert.Equal(t, 1000, rowsOf(t, s, "members"))
	assert.Equal(t, 200, rowsOf(t, s, "history"))
}

// Another process that purges the audience ends a merge: no older row is saved afterwards.
func TestMergesEndWhenTheAudienceIsChanged(t *testing.T) {
	location := t.TempDir()
	s, other := unmergedStore(t, location, 1<<20), unmergedStore(t, location, 1<<20)
	l := s.Ledger("main")
	require.NoError(t, l.Record(t.Context(), vipAudience, entries(0, 200, 1)))
	s.limits = recentLimits{unmerged: 1000, unmergedTotal: 1 << 20, flush: math.MaxInt64, read: 1 << 20, portion: 50}
	require.NoError(t, l.Record(t.Context(), vipAudience, entries(500, 1, 2)))
	require.NotNil(t, s.merger.current)
	require.NoError(t, other.MarkAllUncertain(t.Context()))
	require.NoError(t, l.Record(t.Context(), vipAudience, entries(501, 1, 3)))
	assert.Nil(t, s.merger.current)
	records, err := l.Lookup(t.Context(), vipAudience.ID, []string{entries(199, 1, 0)[0].Identity, entries(501, 1, 0)[0].Identity})
	require.NoError(t, err)
	assert.True(t, records[0].Member && records[0].Uncertain)
	assert.True(t, records[1].Member && !records[1].Uncertain)
}

// Writes that wait for the same commit are all saved, also if one of them fails.
func TestWritesThatWaitShareACommit(t *testing.T) {
	s := unmergedStore(t, t.TempDir(), 1<<20)
	l := s.Ledger("main")
	tx, err := s.hot.BeginTx(t.Context(), nil) // the connection is in use: writes wait
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	errs := make([]error, 8)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			ctx := ctx
			if i != 3 {
				ctx = t.Context()
			}
			errs[i] = l.Record(ctx, destination.Audience{ID: fmt.Sprintf("aud_%d", i%5)}, entries(100*i, 10, 1))
		})
		require.Eventually(t, func() bool {
			s.groups.mu.Lock()
			defer s.groups.mu.Unlock()
			return s.groups.leading && len(s.groups.waiting) == i
		}, time.Minute, time.Millisecond)
	}
	cancel()
	require.NoError(t, tx.Rollback())
	all.Wait()
	for i, err := range errs {
		assert.Equal(t, i == 3, err != nil, "%d: %v", i, err)
	}
	sizes, err := l.Sizes(t.Context())
	require.NoError(t, err)
	total := 0
	for _, size := range sizes {
		total += int(size.Members)
	}
	assert.Equal(t, 70, total)
}

// A write that panics holds up neither the writes of its group nor later ones.
func TestPanicOfAWriteHoldsUpNoOther(t *testing.T) {
	s := unmergedStore(t, t.TempDir(), 1<<20)
	tx, err := s.hot.BeginTx(t.Context(), nil) // the connection is in use: writes wait
	require.NoError(t, err)
	var all sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		all.Go(func() {
			if i == 1 {
				defer func() { assert.Equal(t, "broken", recover()) }()
			}
			errs[i] = s.writeAudience(t.Context(), recentKey{"main", fmt.Sprint(i)}, func(*sql.Tx) error {
				if i == 1 {
					panic("broken")
				}
				return nil
			})
		})
		require.Eventually(t, func() bool {
			s.groups.mu.Lock()
			defer s.groups.mu.Unlock()
			return s.groups.leading && len(s.groups.waiting) == i
		}, time.Minute, time.Millisecond)
	}
	require.NoError(t, tx.Rollback())
	all.Wait()
	assert.NoError(t, s.Ledger("main").Record(t.Context(), destination.Audience{ID: "aud"}, entries(0, 10, 1)))
	assert.NoError(t, errs[0])
	assert.ErrorIs(t, errs[2], errAbandoned, "it was in the same group")
}

// A group has at most one write of an audience.
func TestGroupsHaveOneWriteOfAnAudience(t *testing.T) {
	var writes []*groupedWrite
	for _, id := range []string{"a", "b", "a", "c", "b"} {
		writes = append(writes, &groupedWrite{key: recentKey{"main", id}})
	}
	g := writeGroups{waiting: writes}
	assert.Equal(t, []*groupedWrite{writes[0], writes[1], writes[3]}, g.next(writes[0]))
	assert.Equal(t, []*groupedWrite{writes[2], writes[4]}, g.next(writes[2]))
	assert.Empty(t, g.waiting)
}
