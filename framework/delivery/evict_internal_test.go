package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// TestEvictionsWithoutSuccess checks how often failing keys are evicted while the remote accepts nothing: after a time, and then twice as
// seldom each time. After a success it is done at once.
func TestEvictionsWithoutSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{EvictAfter: time.Second, Lease: 10_000 * time.Hour}, accepts(t))
		p := w.own(0, checkpoint{Low: 1})
		should := func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return p.shouldEvictLocked()
		}
		const wait = 12 * time.Second
		for i := range 11 {
			next := wait << min(i, 8)
			time.Sleep(next - 1)
			require.False(t, should(), i)
			time.Sleep(time.Nanosecond)
			require.True(t, should(), i)
		}
		p.addTasks(t, "u:a", 1, 0, false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.EqualValues(t, 1, p.counts[countDelivered])
		assert.True(t, should())
		assert.True(t, should())
		assert.Zero(t, p.evictBackoffs)
		time.Sleep(wait - 1)
		assert.False(t, should(), "the success was long ago")
		time.Sleep(time.Nanosecond)
		assert.True(t, should(), "it begins again with the shortest time")
	})
	synctest.Test(t, func(t *testing.T) {
		_, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{EvictAfter: time.Millisecond}, accepts(t))
		p := w.own(0, checkpoint{Low: 1})
		time.Sleep(time.Second - 1)
		w.mu.Lock()
		defer w.mu.Unlock()
		assert.False(t, p.shouldEvictLocked(), "at least a second")
	})
}

// TestFailingKeysAreEvicted checks that the keys of a full partition that fail are parked so that they resume, unless nothing is sent
// anyway or no more can be parked.
func TestFailingKeysAreEvicted(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *worker)
		want   bool
	}{
		"they fail":                 {func(*worker) {}, true},
		"a login is missing":        {func(w *worker) { w.suspendReason = "log in" }, false},
		"no more can be parked":     {func(w *worker) { w.runner.limits.parkingFullSince = time.Now() }, false},
		"the last one was just now": {func(w *worker) { w.partitions[0].evictCheckedAt = time.Now() }, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			in := answeringInstance(t, func() error { return fault.FromStatus(503, "busy") })
			r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{MinBackoff: 10 * time.Second, MaxBackoff: time.Hour, EvictAfter: 100 * time.Millisecond}, in)
			p := w.own(0, checkpoint{Low: 1})
			p.unparkBatch = 8
			p.addTasks(t, "u:a", 2, 0, false)
			time.Sleep(5 * time.Second)
			w.mu.Lock()
			c.change(w)
			evicted := p.evictFailingLocked()
			w.mu.Unlock()
			assert.Equal(t, c.want, evicted, name)
			synctest.Wait()
			var causes []fault.Cause
			require.NoError(t, r.queue.DeadLetters(t.Context(), DeadLetterFilter{}, func(l *DeadLetter) error { causes = append(causes, l.Cause); return nil }))
			if !c.want {
				assert.Empty(t, causes, name)
				return
			}
			assert.Equal(t, []fault.Cause{fault.CauseEvicted, fault.CauseBehindParked}, causes, name)
			assert.Equal(t, []any{kindEvicted, 0, 0}, []any{p.parked.kind(shortHash("u:a")), p.unparkBatch, p.taskCount})
			w.mu.Lock()
			assert.False(t, p.evictFailingLocked(), "nothing is left")
			w.mu.Unlock()
		})
	}
}

// TestEvictedKeysResume checks when evicted keys are resumed, and how many: one, and then twice as many each time, while the partition has
// space and nothing fails.
func TestEvictedKeysResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := false
		in := answeringInstance(t, func() error {
			if failing {
				return fault.FromStatus(503, "busy")
			}
			return nil
		})
		_, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{MaxInFlight: 10, EvictAfter: time.Second, MinBackoff: time.Hour, MaxBackoff: time.Hour, Lease: 10_000 * time.Hour}, in)
		p := w.own(0, checkpoint{Low: 1})
		resumed := func() int {
			w.mu.Lock()
			defer w.mu.Unlock()
			return len(p.keysToUnparkLocked())
		}
		time.Sleep(time.Hour)
		assert.Zero(t, resumed(), "none is evicted")
		assert.Zero(t, p.unparkBatch)
		for i := range 2 * maxCommandItems {
			p.parked.park(shortHash(string(rune(i))), kindEvicted)
		}
		for _, want := range []int{1, 2, 4, 8, 16, 32, 64, 128, maxCommandItems, maxCommandItems} {
			assert.Equal(t, want, resumed())
			time.Sleep(time.Second - 1)
			assert.Zero(t, resumed(), "too soon")
			time.Sleep(time.Nanosecond)
		}
		p.taskCount = 6
		assert.Zero(t, resumed(), "it is more than half full")
		p.taskCount = 5
		p.openPages = make([]*page, maxOpenPages/2+1)
		assert.Zero(t, resumed())
		p.openPages = p.openPages[1:]
		assert.NotZero(t, resumed())
		time.Sleep(time.Second)
		p.taskCount, p.openPages = 0, nil
		failing = true
		p.addTasks(t, "u:fails", 1, 0, false)
		time.Sleep(5 * time.Second)
		assert.Zero(t, resumed(), "the remote fails")
	})
}

// TestResumingEvictedKeys checks what maintenance requests: the dead letters of evicted keys of each partition that is not being released, and
// the count of a partition that has forgotten its parked events. It goes on where the log fails.
func TestResumingEvictedKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
		r, w := newIdleRunner(t, log, 4, Settings{EvictAfter: time.Second}, accepts(t))
		for n := range 4 {
			p := w.own(n, checkpoint{Low: 1, Counts: map[string]int64{countParked: 1}})
			p.parked.loaded = true
			if n < 3 {
				p.parked.park("k", []string{kindEvicted, kindHeld, kindEvicted}[n])
			}
		}
		w.partitions[2].closing = true
		time.Sleep(time.Minute)
		log.failAppend.Store(true)
		r.unparkEvicted()
		assert.Empty(t, commandsOf(t, r.queue, "main"))
		assert.Equal(t, []int64{1, 0}, []int64{w.partitions[3].counts[countDelivered], w.partitions[3].counts[countParked]})
		log.failAppend.Store(false)
		r.unparkEvicted()
		assert.Empty(t, commandsOf(t, r.queue, "main"), "not at once")
		time.Sleep(time.Second)
		r.unparkEvicted()
		commands := commandsOf(t, r.queue, "main")
		require.Len(t, commands, 1)
		assert.Equal(t, []string{commandSubject("main", 0), opResume, `{"keys":["k"]}`}, []string{commands[0].Subject, commands[0].Header[opHeader], string(commands[0].Data)})
	})
}

// TestCountsOfLetters checks that a dead letter is taken out of the counts once, with all that it stands for, whoever finishes it first.
func TestCountsOfLetters(t *testing.T) {
	for name, c := range map[string]struct {
		parked, command, settled bool
		stands, written          int
		outcome                  string
		want                     map[string]int64
	}{
		"a dead letter is delivered":                   {command: true, stands: 3, outcome: countDelivered, want: map[string]int64{countDead: -3, countDelivered: 2}},
		"a parked one":                                 {parked: true, command: true, stands: 3, outcome: countDelivered, want: map[string]int64{countParked: -3, countDelivered: 2}},
		"its event is replayed":                        {stands: 3, outcome: countDelivered, want: map[string]int64{countDead: -3, countDelivered: 3}},
		"it is dead again":                             {command: true, stands: 2, written: 2, outcome: countDead, want: map[string]int64{countDead: -1}},
		"it was finished before":                       {command: true, settled: true, stands: 3, outcome: countDelivered, want: map[string]int64{countDelivered: -1}},
		"its event was, and the letter before":         {settled: true, stands: 3, outcome: countDelivered, want: map[string]int64{countDelivered: 0}},
		"it was finished before, and is written again": {command: true, settled: true, stands: 3, written: 4, outcome: countParked, want: map[string]int64{countParked: 3}},
	} {
		p := &partition{counts: map[string]int64{}, letters: newLetterCopies()}
		p.letters.beginTask("s")
		if c.settled {
			p.letters.settle("s", 5)
		}
		one := &task{page: &page{holdsLetters: c.command}, letter: &DeadLetter{Parked: c.parked, storedSubject: "s", storedSeq: 5, verdictCount: c.stands}, writtenVerdicts: c.written}
		p.countLetterLocked(one, c.outcome)
		assert.Equal(t, c.want, p.counts, name)
	}
}

// TestLettersThatAreWrittenAgain checks that a dead letter which is written again after another task has finished with it counts once.
func TestLettersThatAreWrittenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{}, accepts(t))
		p := w.own(0, checkpoint{Low: 1})
		pg := &page{seq: 7, holdsLetters: true, verdictsLeft: []uint16{1}, eventsLeft: 1, fullyRead: true}
		one := &task{partition: p, page: pg, letterLoaded: true, taskOf: "s", letter: &DeadLetter{Event: []byte("{}"), storedSubject: "s", storedSeq: 5, verdictCount: 1}}
		one.item.Subscription = w.instance.Plan.Subscriptions()[0]
		w.mu.Lock()
		p.openPages = append(p.openPages, pg)
		p.letters.beginTask("s")
		p.letters.settle("s", 5)
		l := one.newDeadLetter(runtime.Verdict{Outcome: runtime.Refused, Cause: fault.CauseIncomplete}, false, time.Now())
		l.Event = []byte("{}")
		w.storeDeadLetterLocked(one, l, "")
		w.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		assert.Equal(t, map[string]int64{countDead: 1}, p.counts)
		assert.Empty(t, p.openPages)
	})
}
