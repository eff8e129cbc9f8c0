package delivery

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// TestLatestEventsAreBounded checks how many pages are read for the latest events, and that the result says whether these are all.
func TestLatestEventsAreBounded(t *testing.T) {
	for _, c := range []struct {
		user         string
		pages, limit int
		list         int
		whole        bool
	}{
		{"", maxPagesAll, 100, maxPagesAll, true}, {"", maxPagesAll + 1, 100, maxPagesAll, false}, {"", 30, 7, 7, true},
		{"u", maxPagesUser, maxPagesUser + 9, maxPagesUser, true}, {"u", maxPagesUser + 1, maxPagesUser + 9, maxPagesUser, false}, {"other", 10, 10, 0, true},
	} {
		q, _ := newMemoryQueue(t, Config{Partitions: 1})
		var writes []eventlog.Write
		for i := range c.pages {
			writes = append(writes, eventlog.Write{Subject: "ev.web.0", Data: fmt.Appendf(nil, `{"type":"track","userId":"u","n":%d}`, i)})
		}
		_, err := q.store.Append(t.Context(), eventsStream, writes)
		require.NoError(t, err)
		list, whole, err := q.Latest(t.Context(), c.user, c.limit)
		require.NoError(t, err)
		assert.Equal(t, []any{c.list, c.whole}, []any{len(list), whole}, c)
		for i, e := range list {
			assert.EqualValues(t, c.pages-i, e.Seq, "newest first")
		}
	}
}

// TestSupersededLetters checks that of two dead letters of an event the one that was written last stays, wherever it is in the list.
func TestSupersededLetters(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	var stored []*DeadLetter
	for _, place := range []string{"held.1-0-x", "auto.2-0-x", "held.2-0-x", "auto.3-0-x", "held.3-0-x"} {
		seq, err := q.store.Append(t.Context(), parkStream, []eventlog.Write{{Subject: "park.i.0.k." + place, Data: []byte("{}")}})
		require.NoError(t, err)
		stored = append(stored, &DeadLetter{ID: place[5:], Parked: true, storedSeq: seq})
	}
	stored[3], stored[4] = stored[4], stored[3]
	list, err := q.dropSuperseded(t.Context(), stored)
	require.NoError(t, err)
	var left []uint64
	for _, l := range list {
		left = append(left, l.storedSeq)
	}
	assert.Equal(t, []uint64{1, 3, 5}, left)
	subjects, err := q.store.Subjects(t.Context(), parkStream, ">")
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{"park.i.0.k.held.1-0-x", "park.i.0.k.held.2-0-x", "park.i.0.k.held.3-0-x"}, subjects)
}
