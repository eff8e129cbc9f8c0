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
		require.NoError(t, ledger.MarkUncertain(t.Context(), a, []destination.Change{{Identity: "external_id:gone-0", At: start.Add(time.Second)}}))
	}
	require.NotEmpty(t, filesWith(t, dir, "gone-"))
	erased, err := store.EraseMembers(t.Context(), func(identity string) bool { return strings.Contains(identity, ":gone-") })
	require.NoError(t, err)
	assert.EqualValues(t, 40, erased.Members)
	assert.Positive(t, erased.History)
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
	again, err := store.EraseMembers(t.Context(), func(identity string) bool { return strings.Contains(identity, ":gone-") })
	require.NoError(t, err)
	assert.Zero(t, again)
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
