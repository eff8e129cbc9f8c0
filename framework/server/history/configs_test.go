package history_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/server/history"
)

// TestChangesOfTheConfig checks that a config is recorded once, with its lines, and again if only what it refers to has changed.
func TestChangesOfTheConfig(t *testing.T) {
	store := openStore(t)
	for i, c := range []history.ConfigChange{
		{Who: "unknown", How: "start", Version: "1", Text: "a: 1\nb: 2\n"},
		{Who: "another server", How: "start", Version: "1", Text: "a: 1\nb: 2\n"},
		{Who: "admin key", From: "10.0.0.1", How: "form", Version: "2", Text: "a: 1\nb: 3\nc: 4\n"},
		{Who: "unknown", How: "a secret changed", Version: "3", Text: "a: 1\nb: 3\nc: 4\n"},
		{Who: "unknown", How: "long", Version: "4", Text: strings.Repeat("x", 2<<20)},
	} {
		c.At = time.Now().Add(time.Duration(i) * time.Second)
		require.NoError(t, history.AddConfigChange(t.Context(), store, c))
	}
	list, err := history.ConfigChanges(t.Context(), store, 0)
	require.NoError(t, err)
	require.Len(t, list, 4)
	assert.Equal(t, "admin key from 10.0.0.1", list[2].By())
	assert.Equal(t, []int{2, 1}, []int{list[2].Added, list[2].Removed})
	assert.Equal(t, []int{0, 0}, []int{list[1].Added, list[1].Removed})
	assert.Empty(t, list[0].Text)
	assert.NotZero(t, list[3].ID)
	history.TrimOnce(t.Context(), history.Config{Store: store, Now: func() time.Time { return time.Now().Add(30 * 24 * time.Hour) }})
	list, err = history.ConfigChanges(t.Context(), store, 1)
	require.NoError(t, err)
	assert.Len(t, list, 1, "they are kept longer than verdicts")
}
