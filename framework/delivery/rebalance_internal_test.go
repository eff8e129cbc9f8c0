package delivery

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
)

// TestWhichPartitionsAreAcquired checks that a process takes a partition only if its checkpoint is known and fits the log, and no other
// process has its lease.
func TestWhichPartitionsAreAcquired(t *testing.T) {
	for name, c := range map[string]struct {
		stored   *checkpoint
		age      time.Duration
		change   func(w *worker, log *failingLog)
		acquired bool
	}{
		"nothing is known of it":            {},
		"it is free":                        {stored: &checkpoint{Low: 1}, acquired: true},
		"it is this process's":              {stored: &checkpoint{Low: 1, Owner: "me"}, acquired: true},
		"another has it":                    {stored: &checkpoint{Low: 1, Owner: "other"}, age: 45*time.Second - 1},
		"the lease of another has expired":  {stored: &checkpoint{Low: 1, Owner: "other"}, age: 45 * time.Second, acquired: true},
		"it does not match the log":         {stored: &checkpoint{Low: 9}},
		"the log cannot be read":            {stored: &checkpoint{Low: 1}, change: func(_ *worker, log *failingLog) { log.arm(1) }},
		"the checkpoint cannot be written":  {stored: &checkpoint{Low: 1}, change: func(w *worker, log *failingLog) { log.failAppend.Store(true) }},
		"the instance is stopped meanwhile": {stored: &checkpoint{Low: 1}, change: func(w *worker, _ *failingLog) { w.stopping = true }},
	} {
		synctest.Test(t, func(t *testing.T) {
			log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
			r, w := newIdleRunner(t, log, 1, Settings{}, accepts(t))
			notes, err := newMappingNotes(t.TempDir())
			require.NoError(t, err)
			r.mappingNotes = notes
			if c.stored != nil {
				_, err := r.leases.writeCheckpoint(t.Context(), c.stored.Owner, checkpointSubject("main", 0), 0, *c.stored)
				require.NoError(t, err)
			}
			time.Sleep(c.age)
			if c.change != nil {
				c.change(w, log)
			}
			p := r.acquirePartition(w, 0)
			log.arm(0)
			log.failAppend.Store(false)
			assert.Equal(t, c.acquired, p != nil, name)
			assert.Equal(t, c.acquired, w.partitions[0] != nil, name)
			if !c.acquired {
				assert.Len(t, notes.free, mappingSlots, name)
				if g := r.queue.feeds.partitions[0]; g != nil {
					assert.Zero(t, g.cursors, name)
				}
				return
			}
			assert.Equal(t, time.Now().Add(45*time.Second), p.leaseUntil, name)
			stored, err := r.queue.checkpointsOf(t.Context(), "main")
			require.NoError(t, err)
			assert.Equal(t, []any{"me", p.revision}, []any{stored[0].checkpoint.Owner, stored[0].revision}, name)
			assert.NotZero(t, stored[0].checkpoint.LogCreated, name)
			p.cursor.close()
		})
	}
}

// TestRebalancing checks that a process acquires what is assigned to it, releases what is not, and gives up what it could not renew in time.
func TestRebalancing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := newIdleRunner(t, memlog.New(memlog.Options{Shared: true}).Connect(), 4, Settings{}, accepts(t))
		ctx, cancel := context.WithCancel(t.Context())
		r.ctx = ctx
		for n := range 4 {
			_, err := r.leases.writeCheckpoint(t.Context(), "", checkpointSubject("main", n), 0, checkpoint{Low: 1})
			require.NoError(t, err)
		}
		owned := func() (list []int) {
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			for n := range w.partitions {
				list = append(list, n)
			}
			slices.Sort(list)
			return list
		}
		r.rebalance()
		assert.Equal(t, []int{0, 1, 2, 3}, owned())
		require.NoError(t, r.leases.sendHeartbeat(t.Context(), "other", memberAlive))
		r.rebalance()
		kept := owned()
		assert.Len(t, kept, 2, "the other half is for the other process")
		for n := range 4 {
			s, _ := r.leases.latestOf(checkpointSubject("main", n))
			assert.Equal(t, slices.Contains(kept, n), ownerOf(s.data) == "me", n)
		}
		time.Sleep(r.settings.Lease - 1)
		require.NoError(t, r.leases.sendHeartbeat(t.Context(), "other", memberAlive))
		r.rebalance()
		assert.Equal(t, kept, owned())
		time.Sleep(time.Nanosecond)
		lost := w.partitions[kept[0]]
		r.rebalance()
		assert.Empty(t, owned(), "their leases were not renewed")
		assert.True(t, lost.abandoned)
		r.rebalance()
		assert.Equal(t, kept, owned())
		w.mu.Lock()
		w.stopping = true
		w.mu.Unlock()
		require.NoError(t, r.leases.sendHeartbeat(t.Context(), "other", memberLeft))
		r.rebalance()
		assert.Equal(t, kept, owned(), "a worker that stops takes nothing")
		for _, n := range kept {
			r.abandonPartition(w.partitions[n])
		}
		cancel()
		r.goroutines.Wait()
	})
}

// TestReleasedPartitions checks that a partition which is released waits for its requests and dead letters, but no longer than allowed, says in
// its checkpoint that it is free, and is released once.
func TestReleasedPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, pending := range []time.Duration{0, 5 * time.Second, time.Hour} {
			r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{}, accepts(t))
			p := w.lease(t, 0)
			close(p.done)
			p.nextPage = 33
			if pending > 0 {
				p.pendingWrites = 1
				time.AfterFunc(pending, func() {
					w.mu.Lock()
					defer w.mu.Unlock()
					p.pendingWrites = 0
					w.changed.Broadcast()
				})
			}
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			r.releasePartition(ctx, p)
			assert.Equal(t, min(pending, time.Minute), time.Since(began))
			cancel()
			assert.Empty(t, w.partitions)
			assert.Equal(t, []bool{true, true}, []bool{p.closing, p.abandoned})
			stored, err := r.queue.checkpointsOf(t.Context(), "main")
			require.NoError(t, err)
			assert.Equal(t, []any{"", uint64(33)}, []any{stored[0].checkpoint.Owner, stored[0].checkpoint.Low})
			r.releasePartition(t.Context(), p)
			again, err := r.queue.checkpointsOf(t.Context(), "main")
			require.NoError(t, err)
			assert.Equal(t, stored[0].revision, again[0].revision)
			time.Sleep(time.Hour)
		}
	})
}

// TestMembers checks which processes count as members, and what a process knows of the owners of partitions.
func TestMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeases(nil, time.Minute)
		stable := map[string]string{assignmentHeader: assignmentStable}
		loaded := func(subject string, seq uint64, ago time.Duration, data string) {
			l.recordMessage(eventlog.Message{Subject: subject, Header: stable, Sequence: seq, Time: time.Now().Add(-ago), Data: []byte(data)})
		}
		loaded("proc.newest", 1, 0, memberAlive)
		loaded("proc.fresh", 2, time.Minute-1, memberAlive)
		loaded("proc.old", 3, time.Minute, memberAlive)
		loaded("proc.left", 4, 0, memberLeft)
		loaded("book.i.0", 5, 0, `{"owner":"fresh","low":1}`)
		loaded("book.i.2", 6, 0, `{"low":1}`)
		loaded("book.i.3", 7, 0, `{"owner":"fresh","low":1}`)
		loaded("book.i.x", 8, 0, `{"owner":"fresh","low":1}`)
		loaded("book.i.-1", 9, 0, `{"owner":"fresh","low":1}`)
		l.markReady()
		m := l.membership("me", 3)
		assert.Equal(t, []string{"fresh", "me", "newest"}, m.members, "heartbeats that were old when they were read do not count")
		assert.Equal(t, map[string][]string{"i": {"fresh", "", ""}}, m.owners)
		assert.Empty(t, m.newcomers, "they were there before this process")
		assert.True(t, m.stable)

		l.recordWrite(eventlog.Write{Subject: "proc.joined", Header: stable, Data: []byte(memberAlive)}, 10)
		time.Sleep(time.Minute - 1)
		m = l.membership("me", 3)
		assert.Equal(t, map[string]bool{"joined": true}, m.newcomers)
		l.recordWrite(eventlog.Write{Subject: "proc.joined", Header: stable, Data: []byte(memberAlive)}, 11)
		l.recordWrite(eventlog.Write{Subject: "book.i.2", Data: []byte(`{"owner":"joined","low":1}`)}, 12)
		time.Sleep(time.Nanosecond)
		m = l.membership("me", 3)
		assert.Equal(t, []string{"joined", "me"}, m.members)
		assert.Empty(t, m.newcomers, "it has been there for a lease")
		assert.Equal(t, []string{ownerExpired, ownerReleased, "joined"}, m.owners["i"])

		l.recordWrite(eventlog.Write{Subject: "proc.me", Data: []byte(memberAlive)}, 13)
		m = l.membership("me", 3)
		assert.Equal(t, []string{"joined", "me"}, m.members, "it is listed once")
		assert.False(t, m.stable, "one of an earlier version")
		for n := range 3 {
			assert.Equal(t, assignedMember("i", n, m.members) == "joined", m.assignedTo("joined", "i", 3)[n])
		}
		time.Sleep(time.Minute)
		l.recordWrite(eventlog.Write{Subject: "proc.joined", Header: stable, Data: []byte(memberAlive)}, 14)
		assert.Equal(t, map[string]bool{"joined": true}, l.membership("me", 3).newcomers, "it was away for a lease, so it does not know which have expired")
	})
}

// TestLoadsOfMembers checks which members have notably more partitions than the others, over all instances that are delivered.
func TestLoadsOfMembers(t *testing.T) {
	m := &membership{stable: true, members: []string{"a", "b"}, loads: map[string]int{}, owners: map[string][]string{
		"one": {"a", "a", "a", "b"}, "two": {"a", "b", "", ""}, "none": {"", "!", "dead", ""},
	}}
	m.addLoads()
	assert.Equal(t, map[string]int{"a": 3, "b": 2}, m.loads, "at most its share of each instance")
	assert.InDelta(t, 4, m.even, 0)
	for load, want := range map[int]bool{4: false, 5: false, 6: true} {
		m.loads["a"] = load
		assert.Equal(t, want, m.isOverloaded("a"), load)
	}
	m.even = 40
	for load, want := range map[int]bool{42: false, 43: true} {
		m.loads["a"] = load
		assert.Equal(t, want, m.isOverloaded("a"), load)
	}
}
