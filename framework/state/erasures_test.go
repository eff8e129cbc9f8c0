package state_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/state"
)

// TestErasuresAreStored checks the life of an erasure, from the request to the end of its receipt, and the lease.
func TestErasuresAreStored(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		s := open(t, location)
		version := func() string {
			v, err := s.ErasuresVersion(t.Context())
			require.NoError(t, err)
			return v
		}
		none := version()
		add := func(most int, ids ...string) bool {
			var list []state.Erasure
			for i, id := range ids {
				list = append(list, state.Erasure{ID: id, At: at(i), Sealed: "sealed", Doc: `{}`})
			}
			added, err := s.AddErasures(t.Context(), list, most)
			require.NoError(t, err)
			return added
		}
		require.True(t, add(2, "a", "b"))
		pending, err := state.InspectErasures(t.Context(), location, "")
		require.NoError(t, err)
		assert.Equal(t, []state.Erasure{{ID: "a", At: at(0), Sealed: "sealed", Doc: "{}"}, {ID: "b", At: at(1), Sealed: "sealed", Doc: "{}"}}, pending)
		require.False(t, add(2, "c"), "too many wait")
		two := version()
		assert.NotEqual(t, none, two)
		list, err := s.Erasures(t.Context(), time.Time{})
		require.NoError(t, err)
		require.Equal(t, []state.Erasure{{ID: "b", At: at(1), Sealed: "sealed", Doc: "{}"}, {ID: "a", At: at(0), Sealed: "sealed", Doc: "{}"}}, list)
		latest, err := s.LatestErasures(t.Context(), 1)
		require.NoError(t, err)
		assert.Equal(t, list[:1], latest)
		found, ok, err := s.ErasureByID(t.Context(), "a")
		require.NoError(t, err)
		assert.True(t, ok)
		assert.Equal(t, list[1], found)
		for _, id := range []string{"", "none"} {
			_, ok, err = s.ErasureByID(t.Context(), id)
			require.NoError(t, err)
			assert.False(t, ok)
		}
		require.NoError(t, s.UpdateErasure(t.Context(), state.Erasure{ID: "a", Done: at(9), Doc: `{"x":1}`}))
		assert.NotEqual(t, two, version())
		require.ErrorIs(t, s.UpdateErasure(t.Context(), state.Erasure{ID: "a"}), state.ErrErasureGone)
		require.True(t, add(2, "c"))
		for since, want := range map[time.Time]int{{}: 3, at(9): 3, at(10): 2} {
			list, err := s.Erasures(t.Context(), since)
			require.NoError(t, err)
			assert.Len(t, list, want, since)
		}
		require.NoError(t, s.TrimErasures(t.Context(), at(9)))
		require.NoError(t, s.TrimErasures(t.Context(), at(10)))
		list, err = s.Erasures(t.Context(), time.Time{})
		require.NoError(t, err)
		assert.Len(t, list, 2)

		hold := func(holder string) bool {
			held, err := s.HoldErasures(t.Context(), holder, time.Minute)
			require.NoError(t, err)
			return held
		}
		assert.True(t, hold("one"))
		assert.True(t, hold("one"))
		assert.False(t, hold("two"))
		require.NoError(t, s.ReleaseErasures(t.Context(), "one"))
		assert.True(t, hold("two"))
		list, err = s.Erasures(t.Context(), time.Time{})
		require.NoError(t, err)
		assert.Len(t, list, 2, "the lease is no erasure")
		require.NoError(t, s.Scrub(t.Context()))
	})
}

// TestTextsAreErased rewrites the journal and deletes values on both databases.
func TestTextsAreErased(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		s := open(t, location)
		var entries []state.JournalEntry
		for i := range 1200 { // more than a page
			entries = append(entries, state.JournalEntry{Kind: "k", At: at(0), Data: []string{"keep", "drop", "change"}[i%3]})
		}
		require.NoError(t, s.AppendJournal(t.Context(), entries))
		rewrite := func() int {
			n, err := s.RewriteJournal(t.Context(), func(e state.JournalEntry) (string, bool) {
				if e.Data == "change" {
					return "changed", true
				}
				return e.Data, e.Data != "drop"
			})
			require.NoError(t, err)
			return n
		}
		assert.Equal(t, 800, rewrite())
		assert.Zero(t, rewrite())
		counts := map[string]int{}
		require.NoError(t, s.Journal(t.Context(), state.JournalQuery{Kinds: []string{"k"}}, func(e state.JournalEntry) bool { counts[e.Data]++; return true }))
		assert.Equal(t, map[string]int{"keep": 400, "changed": 400}, counts)

		l := s.Ledger("main")
		for key, value := range map[string]string{"a": "user u1", "u1": "x", "b": "user u2"} {
			require.NoError(t, l.Put(t.Context(), key, value))
		}
		n, err := s.EraseValues(t.Context(), func(text string) bool { return text == "user u1" || text == "u1" })
		require.NoError(t, err)
		assert.Equal(t, 2, n)
		_, ok, err := l.Get(t.Context(), "b")
		require.NoError(t, err)
		assert.True(t, ok)
	})
}

// A state that does not exist, or has no erasures yet, has none, and stays as it is.
func TestInspectErasuresChangesNothing(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		list, err := state.InspectErasures(t.Context(), dir, "")
		require.NoError(t, err)
		assert.Empty(t, list)
		files, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Empty(t, files)
	}
	_, err := state.InspectErasures(t.Context(), "postgres://nobody:wrong@127.0.0.1:1/none", "")
	assert.Error(t, err)
}
