package delivery_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
)

// TestFindSearchesTheLogBackwards checks which events are found, in which order, and what is said about the part that was searched.
func TestFindSearchesTheLogBackwards(t *testing.T) {
	t.Parallel()
	q, err := delivery.Open(t.Context(), delivery.Config{Dir: t.TempDir(), Partitions: 2})
	require.NoError(t, err)
	t.Cleanup(q.Close)
	match := func(line []byte) bool { return bytes.Contains(line, []byte(`"ann"`)) }
	none, err := q.Find(t.Context(), delivery.FindRequest{Match: match, Limit: 10, MaxBytes: 1 << 20})
	require.NoError(t, err)
	assert.True(t, none.Complete)
	assert.True(t, none.From.IsZero())
	for i := range 6 {
		user := []string{"ann", "bob"}[i%2]
		require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{{Source: "web", Key: "u:" + user, Raw: fmt.Appendf(nil, `{"userId":%q,"n":%d}`, user, i)}}))
	}
	found, err := q.Find(t.Context(), delivery.FindRequest{Match: match, Limit: 10, MaxBytes: 1 << 20})
	require.NoError(t, err)
	require.Len(t, found.Events, 3)
	assert.JSONEq(t, `{"userId":"ann","n":4}`, string(found.Events[0].Raw), "the newest is first")
	assert.True(t, found.Complete)
	assert.WithinDuration(t, time.Now(), found.From, time.Minute)
	some, err := q.Find(t.Context(), delivery.FindRequest{Match: match, Limit: 2, MaxBytes: 1 << 20})
	require.NoError(t, err)
	assert.Len(t, some.Events, 2)
	assert.False(t, some.Complete)

	n, err := q.Replay(t.Context(), delivery.ReplayRequest{Instance: "main"})
	require.NoError(t, err)
	require.Equal(t, 6, n)
	found, err = q.Find(t.Context(), delivery.FindRequest{Match: match, Limit: 10, MaxBytes: 1 << 20})
	require.NoError(t, err)
	require.Len(t, found.Events, 6)
	assert.Equal(t, "main", found.Events[0].Replay)
	assert.Equal(t, found.Events[3].Seq, found.Events[0].Original.Seq, "a copy names the event that it repeats")
	progress, err := q.Progress(t.Context(), "main")
	require.NoError(t, err)
	assert.Equal(t, delivery.EventWaiting, progress.Of(&found.Events[3]), "the instance has no checkpoint")
}
