package eventlogtest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

func testMessages(t *testing.T, log eventlog.Log) {
	data := []byte("some\ndata")
	last, err := log.Append(t.Context(), pages, []eventlog.Write{
		{Subject: "page.a.1", Data: data}, {Subject: "ctl.b.2", Header: map[string]string{"Landfall-Op": "x y", "landfall-lower": ""}},
	})
	require.NoError(t, err)
	require.EqualValues(t, 2, last)
	copy(data, "XXXX")
	one, err := log.Get(t.Context(), pages, 1)
	require.NoError(t, err)
	assert.Equal(t, "some\ndata", string(one.Data))
	assert.Equal(t, "page.a.1", one.Subject)
	assert.EqualValues(t, 1, one.Sequence)
	assert.Empty(t, one.Header)
	two, err := log.Get(t.Context(), pages, 2)
	require.NoError(t, err)
	assert.Empty(t, two.Data)
	assert.Equal(t, map[string]string{"Landfall-Op": "x y", "landfall-lower": ""}, two.Header)
	r := openReader(t, log, pages, eventlog.Query{Filters: []string{">"}})
	for _, stored := range []eventlog.Message{one, two} {
		read, err := r.Next(t.Context())
		require.NoError(t, err)
		assert.Equal(t, stored.Header, read.Header)
		assert.Equal(t, string(stored.Data), string(read.Data))
		assert.True(t, stored.Time.Equal(read.Time))
	}
}

func testBatches(t *testing.T, log eventlog.Log) {
	appendAll(t, log, values, "value.a")
	_, err := log.Append(t.Context(), values, []eventlog.Write{
		{Subject: "value.b", Conditional: true}, {Subject: "value.a", Conditional: true}, {Subject: "value.c", Conditional: true},
	})
	require.ErrorIs(t, err, eventlog.ErrConflict, "value.a exists")
	subjects, err := log.Subjects(t.Context(), values, "value.>")
	require.NoError(t, err)
	require.Equal(t, []string{"value.a"}, subjects)
	last, err := log.Append(t.Context(), values, []eventlog.Write{
		{Subject: "value.b", Conditional: true}, {Subject: "value.a", Conditional: true, Revision: 1}, {Subject: "value.c", Conditional: true},
	})
	require.NoError(t, err)
	for i, subject := range []string{"value.b", "value.a", "value.c"} {
		m, err := log.Last(t.Context(), values, subject)
		require.NoError(t, err)
		assert.EqualValues(t, last-2+uint64(i), m.Sequence, "the sequences are consecutive")
	}
}

// testConcurrentBatches writes from several goroutines. The messages of a batch follow each other, and the batches of a goroutine
// are in order.
func testConcurrentBatches(t *testing.T, log eventlog.Log) {
	const writers, batches, size = 8, 10, 20
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for b := range batches {
				var writes []eventlog.Write
				for i := range size {
					writes = append(writes, eventlog.Write{Subject: fmt.Sprint("page.", w), Data: fmt.Append(nil, b*size+i)})
				}
				last, err := log.Append(t.Context(), pages, writes)
				if !assert.NoError(t, err) {
					return
				}
				first, err := log.Get(t.Context(), pages, last-size+1)
				assert.NoError(t, err)
				assert.Equal(t, fmt.Sprint(b*size), string(first.Data))
			}
		})
	}
	all.Wait()
	next := map[string]int{}
	subject := ""
	require.NoError(t, log.Scan(t.Context(), pages, eventlog.Query{Filters: []string{"page.*"}}, func(m eventlog.Message) (bool, error) {
		if next[m.Subject]%size != 0 {
			require.Equal(t, subject, m.Subject, "%d is in the middle of a batch", m.Sequence)
		}
		subject = m.Subject
		require.Equal(t, strconv.Itoa(next[subject]), string(m.Data))
		next[subject]++
		return true, nil
	}))
	require.Len(t, next, writers)
	for _, n := range next {
		require.Equal(t, batches*size, n)
	}
}

func testConditionalWrites(t *testing.T, log eventlog.Log) {
	write := func(stream, subject string, revision uint64) (uint64, error) {
		return log.Append(t.Context(), stream, []eventlog.Write{{Subject: subject, Conditional: true, Revision: revision}})
	}
	for stream, subject := range map[string]string{pages: "page.x", values: "value.x"} {
		_, err := write(stream, subject, 7)
		require.ErrorIs(t, err, eventlog.ErrConflict, "there is no message yet")
		first, err := write(stream, subject, 0)
		require.NoError(t, err)
		_, err = write(stream, subject, 0)
		require.ErrorIs(t, err, eventlog.ErrConflict)
		appendAll(t, log, stream, subject+".other") // another subject does not matter
		second, err := write(stream, subject, first)
		require.NoError(t, err)
		require.Equal(t, first+2, second)
		_, err = write(stream, subject, first)
		require.ErrorIs(t, err, eventlog.ErrConflict)
		require.NoError(t, log.PurgeSubjects(t.Context(), stream, subject))
		_, err = write(stream, subject, second)
		require.ErrorIs(t, err, eventlog.ErrConflict, "the message is gone")
		_, err = write(stream, subject, 0)
		require.NoError(t, err)
	}
}

// testCounter increments a stored number from several goroutines. Each increment counts once.
func testCounter(t *testing.T, log eventlog.Log) {
	const writers, each = 6, 15
	increment := func() error {
		n, revision := 0, uint64(0)
		switch m, err := log.Last(t.Context(), values, "value.n"); {
		case err == nil:
			n, _ = strconv.Atoi(string(m.Data))
			revision = m.Sequence
		case !errors.Is(err, eventlog.ErrNotFound):
			return err
		}
		_, err := log.Append(t.Context(), values, []eventlog.Write{{Subject: "value.n", Data: fmt.Append(nil, n+1), Conditional: true, Revision: revision}})
		return err
	}
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				assert.NoError(t, eventlog.RetryWhile(t.Context(), eventlog.ErrConflict, 1000, time.Millisecond, increment))
			}
		})
	}
	all.Wait()
	m, err := log.Last(t.Context(), values, "value.n")
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(writers*each), string(m.Data))
	require.Equal(t, []uint64{m.Sequence}, scanned(t, log, values, eventlog.Query{Filters: []string{">"}}))
}

func testNewestOnly(t *testing.T, log eventlog.Log) {
	for range 3 {
		appendAll(t, log, values, "value.a", "value.b")
	}
	require.Equal(t, []uint64{5, 6}, scanned(t, log, values, eventlog.Query{Filters: []string{"value.>"}}))
	info, err := log.Info(t.Context(), values)
	require.NoError(t, err)
	assert.EqualValues(t, 2, info.Messages)
	assert.EqualValues(t, 5, info.FirstSeq)
	_, err = log.Get(t.Context(), values, 3)
	require.ErrorIs(t, err, eventlog.ErrNotFound)
}

// testFullStream fills a stream to its limit. What does not fit is not written, in part either, until there is space.
func testFullStream(t *testing.T, log eventlog.Log) {
	limited := eventlog.StreamConfig{Name: "LIMITED", Subjects: []string{"limited.>"}, MaxBytes: 100_000}
	require.NoError(t, log.Prepare(t.Context(), []eventlog.StreamConfig{limited}))
	message := eventlog.Write{Subject: "limited.x", Data: bytes.Repeat([]byte("x"), 1000)}
	stored := 0
	for {
		_, err := log.Append(t.Context(), "LIMITED", []eventlog.Write{message})
		if err != nil {
			require.ErrorIs(t, err, eventlog.ErrFull)
			break
		}
		stored++
		require.Less(t, stored, 100)
	}
	assert.Greater(t, stored, 90)
	require.NoError(t, log.PurgeBefore(t.Context(), "LIMITED", 3))
	_, err := log.Append(t.Context(), "LIMITED", []eventlog.Write{message, message, message, message, message})
	require.ErrorIs(t, err, eventlog.ErrFull, "two fit")
	info, err := log.Info(t.Context(), "LIMITED")
	require.NoError(t, err)
	assert.EqualValues(t, stored-2, info.Messages)
	assert.Less(t, info.Bytes, uint64(100_000))
	_, err = log.Append(t.Context(), "LIMITED", []eventlog.Write{message})
	require.NoError(t, err)
	limited.MaxBytes = 0
	require.NoError(t, log.Prepare(t.Context(), []eventlog.StreamConfig{limited}))
	_, err = log.Append(t.Context(), "LIMITED", []eventlog.Write{message, message, message, message, message})
	require.NoError(t, err, "the limit was removed")
}

func testLargeMessages(t *testing.T, log eventlog.Log) {
	limit := log.MaxMessage()
	require.Greater(t, limit, int64(500_000))
	_, err := log.Append(t.Context(), pages, []eventlog.Write{{Subject: "page.large", Data: make([]byte, limit)}})
	require.NoError(t, err)
	_, err = log.Append(t.Context(), pages, []eventlog.Write{{Subject: "page.large", Data: make([]byte, limit+10_000)}})
	require.ErrorIs(t, err, eventlog.ErrTooLarge)
	_, err = log.Append(t.Context(), pages, []eventlog.Write{{Subject: "page.small"}, {Subject: "page.large", Data: make([]byte, limit+10_000)}})
	require.ErrorIs(t, err, eventlog.ErrTooLarge)
	require.Equal(t, []uint64{1}, scanned(t, log, pages, eventlog.Query{Filters: []string{"page.>"}}))
}

// testCompressed checks that each way to read a message returns its data if the log may compress it, also beside messages that it may not compress.
func testCompressed(t *testing.T, log eventlog.Log) {
	random := make([]byte, 5000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(random)
	var writes []eventlog.Write
	for i, data := range [][]byte{nil, []byte("{}"), bytes.Repeat([]byte(`{"userId":"u"}`+"\n"), 5000), random, []byte("{\xffs2"), bytes.Repeat([]byte("{\xffs2"), 1000)} {
		for _, compress := range []bool{true, false} {
			writes = append(writes, eventlog.Write{Subject: fmt.Sprintf("page.%d.%t", i, compress), Data: data, Compress: compress, Header: map[string]string{"A": "b"}})
		}
	}
	_, err := log.Append(t.Context(), pages, writes)
	require.NoError(t, err)
	for i := range writes {
		_, err := log.Append(t.Context(), pages, writes[i:i+1])
		require.NoError(t, err)
	}
	reader, scan := openReader(t, log, pages, eventlog.Query{Filters: []string{">"}}), []eventlog.Message(nil)
	require.NoError(t, log.Scan(t.Context(), pages, eventlog.Query{Filters: []string{">"}}, func(m eventlog.Message) (bool, error) {
		scan = append(scan, m)
		return true, nil
	}))
	require.Len(t, scan, 2*len(writes))
	for i, scanned := range scan {
		w, seq := &writes[i%len(writes)], uint64(i+1)
		read, err := reader.Next(t.Context())
		require.NoError(t, err)
		got, err := log.Get(t.Context(), pages, seq)
		require.NoError(t, err)
		first, err := log.First(t.Context(), pages, w.Subject, seq)
		require.NoError(t, err)
		last, err := log.Last(t.Context(), pages, w.Subject)
		require.NoError(t, err)
		for _, m := range []eventlog.Message{scanned, read, got, first, last} {
			require.Equal(t, string(w.Data), string(m.Data), w.Subject)
			require.Equal(t, w.Header, m.Header)
		}
	}
}
