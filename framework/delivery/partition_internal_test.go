package delivery

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// pageOf returns a page of the log with one event of each user.
func pageOf(r *Runner, seq uint64, at time.Time, users ...string) *logPage {
	var data []byte
	for _, user := range users {
		data = fmt.Appendf(data, `{"type":"track","messageId":"%d-%s","userId":%q}`+"\n", seq, user, user)
	}
	return newLogPage(eventlog.Message{Subject: "ev.web.0", Sequence: seq, Time: at, Data: data}, 0, r.queue.feeds.seed)
}

// TestPagesThatAreReadAgain reads pages of which a checkpoint says what is finished, each twice. Only the events that are not finished are
// delivered, once, and finished pages count as read.
func TestPagesThatAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{Lease: time.Hour}, accepts(t))
		begin := time.Now()
		p := w.own(0, checkpoint{Low: 3, DedupeFrom: 2, Done: [][2]uint64{{5, 6}}, Partial: map[string]string{"4": base64.RawStdEncoding.EncodeToString([]byte{2})}})
		state := func() []any {
			time.Sleep(10 * time.Second)
			w.mu.Lock()
			defer w.mu.Unlock()
			return []any{p.nextPage, p.counts[countEvents], p.counts[countDelivered], len(p.openPages), p.taskCount}
		}
		for _, c := range []struct {
			seq       uint64
			next      uint64
			delivered int64
		}{{2, 3, 0}, {3, 4, 2}, {4, 5, 3}, {5, 6, 3}, {6, 7, 3}, {7, 8, 5}, {4, 8, 5}, {6, 8, 5}, {7, 8, 5}} {
			at := begin.Add(time.Duration(c.seq) * time.Second)
			anchored, isNew := p.anchor, c.seq >= p.nextPage
			require.NoError(t, p.handlePage(pageOf(r, c.seq, at, "a", "b")))
			assert.Equal(t, []any{c.next, c.delivered, c.delivered, 0, 0}, state(), "page %d", c.seq)
			if isNew {
				assert.Equal(t, &anchor{c.seq, at.UnixNano()}, p.anchor)
				assert.Equal(t, time.Now().Add(-10*time.Second), p.lastRead)
			} else {
				assert.Same(t, anchored, p.anchor, "page %d was read before", c.seq)
			}
		}
		assert.True(t, p.hasRead)
		assert.Equal(t, uint64(2), p.recentIDs.oldestBefore(99), "the messageIds of finished pages are remembered")
		cp := p.currentCheckpointLocked("me")
		assert.Equal(t, []any{uint64(8), uint64(2), "me"}, []any{cp.Low, cp.DedupeFrom, cp.Owner})
		assert.Empty(t, cp.Done)
		assert.Empty(t, cp.Partial)
	})
}

// TestCheckpointsKeepWhatIsAhead checks that a checkpoint which is written before all pages of an earlier one are read again goes on saying
// which of them are finished.
func TestCheckpointsKeepWhatIsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{Lease: time.Hour}, accepts(t))
		one := base64.RawStdEncoding.EncodeToString([]byte{1})
		earlier := checkpoint{Low: 3, Done: [][2]uint64{{4, 4}, {6, 7}, {9, 10}}, Partial: map[string]string{"5": one, "8": one, "11": one}}
		p := w.own(0, earlier)
		w.dispatcher.Pause(time.Minute)
		for seq := uint64(3); seq <= 7; seq++ {
			require.NoError(t, p.handlePage(pageOf(r, seq, time.Now(), "a", "b")))
		}
		check := func(low uint64, partial ...string) {
			t.Helper()
			w.mu.Lock()
			defer w.mu.Unlock()
			cp := p.currentCheckpointLocked("me")
			assert.Equal(t, low, cp.Low)
			assert.ElementsMatch(t, partial, slices.Collect(maps.Keys(cp.Partial)))
			for seq := low; seq < 14; seq++ {
				wantAll, want := earlier.finishedEvents(seq)
				all, bits := cp.finishedEvents(seq)
				assert.Equal(t, []any{wantAll, want}, []any{all, bits}, "page %d", seq)
			}
		}
		check(3, "5", "8", "11")
		time.Sleep(2 * time.Minute)
		check(8, "8", "11")
	})
}

// TestEventsThatHaveStoppedTheProcess checks that an event at which the process has ended each time is not mapped again, and becomes a dead
// dead letter; others of its page are delivered.
func TestEventsThatHaveStoppedTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mapped := 0
		r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{beforeMapping: func(event.Event) { mapped++ }}, accepts(t))
		r.mappingNotes = openMappingNotes(t.TempDir(), r.log)
		p := w.own(0, checkpoint{Low: 1})
		r.mappingNotes.hasCrashes.Store(true)
		for index, crashes := range []int{maxCrashes - 1, maxCrashes} {
			r.mappingNotes.crashes[crashSite{Key: p.mapping.key, Seq: 1, Index: uint64(index)}] = crashes
		}
		require.NoError(t, p.handlePage(pageOf(r, 1, time.Now(), "a", "b", "c")))
		time.Sleep(10 * time.Second)
		assert.Equal(t, 2, mapped)
		w.mu.Lock()
		assert.Equal(t, []int64{3, 2, 1}, []int64{p.counts[countEvents], p.counts[countDelivered], p.counts[countDead]})
		w.mu.Unlock()
		letters := lettersOf(t, r.queue, DeadLetterFilter{})
		require.Len(t, letters, 1)
		assert.Regexp(t, "^1-1-", letters[0])
	})
}

// TestFailingKeysMakeSpaceForOthers checks that a partition which is full of events that fail reads others after a while: a short one if
// the remote has accepted something lately.
func TestFailingKeysMakeSpaceForOthers(t *testing.T) {
	for _, success := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var failing atomic.Bool
			in := answeringInstance(t, func() error {
				if failing.Load() {
					return fault.FromStatus(503, "busy")
				}
				return nil
			})
			r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{MaxInFlight: 2, EvictAfter: time.Second, MinBackoff: time.Hour, MaxBackoff: time.Hour, Lease: time.Hour}, in)
			p := w.own(0, checkpoint{Low: 1})
			failing.Store(!success)
			require.NoError(t, p.handlePage(pageOf(r, 1, time.Now(), "a")))
			time.Sleep(time.Second)
			failing.Store(true)
			began := time.Now()
			require.NoError(t, p.handlePage(pageOf(r, 2, began, "b", "c")))
			require.NoError(t, p.handlePage(pageOf(r, 3, began, "d")))
			took := time.Since(began)
			assert.Greater(t, took, time.Second)
			assert.Less(t, took, map[bool]time.Duration{true: 2 * time.Second, false: 15 * time.Second}[success])
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			assert.Equal(t, []string{kindEvicted, ""}, []string{p.parked.kind(shortHash("u:b")), p.parked.kind(shortHash("u:d"))})
		})
	}
}

// TestCheckpointWithoutIDs checks that a partition which has not read the messageIds again that it remembered goes on saying where they
// are, and that it reads all of them, also if reading fails on the way.
func TestCheckpointWithoutIDs(t *testing.T) {
	r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{}, accepts(t))
	p := w.own(0, checkpoint{Low: 7, DedupeFrom: 4, Start: 2})
	cursor := p.openCursor()
	assert.EqualValues(t, 4, cursor.next)
	assert.Same(t, cursor, p.openCursor(), "it goes on where it is")
	cp := p.currentCheckpointLocked("me")
	assert.Equal(t, []uint64{7, 4, 2}, []uint64{cp.Low, cp.DedupeFrom, cp.Start})
	assert.False(t, addID(p.recentIDs, 1, 4, 0))
	assert.EqualValues(t, 4, p.currentCheckpointLocked("me").DedupeFrom)
	for cursor.next = 5; cursor.next <= 7; cursor.next++ {
		assert.Same(t, cursor, p.openCursor(), "the pages from %d on have messageIds, too", cursor.next)
	}
	other := p.openCursor()
	assert.NotSame(t, cursor, other)
	assert.EqualValues(t, 7, other.next)
	p.cursor.close()
	assert.Zero(t, r.queue.feeds.partitions[0].cursors, "the first one was closed")
}

// TestRequestsEndBeforeTheLease checks how long a request may take: until shortly before the lease ends. At least half of the lease must be left.
func TestRequestsEndBeforeTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &partition{worker: &worker{runner: &Runner{settings: Settings{Lease: 40 * time.Second}}}}
		for left, want := range map[time.Duration]time.Duration{
			0: 0, -time.Second: 0, 20*time.Second - 1: 0, 20 * time.Second: 16 * time.Second, 39 * time.Second: 35 * time.Second, 40 * time.Second: 36 * time.Second, time.Hour: 36 * time.Second,
		} {
			p.leaseUntil = time.Now().Add(left)
			assert.Equal(t, want, p.requestAllowanceLocked(), left)
		}
	})
}

// TestKindsOfStoredKeys checks that a key with dead letters of both kinds is held, whichever is found first, and that other subjects are ignored.
func TestKindsOfStoredKeys(t *testing.T) {
	log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
	_, w := newIdleRunner(t, log, 2, Settings{}, accepts(t))
	p := w.own(0, checkpoint{})
	for _, subject := range []string{"0.a.held.1-0-x", "0.a.auto.2-0-x", "0.b.auto.1-0-x", "0.b.held.2-0-x", "0.c.auto.1-0-x", "1.d.held.1-0-x", "0.e.held", "0.f.held.1-0-x.y"} {
		_, err := log.Append(t.Context(), parkStream, []eventlog.Write{{Subject: "park.main." + subject}})
		require.NoError(t, err)
	}
	for range 20 { // the order of the subjects is random
		keys, err := p.storedParkedKeys()
		require.NoError(t, err)
		assert.Equal(t, map[string]string{"a": kindHeld, "b": kindHeld, "c": kindEvicted}, keys)
	}
	require.NoError(t, p.loadParked())
	assert.Equal(t, kindHeld, p.parked.kind("a"))
	log.arm(1)
	assert.ErrorIs(t, p.readLog(), errLogFails, "nothing is delivered before the parked keys are known")
}

// TestWaitingToPark checks how long a partition with parked keys reads nothing: until events can be parked again, or a command waits that
// may drop or replay some.
func TestWaitingToPark(t *testing.T) {
	for name, c := range map[string]struct {
		begin func(p *partition)                                            // before it waits
		later func(ctx context.Context, cancel func(), q *Queue, r *Runner) // after ten seconds; nil if it does not wait
		fails bool
	}{
		"no key is parked":     {begin: func(p *partition) { p.parked, p.nextPage = parkedKeys{}, 3 }},
		"events can be parked": {begin: func(p *partition) { p.worker.runner.limits.parkingFullSince, p.nextPage = time.Time{}, 3 }},
		"a command waits":      {begin: func(p *partition) { p.nextPage = 2 }},
		"it was applied before, and events can be parked later": {
			begin: func(p *partition) { p.nextPage = 3 }, later: func(_ context.Context, _ func(), _ *Queue, r *Runner) { r.updateParkingLimit(0, false, time.Now()) },
		},
		"it was applied before, and another comes": {
			begin: func(p *partition) { p.nextPage = 3 },
			later: func(ctx context.Context, _ func(), q *Queue, _ *Runner) {
				_ = q.sendCommand(ctx, "main", 0, opDrop, command{})
			},
		},
		"it is released": {begin: func(p *partition) { p.nextPage = 3 }, later: func(_ context.Context, cancel func(), _ *Queue, _ *Runner) { cancel() }, fails: true},
		"the log fails":  {begin: func(p *partition) { p.worker.runner.queue.store.(*failingLog).arm(1) }, fails: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, w := newIdleRunner(t, &failingLog{Log: memlog.New(memlog.Options{}).Connect()}, 1, Settings{MaxParkedBytes: 10}, accepts(t))
			require.NoError(t, r.queue.Append(t.Context(), []NewEvent{{Source: "web", Key: "u", Raw: []byte(`{}`)}}))
			require.NoError(t, r.queue.sendCommand(t.Context(), "main", 0, opDrop, command{}))
			p := w.own(0, checkpoint{Low: 1})
			p.parked.park("k", kindHeld)
			r.updateParkingLimit(10, false, time.Now())
			c.begin(p)
			began, ended := time.Now(), make(chan error)
			go func() { ended <- p.handlePage(pageOf(r, 5, began, "a")) }()
			if c.later != nil {
				time.Sleep(10 * time.Second)
				w.mu.Lock()
				assert.True(t, p.parkingBlocked, name)
				w.mu.Unlock()
				c.later(t.Context(), p.cancel, r.queue, r)
			}
			err := <-ended
			assert.Equal(t, c.fails, err != nil, "%s: %v", name, err)
			assert.Equal(t, c.later != nil, time.Since(began) >= 10*time.Second, name)
			assert.Less(t, time.Since(began), 12*time.Second, name)
			w.mu.Lock()
			defer w.mu.Unlock()
			if c.fails {
				assert.Empty(t, p.openPages, "%s: it is read again", name)
			} else {
				assert.Equal(t, uint64(6), p.nextPage, name)
			}
		})
	}
}

// TestFullPartitions checks when a partition reads no further event, and that it goes on as soon as it has space again, or ends.
func TestFullPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{MaxInFlight: 10}, accepts(t))
		p := w.own(0, checkpoint{Low: 1})
		pages := make([]*page, maxOpenPages)
		for _, c := range []struct {
			tasks, bytes, pages int
			full                bool
		}{{9, maxTaskBytes - 1, maxOpenPages - 1, false}, {10, 0, 0, true}, {0, maxTaskBytes, 0, true}, {0, 0, maxOpenPages, true}} {
			p.taskCount, p.taskBytes, p.openPages = c.tasks, c.bytes, pages[:c.pages]
			assert.Equal(t, c.full, p.isFullLocked(), c)
		}
		p.openPages = nil
		wait := func(then func()) (time.Duration, error) {
			p.taskCount = 10
			began := time.Now()
			timer := time.AfterFunc(3*time.Second, func() { w.mu.Lock(); defer w.mu.Unlock(); then() })
			defer timer.Stop()
			w.mu.Lock()
			defer w.mu.Unlock()
			err := p.waitForCapacityLocked()
			return time.Since(began), err
		}
		took, err := wait(func() { p.taskCount = 9 })
		require.NoError(t, err)
		assert.InDelta(t, 3*time.Second, took, float64(200*time.Millisecond))
		took, err = wait(func() { p.cancel() })
		require.ErrorIs(t, err, context.Canceled)
		assert.InDelta(t, 3*time.Second, took, float64(200*time.Millisecond))
		p.taskCount = 0
		w.mu.Lock()
		defer w.mu.Unlock()
		assert.ErrorIs(t, p.waitForCapacityLocked(), context.Canceled)
	})
}

// TestFullPartitionsReadNoOtherEvents checks that a partition which is full waits with events that concern no subscription, too: their
// pages need memory until the pages before them are finished.
func TestFullPartitionsReadNoOtherEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{}, accepts(t))
		p, ended := w.own(0, checkpoint{Low: 1}), make(chan error)
		for range maxOpenPages {
			p.openPages = append(p.openPages, &page{eventsLeft: 1, fullyRead: true})
		}
		go func() {
			ended <- p.handlePage(newLogPage(eventlog.Message{Subject: "ev.web.0", Sequence: 5, Data: []byte(`{"type":"page"}` + "\n")}, 0, r.queue.feeds.seed))
		}()
		time.Sleep(10 * time.Second)
		select {
		case <-ended:
			t.Fatal("it was read")
		default:
		}
		w.mu.Lock()
		assert.Empty(t, p.counts)
		p.openPages = p.openPages[maxOpenPages:]
		w.mu.Unlock()
		require.NoError(t, <-ended)
		assert.Equal(t, map[string]int64{countUnmatched: 1, countEvents: 1}, p.counts)
		assert.Empty(t, p.openPages)
	})
}

// TestReleasedPartitionsStartNothing checks that a partition which is released while it waits for space does not start the event that it
// waits with.
func TestReleasedPartitionsStartNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{MaxInFlight: 1}, accepts(t))
		p, ended := w.own(0, checkpoint{Low: 1}), make(chan error)
		w.dispatcher.Pause(time.Hour)
		go func() { ended <- p.handlePage(pageOf(r, 1, time.Now(), "a", "b")) }()
		time.Sleep(time.Second)
		p.cancel()
		assert.ErrorIs(t, <-ended, context.Canceled)
		w.mu.Lock()
		defer w.mu.Unlock()
		assert.Equal(t, 1, p.taskCount)
		require.Len(t, p.openPages, 1)
		assert.False(t, p.openPages[0].fullyRead)
	})
}

// TestOutcomesAreCountedTogether checks that the verdicts of an event are counted when the last one is known, with the event by its kind,
// and which of them is worth a checkpoint soon.
func TestOutcomesAreCountedTogether(t *testing.T) {
	for _, c := range []struct {
		page     page
		outcomes []string
		want     map[string]int64
		dirty    bool
	}{
		{page{}, []string{countUnmatched}, map[string]int64{countUnmatched: 1, countEvents: 1}, false},
		{page{}, []string{countDelivered}, map[string]int64{countDelivered: 1, countEvents: 1}, true},
		{page{}, []string{countDelivered, countSkipped, countDelivered}, map[string]int64{countDelivered: 2, countSkipped: 1, countEvents: 1}, true},
		{page{replayed: true}, []string{countDead, countDelivered}, map[string]int64{countDead: 1, countDelivered: 1, countReplayed: 1}, true},
		{page{holdsLetters: true}, []string{countDelivered}, map[string]int64{countDelivered: 1}, true},
	} {
		p := &partition{counts: map[string]int64{}}
		pg := c.page
		pg.verdictsLeft, pg.eventsLeft, pg.fullyRead = []uint16{1, uint16(len(c.outcomes))}, 2, true
		p.openPages = []*page{&pg}
		for i, outcome := range c.outcomes {
			assert.Empty(t, p.counts, "%d of %v", i, c.outcomes)
			p.recordOutcomeLocked(&pg, 1, outcome)
		}
		assert.Equal(t, c.want, p.counts)
		assert.Equal(t, []bool{c.dirty, !c.dirty}, []bool{p.dirty, p.hasRead}, c.outcomes)
		assert.Empty(t, pg.earlyOutcomes)
		assert.Len(t, p.openPages, 1, "the other event is not finished")
		p.recordOutcomeLocked(&pg, 0, countDelivered)
		assert.Nil(t, p.openPages)
		assert.True(t, p.hasRead)
	}
}

// TestPagesOfOtherSources checks that a page without an event of the instance's sources counts as read.
func TestPagesOfOtherSources(t *testing.T) {
	r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{}, Instance{Plan: accepts(t).Plan, Sources: []string{"app"}})
	p := w.own(0, checkpoint{Low: 3})
	for _, seq := range []uint64{5, 2} {
		require.NoError(t, p.handlePage(pageOf(r, seq, time.Now(), "a")))
		assert.EqualValues(t, 6, p.nextPage, "an earlier page does not set it back")
	}
	assert.Empty(t, p.openPages)
	assert.InDelta(t, 15.0/16*15/16, p.eventsPerPage, 1e-9)
}
