package state_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/state"
)

// TestErasedMembersLeaveNoRemains erases members of two instances from a file in use, and searches its files for their identities.
func TestErasedMembersLeaveNoRemains(t *testing.T) {
	dir := t.TempDir()
	store, err := state.Open(t.Context(), dir)
	require.NoError(t, err)
	defer store.Close()
	start := time.Now()
	for _, instance := range []string{"one", "two"} {
		ledger, a := store.Ledger(instance), destination.Audience{ID: "a", Name: "a"}
		for round := range 3 {
			var changes []destination.Change
			for i := range 200 {
				identity := fmt.Sprintf("external_id:stays-%d", i)
				if i%10 == 0 {
					identity = fmt.Sprintf("external_id:gone-%d", i)
				}
				changes = append(changes, destination.Change{Identity: identity, Member: round != 1, At: start.Add(time.Duration(round) * time.Millisecond)})
			}
			require.NoError(t, ledger.MarkUncertain(t.Context(), a, changes))
			require.NoError(t, ledger.Record(t.Context(), a, changes))
		}
		var exits []destination.Change
		for i := 0; i < 200; i += 10 {
			exits = append(exits, destination.Change{Identity: fmt.Sprintf("external_id:gone-%d", i), At: start.Add(time.Second)})
		}
		require.NoError(t, ledger.MarkUncertain(t.Context(), a, exits))
		require.NoError(t, ledger.Record(t.Context(), a, exits[2:])) // that of the first two is in flight
	}
	require.NotEmpty(t, filesWith(t, dir, "gone-"))
	isGone := func(identity string) bool { return strings.Contains(identity, ":gone-") }
	erased, history := 0, int64(0)
	count := func(m state.ErasedMember) { erased++; history += m.History }
	require.NoError(t, store.EraseMembers(t.Context(), isGone, count))
	require.Equal(t, 36, erased, "members, and those with a request in flight, stay")
	require.Positive(t, history)
	for _, instance := range []string{"one", "two"} {
		exits := []destination.Change{{Identity: "external_id:gone-0", At: start.Add(2 * time.Second)}, {Identity: "external_id:gone-10", At: start.Add(2 * time.Second)}}
		require.NoError(t, store.Ledger(instance).Record(t.Context(), destination.Audience{ID: "a", Name: "a"}, exits))
	}
	require.NoError(t, store.EraseMembers(t.Context(), isGone, count))
	require.Equal(t, 40, erased)
	require.NoError(t, store.Scrub(t.Context()))
	assert.Empty(t, filesWith(t, dir, "gone-"))
	for _, instance := range []string{"one", "two"} {
		ledger := store.Ledger(instance)
		sizes, err := ledger.Sizes(t.Context())
		require.NoError(t, err)
		require.Equal(t, 180, sizes[0].Members)
		records, err := ledger.Lookup(t.Context(), "a", []string{"external_id:gone-10", "external_id:stays-1"})
		require.NoError(t, err)
		assert.False(t, records[0].Known, "also in memory")
		assert.True(t, records[1].Known)
	}
	require.NoError(t, store.EraseMembers(t.Context(), isGone, count))
	assert.Equal(t, 40, erased, "there is nothing left")
}

// filesWith returns the files of a directory that have a text.
func filesWith(t *testing.T, dir, text string) (list []string) {
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(dir, f.Name()))
		require.NoError(t, err)
		if bytes.Contains(content, []byte(text)) {
			list = append(list, f.Name())
		}
	}
	return list
}
