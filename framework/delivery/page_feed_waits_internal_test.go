package delivery

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// If the instance that reads for all is stopped, or takes a page and then waits for its remote, another one reads on. An instance with
// another source that joins at the end of the log gets its events too.
func TestAnotherInstanceLeads(t *testing.T) {
	for _, cancelled := range []bool{true, false} {
		t.Run(fmt.Sprint("cancelled ", cancelled), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFeedFixture(t)
				first, second := f.feeds.newCursor(0, []string{"ev.a.0"}, 1), f.feeds.newCursor(0, []string{"ev.b.0"}, 1)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() { _, _ = first.nextPage(ctx) }()
				synctest.Wait()
				var got []uint64
				var readers sync.WaitGroup
				readers.Go(func() { got = f.take(second, 1) })
				synctest.Wait()
				require.True(t, first.leads)
				if cancelled {
					cancel()
				} else {
					f.add("ev.a.0", 10)
				}
				synctest.Wait()
				joined := f.feeds.newCursor(0, []string{"ev.c.0"}, 1)
				readers.Go(func() { f.take(joined, 1) })
				synctest.Wait()
				f.add("ev.c.0", 10)
				seq := f.add("ev.b.0", 10)
				readers.Wait()
				assert.Equal(t, []uint64{seq}, got)
				for _, c := range []*pageCursor{first, second, joined} {
					c.close()
				}
				assert.Empty(t, f.feeds.partitions[0].feeds)
			})
		})
	}
}

// An instance that is busy with a page holds the others up for a moment, so that they go on together, but no longer.
func TestFeedIsPatientForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeedFixture(t)
		fast, busy := f.feeds.newCursor(0, []string{"ev.*.0"}, 1), f.feeds.newCursor(0, []string{"ev.*.0"}, 1)
		for range 40 {
			f.add("ev.a.0", 100_000)
		}
		began := time.Now()
		f.take(fast, 40)
		assert.Equal(t, feedPatience, time.Since(began), "it is waited for once")
		f.take(busy, 40)
		fast.close()
		busy.close()
	})
}

// TestNoInstanceIsWaitedForAfterTheEnd checks that an instance which is stopped does not wait for those that it shares its reads with.
func TestNoInstanceIsWaitedForAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeedFixture(t)
		fast, busy := f.feeds.newCursor(0, []string{"ev.*.0"}, 1), f.feeds.newCursor(0, []string{"ev.*.0"}, 1)
		for range 20 {
			f.add("ev.a.0", 100_000)
		}
		f.take(fast, feedBytes/100_000)
		ctx, cancel := context.WithTimeout(t.Context(), feedPatience/2)
		defer cancel()
		began, n := time.Now(), 0
		for {
			if _, err := fast.nextPage(ctx); err != nil {
				require.ErrorIs(t, err, context.DeadlineExceeded)
				break
			}
			n++
		}
		assert.Equal(t, feedPatience/2, time.Since(began))
		assert.LessOrEqual(t, n, 1)
		assert.Equal(t, f.expected([]string{"ev.*.0"}, 1), f.take(busy, 20), "the other one misses nothing")
		fast.close()
		busy.close()
	})
}

// TestInstancesThatGoOnAreWaitedFor checks that an instance which has waited for its remote is waited for again once it reads on.
func TestInstancesThatGoOnAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeedFixture(t)
		fast, other := f.blockedPair(40, 100_000)
		f.take(other, 1)
		began := time.Now()
		f.take(fast, 40)
		assert.Equal(t, feedPatience, time.Since(began))
	})
}

// TestWaitingInstancesLoseNothing has two instances wait for events while the reader fails, or the log changes: both get all events, and an
// error is reported to each once.
func TestWaitingInstancesLoseNothing(t *testing.T) {
	for name, c := range map[string]struct {
		disturb func(f *feedFixture)
		errors  int
	}{
		"nothing happens": {func(*feedFixture) {}, 0}, "the reader fails": {func(f *feedFixture) { f.log.fails.Store(true) }, 1}, "the log changes": {func(f *feedFixture) { f.feeds.dropPages() }, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFeedFixture(t)
			type outcome struct {
				read   []uint64
				failed int
			}
			outcomes, readers := make([]outcome, 2), sync.WaitGroup{}
			for i := range outcomes {
				c := f.feeds.newCursor(0, []string{"ctl." + fmt.Sprint(i) + ".0", "ev.*.0"}, 1)
				readers.Go(func() {
					defer c.close()
					for len(outcomes[i].read) < 2 {
						p, err := c.nextPage(t.Context())
						if err != nil {
							outcomes[i].failed++
							continue
						}
						outcomes[i].read = append(outcomes[i].read, p.Sequence)
					}
				})
				synctest.Wait()
			}
			c.disturb(f)
			synctest.Wait()
			f.add("ev.a.0", 10)
			f.add("ev.b.0", 10)
			readers.Wait()
			for _, o := range outcomes {
				assert.Equal(t, outcome{[]uint64{1, 2}, c.errors}, o, name)
			}
			assert.Empty(t, f.feeds.partitions[0].feeds)
		})
	}
}

// An idle instance far back in the log reads its own sources only.
func TestIdleInstanceReadsItsSourcesOnly(t *testing.T) {
	f := newFeedFixture(t)
	for range joinDistance + 500 {
		f.add("ev.busy.0", 10)
	}
	end := f.add("ev.busy.0", 10)
	busy, idle := f.feeds.newCursor(0, []string{"ev.busy.0"}, end), f.feeds.newCursor(0, []string{"ev.idle.0"}, 1)
	defer busy.close()
	defer idle.close()
	f.take(busy, 1)
	seq := f.add("ev.idle.0", 10)
	assert.Equal(t, []uint64{seq}, f.take(idle, 1))
	assert.LessOrEqual(t, f.log.read.Load(), int64(3))
	for range 2 {
		f.add("ev.idle.0", 10)
		f.add("ev.busy.0", 10)
		f.take(idle, 1)
		f.take(busy, 1)
	}
	assert.Same(t, busy.feed, idle.feed)
}
