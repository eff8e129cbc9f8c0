package state_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/state"
)

// TestErasedValues checks that the values that name a user are deleted in all ledgers, by their key or their text, and no others.
func TestErasedValues(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		s := open(t, location)
		for _, instance := range []string{"main", "other"} {
			for key, value := range map[string]string{"resync/vip": "external_id:u1", "operation/u1": "7", "hook": "id of u2"} {
				require.NoError(t, s.Ledger(instance).Put(t.Context(), key, value))
			}
		}
		erase := func() int {
			erased, err := s.EraseValues(t.Context(), func(text string) bool { return strings.Contains(text, "u1") })
			require.NoError(t, err)
			return erased
		}
		assert.Equal(t, 4, erase())
		for _, instance := range []string{"main", "other"} {
			for key, want := range map[string]string{"resync/vip": "", "operation/u1": "", "hook": "id of u2"} {
				value, _, err := s.Ledger(instance).Get(t.Context(), key)
				require.NoError(t, err)
				assert.Equal(t, want, value, "%s %s", instance, key)
			}
		}
		assert.Zero(t, erase(), "again")
	})
}

// TestRewrittenJournal checks which entries are replaced and deleted, over several pages.
func TestRewrittenJournal(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		s := open(t, location)
		var entries []state.JournalEntry
		for i := range 1200 {
			entries = append(entries, state.JournalEntry{Kind: []string{"a", "b"}[i%2], At: at(0), Data: []string{"of u1", "of u1 and u2", "of u3"}[i%3]})
		}
		require.NoError(t, s.AppendJournal(t.Context(), entries))
		rewrite := func() int {
			changed, err := s.RewriteJournal(t.Context(), func(e state.JournalEntry) (string, bool) {
				return strings.TrimPrefix(e.Data, "of u1 and "), e.Data != "of u1"
			})
			require.NoError(t, err)
			return changed
		}
		assert.Equal(t, 800, rewrite())
		counts := map[string]int{}
		require.NoError(t, s.Journal(t.Context(), state.JournalQuery{Kinds: []string{"a", "b"}}, func(e state.JournalEntry) bool {
			counts[e.Data]++
			return true
		}))
		assert.Equal(t, map[string]int{"u2": 400, "of u3": 400}, counts)
		assert.Zero(t, rewrite(), "again")
	})
}
