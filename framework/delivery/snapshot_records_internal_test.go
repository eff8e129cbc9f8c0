package delivery

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
)

// batchLog is a log that knows the sizes of what is written to it at once.
type batchLog struct {
	*memlog.Log
	batches [][2]int // messages and their bytes
}

func (l *batchLog) Append(ctx context.Context, stream string, writes []eventlog.Write) (uint64, error) {
	size := 0
	for _, w := range writes {
		size += len(w.Data)
	}
	l.batches = append(l.batches, [2]int{len(writes), size})
	return l.Log.Append(ctx, stream, writes)
}

// TestRestoredRecords checks that records which were saved are restored as they were, in bounded parts, and that part of a file is an error.
func TestRestoredRecords(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	for i := range maxRestoredRecords + 1 {
		require.NoError(t, q.dead.publishRecords(t.Context(), []record{{fmt.Sprintf("dead.i.0.%d-0-x", i), []byte(fmt.Sprint(i))}}))
	}
	large := make([]byte, maxRestoredBytes/2)
	for i := range 3 {
		_, err := q.store.Append(t.Context(), deadStream, []eventlog.Write{{Subject: fmt.Sprintf("dead.l.0.%d-0-x", i), Data: large, Header: map[string]string{"Name": "value"}}})
		require.NoError(t, err)
	}
	var saved bytes.Buffer
	require.NoError(t, q.writeRecords(t.Context(), deadStream, &saved))
	all := eventlog.Query{Filters: []string{">"}}
	read := func(log eventlog.Log) (messages []string) {
		require.NoError(t, log.Scan(t.Context(), deadStream, all, func(m eventlog.Message) (bool, error) {
			messages = append(messages, fmt.Sprint(m.Subject, " ", m.Header, " ", len(m.Data), " ", string(m.Data[:min(len(m.Data), 9)])))
			return true, nil
		}))
		slices.Sort(messages)
		return messages
	}
	want := read(q.store)
	other, _ := newMemoryQueue(t, Config{Partitions: 1})
	log := &batchLog{Log: other.store.(*memlog.Log)}
	other.store = log
	require.NoError(t, other.restoreRecords(t.Context(), deadStream, bytes.NewReader(saved.Bytes())))
	assert.Equal(t, want, read(log))
	for _, batch := range log.batches {
		assert.True(t, batch[0] <= maxRestoredRecords && batch[1] <= maxRestoredBytes, batch)
	}
	assert.Equal(t, maxRestoredRecords, log.batches[0][0], "as many as fit")

	assert.Error(t, other.restoreRecords(t.Context(), deadStream, bytes.NewReader(saved.Bytes()[:saved.Len()-20])))
	assert.Error(t, other.restoreRecords(t.Context(), deadStream, strings.NewReader("no archive")))
	assert.ErrorContains(t, other.restoreRecords(t.Context(), "UNKNOWN", bytes.NewReader(saved.Bytes())), "the queue has no stream UNKNOWN")
	require.Error(t, q.writeRecords(t.Context(), deadStream, &brokenWriter{}))
}

// brokenWriter is a writer that fails.
type brokenWriter struct{}

func (*brokenWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// replacingLog is a log in which the messages of a subject are replaced while the stream is read, so that a scan misses them.
type replacingLog struct {
	*failingLog
	missed string
}

func (l *replacingLog) Scan(ctx context.Context, stream string, q eventlog.Query, visit func(eventlog.Message) (bool, error)) error {
	return l.failingLog.Scan(ctx, stream, q, func(m eventlog.Message) (bool, error) {
		if m.Subject == l.missed {
			return true, nil
		}
		return visit(m)
	})
}

func (l *replacingLog) Subjects(ctx context.Context, stream, filter string) ([]string, error) {
	list, err := l.failingLog.Subjects(ctx, stream, filter)
	return append(list, "dead.i.0.gone"), err
}

// TestRecordsThatAScanMisses checks that a message which is replaced while the records are written is written as well, and that one which
// is deleted is not.
func TestRecordsThatAScanMisses(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	for _, id := range []string{"a", "b", "c"} {
		require.NoError(t, q.dead.publishRecords(t.Context(), []record{{"dead.i.0." + id, []byte(id)}}))
	}
	log := &replacingLog{&failingLog{Log: q.store.(*memlog.Log)}, "dead.i.0.b"}
	q.store = log
	var saved bytes.Buffer
	require.NoError(t, q.writeRecords(t.Context(), deadStream, &saved))
	other, _ := newMemoryQueue(t, Config{Partitions: 1})
	require.NoError(t, other.restoreRecords(t.Context(), deadStream, bytes.NewReader(saved.Bytes())))
	subjects, err := other.store.Subjects(t.Context(), deadStream, ">")
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{"dead.i.0.a", "dead.i.0.b", "dead.i.0.c"}, subjects)
	for call := 1; call <= 5; call++ { // of the scan, its end, the subjects, and the missed ones
		log.arm(call)
		assert.ErrorIs(t, q.writeRecords(t.Context(), deadStream, io.Discard), errLogFails, call)
	}
	log.arm(0)
}
