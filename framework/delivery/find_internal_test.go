package delivery

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// TestFindSaysWhatItHasSearched checks that a search which ends early says from which time on it has looked, and that no event is listed twice or left out
// where one part of the log ends.
func TestFindSaysWhatItHasSearched(t *testing.T) {
	q, now := newMemoryQueue(t, Config{Partitions: 1})
	begin := now.read()
	const pages = 2*findChunk + 3
	for i := range pages {
		data := []byte(`{"type":"track","userId":"u"}`)
		if i%100 == 0 {
			data = []byte(`{"type":"track","userId":"ann"}`)
		}
		now.set(begin.Add(time.Duration(i+1) * time.Minute))
		_, err := q.store.Append(t.Context(), eventsStream, []eventlog.Write{{Subject: "ev.web.0", Data: data}})
		require.NoError(t, err)
	}
	minute := func(n int) time.Time { return begin.Add(time.Duration(n) * time.Minute) }
	for name, c := range map[string]struct {
		user            string
		limit, maxBytes int
		list            int
		from            time.Time
		complete        bool
	}{
		"all":                          {`"u"`, pages, 1 << 30, pages - 11, minute(1), true},
		"few of many":                  {`"u"`, 7, 1 << 30, 7, minute(pages - 6 - 1), false}, // the newest page but two is ann's
		"as many as there are":         {`"ann"`, 11, 1 << 30, 11, minute(1), true},
		"one less":                     {`"ann"`, 10, 1 << 30, 10, minute(4), false}, // the part with page 101 begins there
		"two less":                     {`"ann"`, 9, 1 << 30, 9, minute(201), false},
		"none":                         {`"bob"`, 10, 1 << 30, 0, minute(1), true},
		"the bytes of the newest part": {`"bob"`, 10, 1, 0, minute(pages - findChunk + 1), false},
	} {
		found, err := q.Find(t.Context(), FindRequest{Match: func(line []byte) bool { return bytes.Contains(line, []byte(c.user)) }, Limit: c.limit, MaxBytes: c.maxBytes})
		require.NoError(t, err)
		assert.Len(t, found.Events, c.list, name)
		assert.Equal(t, c.complete, found.Complete, name)
		assert.True(t, c.from.Equal(found.From), "%s: %s", name, found.From)
		for i := 1; i < len(found.Events); i++ {
			assert.Less(t, found.Events[i].Seq, found.Events[i-1].Seq, name)
		}
	}
}
