package eventlogtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

func testFirstAndLast(t *testing.T, log eventlog.Log) {
	appendAll(t, log, pages, "page.a.1", "page.b.1", "page.a.2", "page.a.1", "ctl.a.1")
	for _, c := range []struct {
		filter string
		from   uint64
		want   uint64
	}{
		{">", 0, 1}, {">", 2, 2}, {"page.a.1", 0, 1}, {"page.a.1", 1, 1}, {"page.a.1", 2, 4}, {"page.a.1", 5, 0}, {"page.*.1", 2, 2}, {"page.*.1", 3, 4},
		{"page.*", 0, 0}, {"ctl.>", 0, 5}, {"page.>", 5, 0}, {">", 6, 0},
	} {
		m, err := log.First(t.Context(), pages, c.filter, c.from)
		if c.want == 0 {
			assert.ErrorIs(t, err, eventlog.ErrNotFound, "%v", c)
			continue
		}
		assert.NoError(t, err, "%v", c)
		assert.Equal(t, c.want, m.Sequence, "%v", c)
	}
	m, err := log.Last(t.Context(), pages, "page.a.1")
	require.NoError(t, err)
	assert.EqualValues(t, 4, m.Sequence)
	assert.Equal(t, "3", string(m.Data))
	_, err = log.Last(t.Context(), pages, "page.c")
	require.ErrorIs(t, err, eventlog.ErrNotFound)
	_, err = log.Get(t.Context(), pages, 99)
	require.ErrorIs(t, err, eventlog.ErrNotFound)
}

func testReader(t *testing.T, log eventlog.Log) {
	appendAll(t, log, pages, "page.a.1", "page.b.1", "page.a.2", "page.b.1", "ctl.a.1", "ctl.b.1")
	r := openReader(t, log, pages, eventlog.Query{Filters: []string{"page.*.1", "ctl.a.1"}, From: 2})
	assert.EqualValues(t, 3, r.Pending())
	assert.Equal(t, []string{"2 page.b.1"}, nextOf(t, r, 1))
	assert.EqualValues(t, 2, r.Pending())
	assert.Equal(t, []string{"4 page.b.1", "5 ctl.a.1"}, nextOf(t, r, 2))
	assert.Zero(t, r.Pending())
	appendAll(t, log, pages, "page.new.1", "page.new.2", "page.a.1")
	assert.Equal(t, []string{"7 page.new.1", "9 page.a.1"}, nextOf(t, r, 2))
	future := openReader(t, log, pages, eventlog.Query{Filters: []string{">"}, From: 12})
	assert.Zero(t, future.Pending())
	appendAll(t, log, pages, "page.a", "page.a", "page.b", "page.a")
	assert.Equal(t, []string{"12 page.b", "13 page.a"}, nextOf(t, future, 2))
	many := openReader(t, log, pages, eventlog.Query{Filters: []string{"page.many.*"}, Prefetch: 7})
	for n := range 100 {
		appendAll(t, log, pages, fmt.Sprint("page.many.", n%40), "page.other")
	}
	for n, text := range nextOf(t, many, 100) {
		require.Equal(t, fmt.Sprint(14+2*n, " page.many.", n%40), text)
	}
}

// testReaderWaits lets a reader wait for a message, and lets its context end, after which the reader can be used again.
func testReaderWaits(t *testing.T, log eventlog.Log) {
	appendAll(t, log, pages, "page.x")
	r := openReader(t, log, pages, eventlog.Query{Filters: []string{"page.>"}, From: 2})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := r.Next(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	received := make(chan eventlog.Message, 3)
	go func() {
		defer close(received)
		for range 3 {
			m, err := r.Next(t.Context())
			if assert.NoError(t, err) {
				received <- m
			}
		}
	}()
	for n := range 3 {
		appendAll(t, log, pages, "ctl.ignored", "page.x")
		select {
		case m := <-received:
			require.EqualValues(t, 2*n+3, m.Sequence)
		case <-time.After(time.Minute):
			t.Fatal("the message does not arrive")
		}
	}
}

func testReadNewest(t *testing.T, log eventlog.Log) {
	for range 2 {
		appendAll(t, log, values, "value.a", "value.b", "value.c.x")
	}
	appendAll(t, log, pages, "page.a", "page.b", "page.a", "page.c", "ctl.a")
	r := openReader(t, log, values, eventlog.Query{Filters: []string{"value.*"}, Newest: true})
	assert.EqualValues(t, 2, r.Pending())
	assert.Equal(t, []string{"4 value.a", "5 value.b"}, nextOf(t, r, 2))
	assert.Zero(t, r.Pending())
	appendAll(t, log, values, "value.b", "value.d")
	assert.Equal(t, []string{"7 value.b", "8 value.d"}, nextOf(t, r, 2))
	r = openReader(t, log, pages, eventlog.Query{Filters: []string{"page.*"}, Newest: true})
	assert.EqualValues(t, 3, r.Pending())
	assert.Equal(t, []string{"2 page.b", "3 page.a", "4 page.c"}, nextOf(t, r, 3))
	appendAll(t, log, pages, "page.a", "page.a")
	assert.Equal(t, []string{"6 page.a", "7 page.a"}, nextOf(t, r, 2), "later messages are returned one by one")
	none := openReader(t, log, values, eventlog.Query{Filters: []string{"value.none.*"}, Newest: true})
	assert.Zero(t, none.Pending())
}

func testReadersEnd(t *testing.T, log eventlog.Log) {
	requireReaderEnds(t, log, func(r eventlog.Reader) { r.Close() })
	requireReaderEnds(t, log, func(eventlog.Reader) { log.Close() })
}

func requireReaderEnds(t *testing.T, log eventlog.Log, end func(eventlog.Reader)) {
	t.Helper()
	r := openReader(t, log, pages, eventlog.Query{Filters: []string{"page.>"}})
	failed := make(chan error, 1)
	go func() {
		_, err := r.Next(context.Background())
		failed <- err
	}()
	time.Sleep(10 * time.Millisecond) // Next is likely to wait already
	end(r)
	select {
	case err := <-failed:
		require.ErrorIs(t, err, eventlog.ErrClosed)
	case <-time.After(time.Minute):
		t.Fatal("the reader does not end")
	}
	_, err := r.Next(t.Context())
	require.ErrorIs(t, err, eventlog.ErrClosed)
}

func testScan(t *testing.T, log eventlog.Log) {
	assert.Empty(t, scanned(t, log, pages, eventlog.Query{Filters: []string{">"}}))
	appendAll(t, log, pages, "page.a.1", "page.b.1", "page.a.2", "page.b.2", "ctl.a.1")
	assert.Equal(t, []uint64{1, 2, 3, 4}, scanned(t, log, pages, eventlog.Query{Filters: []string{"page.>"}}))
	assert.Equal(t, []uint64{3, 5}, scanned(t, log, pages, eventlog.Query{Filters: []string{"page.a.*", "ctl.>"}, From: 2}))
	assert.Empty(t, scanned(t, log, pages, eventlog.Query{Filters: []string{"page.>"}, From: 6}))
	stop := errors.New("stop")
	n := 0
	require.ErrorIs(t, log.Scan(t.Context(), pages, eventlog.Query{Filters: []string{">"}}, func(eventlog.Message) (bool, error) { n++; return true, stop }), stop)
	require.NoError(t, log.Scan(t.Context(), pages, eventlog.Query{Filters: []string{">"}}, func(eventlog.Message) (bool, error) { n++; return false, nil }))
	assert.Equal(t, 2, n)
	n = 0
	require.NoError(t, log.Scan(t.Context(), pages, eventlog.Query{Filters: []string{">"}}, func(eventlog.Message) (bool, error) {
		n++
		appendAll(t, log, pages, "page.later", "page.a.1")
		return true, nil
	}))
	assert.Equal(t, 5, n, "messages written in the meantime are not visited")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n = 0
	err := log.Scan(ctx, pages, eventlog.Query{Filters: []string{">"}}, func(eventlog.Message) (bool, error) { n++; cancel(); return true, nil })
	if !errors.Is(err, context.Canceled) {
		require.NoError(t, err)
		assert.Equal(t, 15, n, "a scan that ends early is an error")
	}
}

// testScanWhileDeleting deletes the messages of a scan in the meantime, including the last one.
func testScanWhileDeleting(t *testing.T, log eventlog.Log) {
	var subjects []string
	for n := range 400 {
		subjects = append(subjects, fmt.Sprint("value.", n))
	}
	appendAll(t, log, values, subjects...)
	appendAll(t, log, values, subjects...)
	n := 0
	require.NoError(t, log.Scan(t.Context(), values, eventlog.Query{Filters: []string{"value.>"}}, func(eventlog.Message) (bool, error) {
		if n++; n == 1 {
			require.NoError(t, log.PurgeSubjects(t.Context(), values, "value.>"))
		}
		return true, nil
	}))
	assert.Less(t, n, 400)
}

func testCounts(t *testing.T, log eventlog.Log) {
	appendAll(t, log, pages, "page.a.1", "page.b.1", "page.a.2", "page.b.1", "ctl.a.1")
	for _, c := range []struct {
		query eventlog.Query
		want  int
	}{
		{eventlog.Query{Filters: []string{">"}}, 5},
		{eventlog.Query{Filters: []string{"page.*.1", "ctl.a.1"}}, 4},
		{eventlog.Query{Filters: []string{"page.*.1", "ctl.a.1"}, From: 3}, 2},
		{eventlog.Query{Filters: []string{"page.c.*"}}, 0},
		{eventlog.Query{Filters: []string{"page.>"}, From: 9}, 0},
	} {
		n, err := log.Count(t.Context(), pages, c.query)
		require.NoError(t, err)
		assert.EqualValues(t, c.want, n, "%v", c.query)
	}
	subjects, err := log.Subjects(t.Context(), pages, "page.*.1")
	require.NoError(t, err)
	slices.Sort(subjects)
	assert.Equal(t, []string{"page.a.1", "page.b.1"}, subjects)
	subjects, err = log.Subjects(t.Context(), pages, "page.none")
	require.NoError(t, err)
	assert.Empty(t, subjects)
}

// testTimes checks that the times of messages do not decrease, and that Since selects by them.
func testTimes(t *testing.T, log eventlog.Log) {
	before := time.Now().Add(-time.Hour)
	for range 20 {
		appendAll(t, log, pages, "page.a")
		time.Sleep(time.Millisecond)
	}
	var times []time.Time
	require.NoError(t, log.Scan(t.Context(), pages, eventlog.Query{Filters: []string{"page.a"}}, func(m eventlog.Message) (bool, error) {
		times = append(times, m.Time)
		return true, nil
	}))
	require.Len(t, times, 20)
	require.True(t, slices.IsSortedFunc(times, time.Time.Compare))
	info, err := log.Info(t.Context(), pages)
	require.NoError(t, err)
	assert.True(t, info.FirstTime.Equal(times[0]))
	assert.True(t, info.LastTime.Equal(times[19]))
	assert.Equal(t, []uint64{19, 20}, scanned(t, log, pages, eventlog.Query{Filters: []string{"page.a"}, Since: times[18]}))
	assert.Equal(t, []uint64{20}, scanned(t, log, pages, eventlog.Query{Filters: []string{"page.a"}, Since: times[18].Add(1)}))
	assert.Len(t, scanned(t, log, pages, eventlog.Query{Filters: []string{"page.a"}, Since: before}), 20)
	assert.Empty(t, scanned(t, log, pages, eventlog.Query{Filters: []string{"page.a"}, Since: times[19].Add(1)}))
	require.NoError(t, log.Delete(t.Context(), pages, 19))
	assert.Equal(t, []uint64{20}, scanned(t, log, pages, eventlog.Query{Filters: []string{"page.a"}, Since: times[18]}))
}
