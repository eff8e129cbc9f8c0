package delivery

import (
	"bytes"
	"context"
	"fmt"
	goruntime "runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
)

// sparsePage returns a page of 10 KB with one event that the subscription matches, and what tells whether it is in memory.
func sparsePage(r *Runner, seq uint64) (*logPage, weak.Pointer[byte]) {
	data := fmt.Appendf(nil, `{"type":"track","messageId":"%d","userId":"u%d"}`+"\n", seq, seq)
	for i := range 10 {
		data = fmt.Appendf(data, `{"type":"page","messageId":"%d-%d","userId":"u","name":"%s"}`+"\n", seq, i, bytes.Repeat([]byte("x"), 1000))
	}
	return newLogPage(eventlog.Message{Subject: "ev.web.0", Sequence: seq, Time: time.Now(), Data: data}, 0, r.queue.feeds.seed), weak.Make(&data[0])
}

// answersLater returns an instance whose remote answers once the channel is closed.
func answersLater(t *testing.T) (chan struct{}, Instance) {
	answers := make(chan struct{})
	return answers, answeringInstance(t, func() error { <-answers; return nil })
}

// TestFewWaitingEventsDoNotKeepTheirPages reads pages of which one event each waits for its request, as those of a subscription that
// matches few events do while the remote is down. The waiting events stay in memory, and few of the pages.
func TestFewWaitingEventsDoNotKeepTheirPages(t *testing.T) {
	const pages, spare = 40, 100 << 10
	synctest.Test(t, func(t *testing.T) {
		answers, in := answersLater(t)
		r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{Lease: time.Hour}, in)
		r.memory.setLimit(8*spare*100, 100)
		p := w.own(0, checkpoint{Low: 1})
		var read []weak.Pointer[byte]
		for seq := range uint64(pages) {
			m, data := sparsePage(r, seq+1)
			require.NoError(t, p.handlePage(m))
			read = append(read, data)
		}
		goruntime.GC()
		inMemory := 0
		for _, data := range read {
			if data.Value() != nil {
				inMemory++
			}
		}
		assert.LessOrEqual(t, inMemory, spare/10_000+5, "pages in memory")
		w.mu.Lock()
		assert.Equal(t, pages, p.taskCount)
		assert.Greater(t, p.pinnedBytes, spare)
		w.mu.Unlock()

		close(answers)
		time.Sleep(time.Minute)
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		assert.Equal(t, []any{int64(pages), 0, 0, 0}, []any{p.counts[countDelivered], p.taskCount, p.taskBytes, p.pinnedBytes})
		assert.Empty(t, p.openPages)
	})
}

// TestEventsThatMostlyWaitAreNotCopied checks that tasks share the memory of their page if most of its events wait.
func TestEventsThatMostlyWaitAreNotCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers, in := answersLater(t)
		defer close(answers)
		r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{Lease: time.Hour, MaxInFlight: 1e6}, in)
		r.memory.setLimit(8<<20, 100)
		p := w.own(0, checkpoint{Low: 1})
		users := make([]string, 10)
		for i := range users {
			users[i] = fmt.Sprintf("%0200d", i)
		}
		size := 0
		for seq := range uint64(15) {
			m := pageOf(r, seq+1, time.Now(), users...)
			size += len(m.Data)
			require.NoError(t, p.handlePage(m))
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		assert.Equal(t, size, p.pinnedBytes, "no event was copied")
		assert.Greater(t, size, 2*r.memory.maxPinnedBytes(), "they are more than what few tasks may keep")
	})
}

// TestTasksOfManyPartitionsShareMemory checks that partitions may hold much until half of the memory is used, and their share of the rest
// then, that this is what makes them full, and that a partition that is lost returns its memory.
func TestTasksOfManyPartitionsShareMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 10, Settings{Lease: time.Hour}, accepts(t))
		r.memory.setLimit(80<<20, 10)
		first, second := w.own(0, checkpoint{Low: 1}), w.own(1, checkpoint{Low: 1})
		w.mu.Lock()
		first.countTaskBytesLocked(maxTaskBytes - 1)
		second.countTaskBytesLocked(2 << 20)
		assert.Equal(t, []any{maxTaskBytes, false, false}, []any{r.memory.maxTaskBytes(), first.isFullLocked(), second.isFullLocked()})
		second.countTaskBytesLocked(2<<20 + 1) // 20 MB of 40 in all
		assert.Equal(t, []any{2 << 20, true, true}, []any{r.memory.maxTaskBytes(), first.isFullLocked(), second.isFullLocked()})
		second.countTaskBytesLocked(-3<<20 - 1)
		first.countTaskBytesLocked(3<<20 + 1)
		assert.Equal(t, []any{true, false}, []any{first.isFullLocked(), second.isFullLocked()}, "it holds less than its share")
		w.mu.Unlock()
		r.abandonPartition(first)
		w.mu.Lock()
		defer w.mu.Unlock()
		first.countTaskBytesLocked(5) // of a task that ends later
		assert.Equal(t, []any{int64(1 << 20), maxTaskBytes, 0}, []any{r.memory.used.Load(), r.memory.maxTaskBytes(), first.taskBytes})
	})

	var m taskMemory
	assert.Equal(t, []int{maxTaskBytes, maxPinnedBytes}, []int{m.maxTaskBytes(), m.maxPinnedBytes()}, "without a limit")
	m.setLimit(DefaultMaxMemory, 16)
	assert.Equal(t, []int{maxTaskBytes, maxPinnedBytes}, []int{m.maxTaskBytes(), m.maxPinnedBytes()}, "one instance")
	m.used.Store(DefaultMaxMemory / 4)
	m.setLimit(DefaultMaxMemory, 1600)
	assert.Equal(t, []int{DefaultMaxMemory / 4 / 1600, DefaultMaxMemory / 8 / 1600}, []int{m.maxTaskBytes(), m.maxPinnedBytes()})
	m.setLimit(DefaultMaxMemory, 1e6)
	assert.Equal(t, minTaskBytes, m.maxTaskBytes(), "each partition can hold an event")
}

// prefetchLog adds up how many pages the open readers request at once.
type prefetchLog struct {
	eventlog.Log
	readers, pages int
}

type prefetchReader struct {
	eventlog.Reader
	log   *prefetchLog
	pages int
}

func (l *prefetchLog) Read(ctx context.Context, stream string, q eventlog.Query) (eventlog.Reader, error) {
	r, err := l.Log.Read(ctx, stream, q)
	l.readers++
	l.pages += q.Prefetch
	return prefetchReader{r, l, q.Prefetch}, err
}

func (r prefetchReader) Close() {
	r.log.readers--
	r.log.pages -= r.pages
	r.Reader.Close()
}

// TestManyReadersReadLessAhead opens readers of many partitions at places that are far apart, as instances have that lag. All together they
// request a limited number of pages at once, and the first ones as many as are useful.
func TestManyReadersReadLessAhead(t *testing.T) {
	const partitions, limit = 200, DefaultMaxMemory / 4 / pageBytes
	log := &prefetchLog{Log: memlog.New(memlog.Options{}).Connect()}
	require.NoError(t, log.Prepare(t.Context(), []eventlog.StreamConfig{{Name: eventsStream, Subjects: []string{"ev.>", "ctl.>"}}}))
	feeds := newPageFeeds(&Queue{store: log, partitions: partitions}, DefaultMaxMemory)
	var cursors []*pageCursor
	for n := range partitions {
		subject := fmt.Sprint("ev.web.", n)
		_, err := log.Append(t.Context(), eventsStream, []eventlog.Write{{Subject: subject, Data: []byte("{}\n")}})
		require.NoError(t, err)
		for _, from := range []uint64{1, 1 + 2*joinDistance} {
			c := feeds.newCursor(n, []string{subject}, from)
			cursors = append(cursors, c)
			ctx, cancel := context.WithCancel(t.Context())
			if from > 1 {
				cancel() // it has nothing to read yet, and keeps its reader
			}
			_, err := c.nextPage(ctx)
			cancel()
			if from == 1 {
				require.NoError(t, err)
			}
		}
		if n == 7 {
			assert.Equal(t, log.readers*maxReadAhead, log.pages, "few readers")
		}
	}
	assert.GreaterOrEqual(t, log.readers, partitions)
	assert.LessOrEqual(t, log.pages, limit+log.readers)
	for _, c := range cursors {
		c.close()
	}
	assert.Zero(t, log.pages)
	assert.Zero(t, feeds.ahead.reserved)
}
