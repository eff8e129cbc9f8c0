package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
)

// countingLog counts the messages that are read, and can fail.
type countingLog struct {
	eventlog.Log
	read, opened atomic.Int64
	fails        atomic.Bool
}

type countingReader struct {
	eventlog.Reader
	log *countingLog
}

func (l *countingLog) Read(ctx context.Context, stream string, q eventlog.Query) (eventlog.Reader, error) {
	l.opened.Add(1)
	r, err := l.Log.Read(ctx, stream, q)
	return &countingReader{r, l}, err
}

func (r *countingReader) Next(ctx context.Context) (eventlog.Message, error) {
	m, err := r.Reader.Next(ctx)
	if err == nil && r.log.fails.CompareAndSwap(true, false) {
		return eventlog.Message{}, errors.New("the reader has failed")
	}
	if err == nil {
		r.log.read.Add(1)
	}
	return m, err
}

// feedFixture is a log with feeds.
type feedFixture struct {
	t     *testing.T
	log   *countingLog
	feeds *pageFeeds
	sent  map[string][]uint64 // sequences by subject
}

func newFeedFixture(t *testing.T) *feedFixture {
	log := &countingLog{Log: memlog.New(memlog.Options{}).Connect()}
	require.NoError(t, log.Prepare(t.Context(), []eventlog.StreamConfig{{Name: eventsStream, Subjects: []string{"ev.>", "ctl.>"}}}))
	return &feedFixture{t, log, newPageFeeds(&Queue{store: log, partitions: 1}, DefaultMaxMemory), map[string][]uint64{}}
}

func (f *feedFixture) add(subject string, size int) uint64 {
	seq, err := f.log.Append(context.Background(), eventsStream, []eventlog.Write{{Subject: subject, Data: make([]byte, size)}})
	require.NoError(f.t, err)
	f.sent[subject] = append(f.sent[subject], seq)
	return seq
}

// blockedPair adds pages of a size, and returns two cursors of all sources. The second one has read the first page and is blocked.
func (f *feedFixture) blockedPair(pages, size int) (fast, blocked *pageCursor) {
	fast, blocked = f.feeds.newCursor(0, []string{"ev.*.0"}, 1), f.feeds.newCursor(0, []string{"ev.*.0"}, 1)
	f.t.Cleanup(fast.close)
	f.t.Cleanup(blocked.close)
	for range pages {
		f.add("ev.a.0", size)
	}
	f.take(blocked, 1)
	blocked.setBlocked()
	return fast, blocked
}

// expected returns the sequences of the messages of subjects from one on.
func (f *feedFixture) expected(subjects []string, from uint64) (list []uint64) {
	for subject, seqs := range f.sent {
		if eventlog.MatchesAny(subjects, subject) {
			list = append(list, slices.DeleteFunc(slices.Clone(seqs), func(s uint64) bool { return s < from })...)
		}
	}
	slices.Sort(list)
	return list
}

func (f *feedFixture) take(c *pageCursor, n int) (list []uint64) {
	for range n {
		p, err := c.nextPage(f.t.Context())
		require.NoError(f.t, err)
		list = append(list, p.Sequence)
	}
	return list
}

// Instances at the same place of a partition read it once, also if their sources differ. When the last one stops, the reader is closed.
func TestInstancesShareOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock stands still, so no wait of the feed ends by its timeout
		f := newFeedFixture(t)
		var cursors []*pageCursor
		for i := range 50 {
			subjects := []string{fmt.Sprintf("ctl.i%d.0", i), fmt.Sprintf("ev.s%d.0", i%2)}
			if i%10 == 0 {
				subjects[1] = "ev.*.0"
			}
			cursors = append(cursors, f.feeds.newCursor(0, subjects, 1))
		}
		const pages = 300
		for i := range pages {
			f.add(fmt.Sprintf("ev.s%d.0", i%2), 10_000)
		}
		var all sync.WaitGroup
		for _, c := range cursors {
			all.Go(func() {
				want := f.expected(c.subjects, 1)
				assert.Equal(t, want, f.take(c, len(want)))
			})
		}
		all.Wait()
		for _, c := range cursors {
			c.close()
		}
		assert.EqualValues(t, pages, f.log.read.Load())
		assert.EqualValues(t, 1, f.log.opened.Load())
		assert.Empty(t, f.feeds.partitions[0].feeds)
	})
}

// TestReadsFollowTheSources checks that instances go on with one read when one with another source joins, and that what only a stopped
// instance needs is not read.
func TestReadsFollowTheSources(t *testing.T) {
	f := newFeedFixture(t)
	a := f.feeds.newCursor(0, []string{"ctl.i.0", "ev.a.0"}, 1)
	defer a.close()
	assert.Equal(t, []uint64{f.add("ev.a.0", 10)}, f.take(a, 1))
	b := f.feeds.newCursor(0, []string{"ctl.j.0", "ev.b.0"}, 2)
	f.log.read.Store(0)
	for range 3 {
		f.add("ev.a.0", 10)
		f.add("ev.b.0", 10)
		f.add("ev.c.0", 10)
	}
	assert.Equal(t, []uint64{2, 5, 8}, f.take(a, 3))
	assert.Equal(t, []uint64{3, 6, 9}, f.take(b, 3))
	assert.EqualValues(t, 6, f.log.read.Load(), "each message of their sources once")
	b.close()
	f.log.read.Store(0)
	for range 3 {
		f.add("ev.b.0", 10)
	}
	assert.Equal(t, []uint64{f.add("ev.a.0", 10)}, f.take(a, 1))
	assert.EqualValues(t, 1, f.log.read.Load(), "no instance needs the others")
	assert.Len(t, f.feeds.partitions[0].feeds, 1)
}

// An instance that waits for its remote does not hold up the others. It reads by itself until it has caught up, and shares again then.
func TestLaggingInstanceReadsByItself(t *testing.T) {
	f := newFeedFixture(t)
	fast, slow := f.blockedPair(40, 100_000)
	f.take(fast, 40)
	assert.EqualValues(t, 40, f.log.read.Load())
	assert.Equal(t, f.expected([]string{"ev.*.0"}, 2), f.take(slow, 39))
	assert.Same(t, fast.feed, slow.feed)
	caughtUp := f.log.read.Load()
	assert.Greater(t, caughtUp, int64(40))
	assert.Less(t, caughtUp, int64(80), "the pages in memory are not read again")
	seq := f.add("ev.b.0", 10)
	assert.Equal(t, []uint64{seq}, f.take(slow, 1))
	assert.Equal(t, []uint64{seq}, f.take(fast, 1))
	assert.EqualValues(t, caughtUp+1, f.log.read.Load())
}

// Instances that lag at different places share what a partition may keep in memory, and feeds that were left keep
// nothing.
func TestLaggingInstancesShareTheLimit(t *testing.T) {
	f := newFeedFixture(t)
	all := []string{"ev.*.0"}
	const pages, size = 150, 50_000
	for range pages {
		f.add("ev.a.0", size)
	}
	var cursors []*pageCursor
	for range 10 {
		c := f.feeds.newCursor(0, all, 1)
		defer c.close()
		cursors = append(cursors, c)
	}
	requireBounded := func() {
		g, kept := f.feeds.partitions[0], 0
		for _, feed := range g.feeds {
			for _, p := range feed.pages {
				kept += p.size
			}
		}
		require.LessOrEqual(t, kept, feedBytes+len(g.feeds)*(size+pageOverhead))
	}
	for _, c := range cursors {
		f.take(c, 1)
		c.setBlocked()
	}
	for i, c := range cursors {
		f.take(c, pages-10*(i+1))
		c.setBlocked()
		requireBounded()
	}
	require.Greater(t, len(f.feeds.partitions[0].feeds), 3)
	for i, c := range cursors {
		assert.Equal(t, f.expected(all, uint64(pages-10*(i+1)+2)), f.take(c, 10*(i+1)-1))
		requireBounded()
	}
	f.feeds.dropPages()
	for _, feed := range f.feeds.partitions[0].feeds {
		require.Empty(t, feed.pages)
	}
}

// What small events need in memory beyond their data counts too.
func TestSmallPagesCountWhatTheyNeed(t *testing.T) {
	f := newFeedFixture(t)
	const pages = 6000
	fast, _ := f.blockedPair(pages, 10)
	f.take(fast, pages)
	assert.LessOrEqual(t, len(fast.feed.pages), feedBytes/pageOverhead)
}

// TestNewInstancesJoinTheFurthest checks that an instance which begins near the end of the log shares the read that is there, not that of
// an instance which lags.
func TestNewInstancesJoinTheFurthest(t *testing.T) {
	f := newFeedFixture(t)
	fast, slow := f.blockedPair(40, 100_000)
	f.take(fast, 40)
	f.take(slow, 1)
	require.NotSame(t, fast.feed, slow.feed)
	for range 2 {
		joined := f.feeds.newCursor(0, []string{"ev.*.0"}, 41)
		defer joined.close()
		assert.Same(t, fast.feed, joined.feed)
		slices.Reverse(f.feeds.partitions[0].feeds)
	}
}

// TestUnreadMessages checks how many messages are said to be unread: as many as followed the last page that an instance has read, or fewer
// if others have read on.
func TestUnreadMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeedFixture(t)
		a, b := f.feeds.newCursor(0, []string{"ctl.i.0", "ev.a.0"}, 1), f.feeds.newCursor(0, []string{"ctl.j.0", "ev.*.0"}, 1)
		unread := func(c *pageCursor) []any {
			n, idle := c.unread()
			return []any{n, idle}
		}
		for _, subject := range []string{"ev.a.0", "ev.b.0", "ev.b.0", "ev.b.0"} {
			f.add(subject, 10)
		}
		f.take(a, 1)
		assert.Equal(t, []any{uint64(3), false}, unread(a))
		f.take(b, 2)
		assert.Equal(t, []any{uint64(2), false}, unread(b))
		var readers sync.WaitGroup
		readers.Go(func() { f.take(a, 1) })
		synctest.Wait()
		assert.Equal(t, []any{uint64(0), true}, unread(a), "it has looked at all of them")
		f.take(b, 2)
		assert.Equal(t, []any{uint64(0), false}, unread(b))
		f.add("ev.a.0", 10)
		readers.Wait()
		a.close()
		b.close()
		assert.Equal(t, []any{uint64(0), true}, unread(nil))
	})
}

// TestInstanceAheadOfTheOthers checks that an instance which joins others that are behind it gets its pages, although those before them are
// no longer kept.
func TestInstanceAheadOfTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeedFixture(t)
		behind := f.feeds.newCursor(0, []string{"ev.*.0"}, 1)
		for range 40 {
			f.add("ev.a.0", 100_000)
		}
		f.take(behind, 1)
		ahead := f.feeds.newCursor(0, []string{"ev.*.0"}, 30)
		assert.Same(t, behind.feed, ahead.feed)
		f.take(behind, 24)
		assert.Equal(t, f.expected([]string{"ev.*.0"}, 30), f.take(ahead, 11))
		assert.Equal(t, f.expected([]string{"ev.*.0"}, 26), f.take(behind, 15))
		behind.close()
		ahead.close()
	})
}

// After the log has changed, its pages are read again.
func TestDroppedPagesAreReadAgain(t *testing.T) {
	f := newFeedFixture(t)
	a, b := f.feeds.newCursor(0, []string{"ev.*.0"}, 1), f.feeds.newCursor(0, []string{"ev.*.0"}, 1)
	defer a.close()
	defer b.close()
	f.add("ev.a.0", 10)
	f.take(a, 1)
	require.NoError(t, f.log.Delete(t.Context(), eventsStream, 1))
	f.feeds.dropPages()
	seq := f.add("ev.a.0", 10)
	assert.Equal(t, []uint64{seq}, f.take(b, 1))
	assert.Equal(t, []uint64{seq}, f.take(a, 1))
}

// TestClosedTwice checks that an instance which is stopped twice leaves once: the pages that the others share are kept.
func TestClosedTwice(t *testing.T) {
	f := newFeedFixture(t)
	a, b := f.feeds.newCursor(0, []string{"ev.*.0"}, 1), f.feeds.newCursor(0, []string{"ev.*.0"}, 1)
	for range 3 {
		f.add("ev.a.0", 10)
	}
	f.take(a, 1)
	f.take(b, 1)
	a.close()
	a.close()
	assert.Equal(t, 1, b.partition.cursors)
	assert.Equal(t, []uint64{2, 3}, f.take(b, 2))
	b.close()
	assert.Zero(t, b.partition.cursors)
}
