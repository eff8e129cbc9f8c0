package state_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/state"
)

// journalOf returns the data of the entries of a query.
func journalOf(t *testing.T, s *state.Store, q state.JournalQuery) (list []string) {
	t.Helper()
	require.NoError(t, s.Journal(t.Context(), q, func(e state.JournalEntry) bool {
		list = append(list, e.Data)
		return true
	}))
	return list
}

func TestJournal(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		s, err := state.Open(t.Context(), location)
		require.NoError(t, err)
		defer s.Close()
		at := time.Now().UTC().Truncate(time.Microsecond)
		require.NoError(t, s.AppendJournal(t.Context(), nil))
		require.NoError(t, s.AppendJournal(t.Context(), []state.JournalEntry{
			{Kind: "a", At: at.Add(-2 * time.Hour), Low: 3, High: 5, Data: "old\x00text"},
			{Kind: "b", At: at.Add(-time.Hour), Data: "other"},
			{Kind: "a", At: at, Low: 7, High: 9, Data: "0123456789"},
			{Kind: "a", At: at, Low: 9, High: 9, Data: "abcdefghij"},
		}))
		all := state.JournalQuery{Kinds: []string{"a"}}
		assert.Equal(t, []string{"abcdefghij", "0123456789", "old\x00text"}, journalOf(t, s, all))
		for _, c := range []struct {
			name  string
			query state.JournalQuery
			want  []string
		}{
			{"both kinds", state.JournalQuery{Kinds: []string{"a", "b"}, Limit: 3}, []string{"abcdefghij", "0123456789", "other"}},
			{"since", state.JournalQuery{Kinds: []string{"a", "b"}, Since: at.Add(-90 * time.Minute)}, []string{"abcdefghij", "0123456789", "other"}},
			{"until", state.JournalQuery{Kinds: []string{"a", "b"}, Until: at}, []string{"other", "old\x00text"}},
			{"pages", state.JournalQuery{Kinds: []string{"a"}, Seqs: []uint64{4, 9}}, []string{"abcdefghij", "0123456789", "old\x00text"}},
			{"pages between", state.JournalQuery{Kinds: []string{"a"}, Seqs: []uint64{2, 6}}, nil},
			{"pages and a limit", state.JournalQuery{Kinds: []string{"a"}, Seqs: []uint64{4, 9}, Limit: 1}, []string{"abcdefghij"}},
		} {
			assert.Equal(t, c.want, journalOf(t, s, c.query), c.name)
		}
		require.NoError(t, s.TrimJournal(t.Context(), "a", at, 3*time.Hour, 20))
		assert.Equal(t, []string{"abcdefghij", "0123456789"}, journalOf(t, s, all), "the oldest go first")
		require.NoError(t, s.TrimJournal(t.Context(), "a", at.Add(100*time.Hour), 0, 20))
		assert.Len(t, journalOf(t, s, all), 2, "the age does not count")
		require.NoError(t, s.TrimJournal(t.Context(), "a", at.Add(time.Hour), time.Minute, 20))
		assert.Empty(t, journalOf(t, s, all), "all are too old")
		assert.Equal(t, []string{"other"}, journalOf(t, s, state.JournalQuery{Kinds: []string{"b"}}), "other kinds stay")
	})
}

// TestJournalOfAWrongClock checks that entries which were written while the clock was ahead are deleted once entries behind them are too old, and not
// before.
func TestJournalOfAWrongClock(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		s, err := state.Open(t.Context(), location)
		require.NoError(t, err)
		defer s.Close()
		newest, err := s.NewestEntry(t.Context())
		require.NoError(t, err)
		assert.True(t, newest.IsZero())
		at := time.Now().UTC().Truncate(time.Microsecond)
		add := func(kind, data string, when time.Time) {
			require.NoError(t, s.AppendJournal(t.Context(), []state.JournalEntry{{Kind: kind, At: when, Data: data}}))
		}
		add("a", "ahead", at.AddDate(5, 0, 0))
		add("a", "behind", at)
		add("a", "newer", at.Add(2*time.Hour))
		add("b", "other", at.AddDate(5, 0, 0))
		newest, err = s.NewestEntry(t.Context())
		require.NoError(t, err)
		assert.Equal(t, at.AddDate(5, 0, 0), newest)
		kept := func(now time.Time) []string {
			require.NoError(t, s.TrimJournal(t.Context(), "a", now, 3*time.Hour, 1<<20))
			return journalOf(t, s, state.JournalQuery{Kinds: []string{"a"}})
		}
		assert.Equal(t, []string{"newer", "behind", "ahead"}, kept(at.Add(2*time.Hour)))
		assert.Equal(t, []string{"newer", "behind", "ahead"}, kept(at.AddDate(-50, 0, 0)), "the clock was set back")
		assert.Equal(t, []string{"newer"}, kept(at.Add(4*time.Hour)))
		assert.Equal(t, []string{"other"}, journalOf(t, s, state.JournalQuery{Kinds: []string{"b"}}))
	})
}
