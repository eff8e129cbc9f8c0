package delivery

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/dispatch"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// addTasks starts tasks of a key for the partition, as if a page had been read.
func (p *partition) addTasks(t *testing.T, key string, n, bytes int, independent bool) {
	t.Helper()
	for i := range n {
		item := p.prepareEvent(t, key, i)
		item.Independent = independent
		p.worker.mu.Lock()
		p.addTaskLocked(item, key, bytes)
		p.worker.mu.Unlock()
	}
}

// prepareEvent prepares an event of a key, which is a user, for the first subscription.
func (p *partition) prepareEvent(t *testing.T, key string, i int) runtime.Item {
	t.Helper()
	e, err := event.Parse([]byte(`{"type":"track","userId":"` + key + `"}`))
	require.NoError(t, err)
	plan := p.worker.instance.Plan
	item, refused := plan.Prepare(plan.Subscriptions()[0], e, i)
	require.Nil(t, refused)
	return item
}

// addTaskLocked starts a task whose event is alone in its page.
func (p *partition) addTaskLocked(item runtime.Item, key string, bytes int) {
	pg := &page{seq: p.nextPage, verdictsLeft: []uint16{1}, eventsLeft: 1, fullyRead: true}
	p.openPages, p.nextPage = append(p.openPages, pg), p.nextPage+1
	p.worker.startTaskLocked(&task{item: item, partition: p, page: pg, key: key, bytes: bytes})
}

// TestHotKeysAreSpilled checks which keys of a full partition are hot: those with many events or bytes, with fewer if it stays full, and
// any if it has as many pages as it may have. Changes of audiences are spilled only if it stays full. Nothing is spilled where no more can
// be parked.
func TestHotKeysAreSpilled(t *testing.T) {
	for name, c := range map[string]struct {
		tasks, bytes, pages int
		independent         bool
		full                time.Duration
		parkingFull         bool
		want                bool
	}{
		"its share":                          {tasks: 10},
		"more than its share":                {tasks: 11, want: true},
		"more, and nothing can be parked":    {tasks: 11, parkingFull: true},
		"more, of an audience":               {tasks: 11, independent: true},
		"more, of an audience, for longer":   {tasks: 11, independent: true, full: time.Second + 1, want: true},
		"two, for a second":                  {tasks: 2, full: time.Second},
		"two, for longer":                    {tasks: 2, full: time.Second + 1, want: true},
		"its share of the bytes":             {tasks: 2, bytes: maxTaskBytes / 16},
		"more bytes":                         {tasks: 2, bytes: maxTaskBytes/16 + 1, want: true},
		"fewer bytes, for longer":            {tasks: 1, bytes: maxTaskBytes/64 + 1, full: time.Minute},
		"two, in as many pages as there are": {tasks: 2, pages: maxOpenPages, want: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{MaxInFlight: 80}, accepts(t))
			p := w.own(0, checkpoint{Low: 1})
			w.dispatcher.Pause(time.Hour)
			p.addTasks(t, "u:hot", c.tasks, c.bytes, c.independent)
			p.addTasks(t, "u:single", 1, 0, false)
			if c.pages > 0 {
				p.openPages = append(p.openPages, make([]*page, c.pages-len(p.openPages))...)
			}
			if c.parkingFull {
				r.limits.parkingFullSince = time.Now()
			}
			w.mu.Lock()
			spilled := p.spillHotKeysLocked(c.full)
			if c.pages > 0 {
				p.openPages = p.openPages[:c.tasks+1]
			}
			w.mu.Unlock()
			synctest.Wait()
			assert.Equal(t, c.want, spilled, name)
			assert.Equal(t, c.want, p.parked.isSpilled(shortHash("u:hot")), name)
			assert.Len(t, p.parked.keys, map[bool]int{true: 1}[c.want], name)
			letters := 0
			require.NoError(t, r.queue.DeadLetters(t.Context(), DeadLetterFilter{}, func(l *DeadLetter) error {
				letters++
				assert.Equal(t, []any{spilledBehind.Cause, true}, []any{l.Cause, l.Parked}, name)
				return nil
			}))
			want := 0
			if c.want {
				want = c.tasks - 1 // the first one stays
			}
			assert.Equal(t, []any{want, int64(want), c.tasks + 1 - want}, []any{letters, p.counts[countParked], p.taskCount}, name)
		})
	}
}

// TestErasedEventsAreNotParked checks that events of a user who is erased meanwhile are skipped where others are spilled, parked or
// evicted, and that their key is not parked if nothing is left of it.
func TestErasedEventsAreNotParked(t *testing.T) {
	for name, act := range map[string]func(p *partition){
		"spilled": func(p *partition) { assert.True(t, p.spillHotKeysLocked(time.Hour)) },
		"evicted": func(p *partition) {
			p.worker.parkTasksLocked(p.owner.TakeBehindLocked(func(dispatch.Chain[*task]) bool { return true })[0], evictedVerdict, kindEvicted)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			var erasing atomic.Bool
			erased := func(v event.Value) bool { return erasing.Load() && v.Get("userId").Str() == "gone" }
			r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{Erased: erased, MaxInFlight: 64}, accepts(t))
			p := w.own(0, checkpoint{Low: 1})
			w.dispatcher.Pause(time.Hour)
			p.addTasks(t, "gone", 3, 0, false)
			erasing.Store(true)
			w.mu.Lock()
			act(p)
			w.mu.Unlock()
			synctest.Wait()
			assert.Empty(t, p.parked.keys, name)
			assert.Equal(t, []int64{2, 0}, []int64{p.counts[countSkipped], p.counts[countParked]}, name)
			assert.Empty(t, lettersOf(t, r.queue, DeadLetterFilter{}), name)
		})
	}
}

// TestPositionsOfParkedLetters checks that parked events are in their order in the log, whatever their subjects look like.
func TestPositionsOfParkedLetters(t *testing.T) {
	want := []string{"k.held.odd", "k.held.2-0-b", "k.auto.2-0-c", "k.held.2-1-a", "k.held.10-0-a", "k.held.10-2-a-b", "k.held.10-11-a"}
	var list []parkedLetter
	for _, subject := range want {
		list = append(list, parseParkedSubject("park.i.0."+subject))
	}
	assert.Equal(t, parkedLetter{"park.i.0.k.held.10-2-a-b", position{10, 2}, "a-b"}, list[5])
	for range 20 {
		rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		slices.SortFunc(list, parkedLetter.compare)
		for i, l := range list {
			assert.Equal(t, "park.i.0."+want[i], l.subject)
		}
	}
}

// TestPortions checks that a portion has the first dead letters of its key that no task delivers, as many and as large as allowed, and whether
// it says that there are more.
func TestPortions(t *testing.T) {
	log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
	r, w := newIdleRunner(t, log, 1, Settings{}, accepts(t))
	p := w.own(0, checkpoint{})
	for _, at := range []position{{10, 0}, {2, 1}, {9, 0}, {2, 0}, {30, 0}, {5, 0}} {
		storeLetter(t, r.queue, DeadLetter{Seq: at.seq, Index: at.index, Key: "k", Parked: true}, kindEvicted)
	}
	key := shortHash("k")
	p.letters.beginTask((&DeadLetter{Instance: "main", Subscription: "all", Seq: 5, Key: "k", Parked: true}).subjectFor(kindEvicted))
	all := []position{{2, 0}, {2, 1}, {9, 0}, {10, 0}, {30, 0}}
	for limit := 1; limit <= 6; limit++ {
		letters, more, err := p.readPortion(key, limit)
		require.NoError(t, err)
		assert.Equal(t, all[:min(limit, 5)], positionsOf(letters), limit)
		assert.Equal(t, limit < 5, more, limit)
	}
	calls := 0
	for failAt := 1; ; failAt++ {
		log.arm(failAt)
		_, _, err := p.readPortion(key, 100)
		if err == nil {
			break
		}
		calls++
		assert.ErrorIs(t, err, errLogFails)
	}
	log.arm(0)
	assert.Equal(t, 6, calls, "the subjects and five letters")

	for size, want := range map[int]int{100: maxLetterReads + 1, maxTaskBytes / portionShare / maxLetterReads: maxLetterReads} {
		other := fmt.Sprint(size)
		for seq := range uint64(maxLetterReads + 1) {
			storeLetter(t, r.queue, DeadLetter{Seq: seq, Key: other, Parked: true, Event: []byte(strings.Repeat("x", size))}, kindEvicted)
		}
		letters, more, err := p.readPortion(shortHash(other), 1000)
		require.NoError(t, err)
		assert.Equal(t, []any{want, want <= maxLetterReads}, []any{len(letters), more})
	}
}

// TestSizesOfPortions checks how many dead letters of each key come back at once: a share of what a partition holds, at most half of its space,
// but at least one. A held key waits for an operator, and a key is no longer parked after its last dead letter.
func TestSizesOfPortions(t *testing.T) {
	_, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{MaxInFlight: 40}, accepts(t))
	p := w.own(0, checkpoint{})
	for seq := range uint64(10) {
		for _, key := range []string{"a", "held"} {
			storeLetter(t, w.runner.queue, DeadLetter{Seq: seq, Key: key, Parked: true}, kindEvicted)
		}
	}
	key := shortHash("a")
	for tasks, want := range map[int]int{0: 5, 30: 5, 31: 4, 35: 2, 39: 1, 40: 1, 50: 1} {
		p.taskCount = tasks
		p.parked.unpark(key)
		p.parked.spill(key, "u:a")
		p.parked.park(shortHash("held"), kindHeld)
		require.True(t, p.parked.requestPortion(key))
		letters, err := p.lettersOf(opResume, command{Keys: []string{key, shortHash("held"), shortHash("unknown")}}, 0)
		require.NoError(t, err)
		require.Len(t, letters, want, tasks)
		for _, l := range letters {
			assert.Equal(t, []any{"a", p.parked.generation(key)}, []any{l.Key, l.generation})
		}
		assert.Equal(t, []any{kindEvicted, true, "a"}, []any{p.parked.kind(key), p.parked.isSpilled(key), p.parked.keys[key].ordering})
		assert.True(t, p.parked.requestPortion(key), "the next portion may be requested")
	}
	for n := range 7 { // of ten dead letters
		p.letters.beginTask((&DeadLetter{Instance: "main", Subscription: "all", Seq: uint64(n), Key: "a", Parked: true}).subjectFor(kindEvicted))
	}
	p.taskCount = 0
	letters, err := p.resumePortions(command{Keys: []string{key}})
	require.NoError(t, err)
	assert.Len(t, letters, 3)
	assert.Empty(t, p.parked.kind(key))
}

// TestPortionsThatAreRequested checks when the next portion of a spilled key is requested: once, when few of its tasks are left, and again
// if that has failed.
func TestPortionsThatAreRequested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
		r, w := newIdleRunner(t, log, 1, Settings{MaxInFlight: 2 * refillShare}, accepts(t))
		p := w.own(0, checkpoint{Low: 1})
		w.dispatcher.Pause(time.Hour)
		requested := func(request func()) int {
			before := len(commandsOf(t, r.queue, "main"))
			w.mu.Lock()
			request()
			w.mu.Unlock()
			synctest.Wait()
			return len(commandsOf(t, r.queue, "main")) - before
		}
		one := func() { p.requestPortionLocked("u:a") }
		assert.Zero(t, requested(one), "nothing is parked")
		p.addTasks(t, "u:a", 3, 0, false)
		p.parked.spill(shortHash("u:a"), "u:a")
		assert.Zero(t, requested(one), "three tasks are left")
		assert.Zero(t, requested(p.requestPortionsLocked))
		w.mu.Lock()
		w.dispatcher.ResumeLocked()
		w.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Len(t, commandsOf(t, r.queue, "main"), 1, "the first task was finished")
		assert.Zero(t, requested(one), "it is requested already")
		p.parked.portionNotRequested(shortHash("u:a"))
		p.closing = true
		assert.Zero(t, requested(one))
		p.closing = false
		assert.Zero(t, requested(func() { log.arm(1); p.requestPortionsLocked() }), "the log fails")
		assert.Equal(t, 1, requested(p.requestPortionsLocked))
		var op string
		for _, m := range commandsOf(t, r.queue, "main") {
			op = m.Header[opHeader]
			assert.JSONEq(t, `{"keys":["`+shortHash("u:a")+`"]}`, string(m.Data))
		}
		assert.Equal(t, opResume, op)
	})
}

// TestForgottenParkedEvents checks what a partition does that counts parked events and knows of none: it looks for their dead letters, unless
// something is going on that has them, and corrects its count if there are none.
func TestForgottenParkedEvents(t *testing.T) {
	log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
	_, w := newIdleRunner(t, log, 1, Settings{}, accepts(t))
	idle := func() *partition {
		p := w.own(0, checkpoint{Counts: map[string]int64{countParked: 3, countDelivered: 4}})
		p.parked.loaded = true
		return p
	}
	for name, c := range map[string]struct {
		change func(p *partition)
		idle   bool
	}{
		"idle":                 {func(*partition) {}, true},
		"nothing is parked":    {func(p *partition) { p.counts[countParked] = 0 }, false},
		"keys are not loaded":  {func(p *partition) { p.parked.loaded = false }, false},
		"a key is parked":      {func(p *partition) { p.parked.park("k", kindHeld) }, false},
		"a letter is written":  {func(p *partition) { p.pendingWrites = 1 }, false},
		"a task is under way":  {func(p *partition) { p.taskCount = 1 }, false},
		"a command is applied": {func(p *partition) { p.applyingCommand = true }, false},
		"it is released":       {func(p *partition) { p.closing = true }, false},
	} {
		p := idle()
		c.change(p)
		assert.Equal(t, c.idle, p.isIdleWithParkedLocked(), name)
		delivered, parked := p.counts[countDelivered], p.counts[countParked]
		require.NoError(t, p.reconcileParked())
		if c.idle {
			assert.Equal(t, []int64{7, 0}, []int64{p.counts[countDelivered], p.counts[countParked]}, "there are no letters")
			assert.True(t, p.dirty)
		} else {
			assert.Equal(t, []int64{delivered, parked}, []int64{p.counts[countDelivered], p.counts[countParked]}, name)
		}
	}
	storeLetter(t, w.runner.queue, DeadLetter{Seq: 1, Key: "k", Parked: true}, kindHeld)
	p := idle()
	p.letters.beginTask("stale")
	require.NoError(t, p.reconcileParked())
	assert.Equal(t, []any{kindHeld, int64(3)}, []any{p.parked.kind(shortHash("k")), p.counts[countParked]})
	assert.Empty(t, p.letters.bySubject)
	log.arm(1)
	p = idle()
	assert.ErrorIs(t, p.reconcileParked(), errLogFails)
	assert.EqualValues(t, 3, p.counts[countParked])
}
