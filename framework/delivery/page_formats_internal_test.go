package delivery

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
)

// refusingLog notes which pages it has when earlier versions are refused. It may fail to refuse them.
type refusingLog struct {
	eventlog.Log
	refused []uint64 // the pages that there were
	fails   error
}

func (l *refusingLog) Prepare(ctx context.Context, configs []eventlog.StreamConfig) error {
	if l.fails != nil {
		return l.fails
	}
	err := l.Log.Prepare(ctx, configs)
	for _, c := range configs {
		if c.RefuseEarlier {
			info, err := l.Info(ctx, c.Name)
			if err != nil {
				return err
			}
			l.refused = append(l.refused, info.LastSeq)
		}
	}
	return err
}

// TestEarlierVersionsAreRefused checks that a log with pages of several sources refuses earlier versions before it gets the first such page, and
// no other log does. Pages of a cluster have one source.
func TestEarlierVersionsAreRefused(t *testing.T) {
	for _, shared := range []bool{false, true} {
		log := &refusingLog{Log: memlog.New(memlog.Options{Shared: shared}).Connect()}
		q, err := Open(t.Context(), Config{Partitions: 1, store: log})
		require.NoError(t, err)
		defer q.Close()
		two := []NewEvent{{Source: "web", Raw: []byte(`{"n":1}`)}, {Source: "app", Raw: []byte(`{"n":2}`)}}
		for _, list := range [][]NewEvent{two[:1], two[1:], two, two} {
			require.NoError(t, q.Append(t.Context(), list))
		}
		_, err = q.Replay(t.Context(), ReplayRequest{Instance: "main"})
		require.NoError(t, err)
		info, err := q.store.Info(t.Context(), eventsStream)
		require.NoError(t, err)
		assert.Equal(t, "1", info.Labels[trimsRecordedKey])
		assert.Equal(t, "1", info.Labels[partitionsKey])
		if shared {
			assert.Empty(t, log.refused)
			assert.EqualValues(t, 6+6, info.LastSeq)
			continue
		}
		assert.Equal(t, []uint64{2}, log.refused)
		assert.EqualValues(t, 4+1, info.LastSeq)
		found, err := q.Find(t.Context(), FindRequest{Match: func([]byte) bool { return true }, Limit: 100, MaxBytes: 1 << 20})
		require.NoError(t, err)
		for i, e := range found.Events {
			assert.Equal(t, []string{"app", "web"}[i%2], e.Source)
			assert.Equal(t, i < 6, e.Replay == "main")
		}
		assert.Len(t, found.Events, 12)
	}
}

// TestCompressedPages writes events in compressed pages behind a page that an earlier version has written, and reads, replays and finds all of them after the
// log was opened again. Earlier versions are refused before the first compressed page.
func TestCompressedPages(t *testing.T) {
	c := Config{Dir: t.TempDir(), Partitions: 1}
	q, err := Open(t.Context(), c)
	require.NoError(t, err)
	var list []NewEvent
	var page []byte
	for n := range 50 {
		list = append(list, eventOf("a", n))
		page = append(append(page, list[n].Raw...), '\n')
	}
	bytesOf := func() int {
		info, err := q.store.Info(t.Context(), eventsStream)
		require.NoError(t, err)
		return int(info.Bytes)
	}
	_, err = q.store.Append(t.Context(), eventsStream, []eventlog.Write{{Subject: "ev.web.0", Data: page}})
	require.NoError(t, err)
	plain := bytesOf()
	require.Greater(t, plain, len(page))
	require.NoError(t, q.Append(t.Context(), list))
	require.Less(t, bytesOf()-plain, plain/2)
	n, err := q.Replay(t.Context(), ReplayRequest{Instance: "main"})
	require.NoError(t, err)
	assert.Equal(t, 100, n)
	assert.Less(t, bytesOf(), 2*plain)
	q.Close()
	q, err = Open(t.Context(), c)
	require.NoError(t, err)
	defer q.Close()
	assert.Len(t, storedEvents(t, q)["a"], 200)
	found, err := q.Find(t.Context(), FindRequest{Match: func(raw []byte) bool { return bytes.Contains(raw, []byte(`"a-49"`)) }, Limit: 100, MaxBytes: 1 << 20})
	require.NoError(t, err)
	assert.Len(t, found.Events, 4)
	cursor := q.feeds.newCursor(0, []string{"ev.*.0"}, 1)
	defer cursor.close()
	for range 2 {
		read, err := cursor.nextPage(t.Context())
		require.NoError(t, err)
		assert.Equal(t, string(page), string(read.Data))
		assert.Greater(t, read.size, len(page), "the memory of what is decompressed counts")
	}
}

// TestPagesToCompress checks which pages may be compressed: those of several events, but not on a cluster, which servers of earlier versions may use.
func TestPagesToCompress(t *testing.T) {
	for _, shared := range []bool{false, true} {
		log := &refusingLog{Log: memlog.New(memlog.Options{Shared: shared}).Connect()}
		q, err := Open(t.Context(), Config{Partitions: 1, store: log})
		require.NoError(t, err)
		defer q.Close()
		for size, want := range map[int]bool{0: false, minCompressed - 1: false, minCompressed: true, pageBytes: true} {
			pages := []eventlog.Write{{Data: make([]byte, size)}}
			require.NoError(t, q.preparePages(t.Context(), pages))
			assert.Equal(t, want && !shared, pages[0].Compress)
		}
		assert.Equal(t, !shared, len(log.refused) == 1)
	}
}

// TestEarlierVersionsCannotBeRefused checks that no page of several sources is written, and no such replay, until the log refuses earlier versions.
func TestEarlierVersionsCannotBeRefused(t *testing.T) {
	log := &refusingLog{Log: memlog.New(memlog.Options{}).Connect()}
	q, err := Open(t.Context(), Config{Partitions: 1, store: log})
	require.NoError(t, err)
	defer q.Close()
	two := []NewEvent{{Source: "web", Raw: []byte(`{"n":1}`)}, {Source: "app", Raw: []byte(`{"n":2}`)}}
	for i := range two {
		require.NoError(t, q.Append(t.Context(), two[i:i+1]))
	}
	log.fails = errInjected
	require.ErrorIs(t, q.Append(t.Context(), two), errInjected)
	_, err = q.Replay(t.Context(), ReplayRequest{Instance: "main"})
	require.ErrorIs(t, err, errInjected)
	require.NoError(t, q.Append(t.Context(), two[:1]), "of one source")
	info, err := log.Info(t.Context(), eventsStream)
	require.NoError(t, err)
	assert.EqualValues(t, 3, info.LastSeq)
	log.fails = nil
	require.NoError(t, q.Append(t.Context(), two))
	assert.Equal(t, []uint64{3}, log.refused, "it is tried again")
}
