package delivery_test

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/testsize"
)

// If one group that the remote does not accept fills the partition, its users are evicted and the others are delivered. In the
// end every event is delivered in order.
func TestFailingEventsAreEvicted(t *testing.T) { synctest.Test(t, evictFailing) }

func evictFailing(t *testing.T) {
	q := memoryQueue(t, 16)
	remote := newRemote(t)
	well := false
	remote.answer = func(changes []change) (*destination.MultiStatus, error) {
		remote.mu.Lock()
		defer remote.mu.Unlock()
		if changes[0].group == "stuck" && !well {
			return nil, fault.FromStatus(503, "down")
		}
		return nil, nil
	}
	settings := quick
	settings.MaxInFlight = 50
	runner := startRunner(t, q, settings, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	users, each := 20, testsize.Of(150, 80)
	for n := range each {
		batch := []delivery.NewEvent{newEvent("fine", n, `,"group":"fine"`)}
		for u := range users {
			batch = append(batch, newEvent(fmt.Sprintf("s%d", u), n, `,"group":"stuck"`))
		}
		require.NoError(t, q.Append(t.Context(), batch))
	}
	assert.Eventually(t, func() bool {
		remote.mu.Lock()
		defer remote.mu.Unlock()
		return len(remote.taken["fine"]) == each
	}, 60*time.Second, 20*time.Millisecond, "the others wait for what fails")
	remote.mu.Lock()
	well = true
	remote.mu.Unlock()
	all := int64((users + 1) * each)
	waitForCounts(t, runner, map[string]int64{"events": all, "delivered": all, "parked": 0})
	stopRunner(t, runner)
	for user, list := range remote.taken {
		require.Len(t, list, each, user)
		requireInOrder(t, user, list)
	}
}

// The same holds if nothing was delivered before.
func TestFailingEventsAreEvictedBeforeAnySuccess(t *testing.T) { synctest.Test(t, evictBeforeSuccess) }

func evictBeforeSuccess(t *testing.T) {
	q := memoryQueue(t, 1)
	remote := newRemote(t)
	remote.answer = func(changes []change) (*destination.MultiStatus, error) {
		if changes[0].group == "stuck" {
			return nil, fault.FromStatus(503, "down")
		}
		return nil, nil
	}
	settings := quick
	settings.MaxInFlight = 20
	runner := startRunner(t, q, settings, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	defer stopRunner(t, runner)
	var batch []delivery.NewEvent
	for u := range 30 {
		batch = append(batch, newEvent(fmt.Sprintf("s%d", u), 0, `,"group":"stuck"`))
	}
	require.NoError(t, q.Append(t.Context(), append(batch, newEvent("fine", 0, `,"group":"fine"`))))
	assert.Eventually(t, func() bool { return countsOf(runner)["delivered"] == 1 }, time.Minute, 20*time.Millisecond, "the others wait for what fails")
}

// An event that was evicted and is then parked for another reason has one dead letter, and is delivered once when it is replayed.
func TestEvictedThenParkedIsOneLetter(t *testing.T) {
	q, err := delivery.OpenTest(t, delivery.Config{Dir: t.TempDir(), Partitions: 1})
	require.NoError(t, err)
	defer q.Close()
	remote := newRemote(t)
	const stuck, poison, well = 0, 1, 2
	now := stuck
	remote.answer = func(changes []change) (*destination.MultiStatus, error) {
		remote.mu.Lock()
		defer remote.mu.Unlock()
		if now == stuck && changes[0].group == "stuck" {
			return nil, fault.FromStatus(503, "down")
		}
		ms := destination.NewMultiStatus(len(changes))
		for i, c := range changes {
			ms.Deliver(i)
			if now == poison && c.id == "s" {
				ms.Fail(i, fault.FromStatus(500, "not this one"))
			}
		}
		return ms, nil
	}
	settings := quick
	settings.MaxInFlight, settings.RetryFor = 20, 3*time.Second
	runner := startRunner(t, q, settings, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	const users, each = 20, 3
	n := 0
	appendFine := func() {
		require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("fine", n, `,"group":"fine"`)}))
		n++
	}
	for i := range each {
		appendFine()
		batch := []delivery.NewEvent{newEvent("s", i, `,"group":"stuck"`)}
		for u := range users {
			batch = append(batch, newEvent(fmt.Sprintf("f%d", u), i, `,"group":"stuck"`))
		}
		require.NoError(t, q.Append(t.Context(), batch))
	}
	require.Eventually(t, func() bool { appendFine(); return countsOf(runner)["parked"] >= each }, time.Minute, 20*time.Millisecond)
	remote.mu.Lock()
	now = poison
	remote.mu.Unlock()
	letters := func() (list []*delivery.DeadLetter) {
		require.NoError(t, q.DeadLetters(t.Context(), delivery.DeadLetterFilter{Parked: true}, func(l *delivery.DeadLetter) error { list = append(list, l); return nil }))
		return list
	}
	waitForCounts(t, runner, map[string]int64{"events": int64((users+1)*each + n), "delivered": int64(users*each + n), "parked": each})
	require.Eventually(t, func() bool { return len(letters()) == each }, time.Minute, 10*time.Millisecond, "letters of delivered events are deleted")
	remote.mu.Lock()
	now = well
	remote.mu.Unlock()
	_, err = q.ReplayDeadLetters(t.Context(), delivery.DeadLetterFilter{User: "s"})
	require.NoError(t, err)
	waitForCounts(t, runner, map[string]int64{"events": int64((users+1)*each + n), "delivered": int64((users+1)*each + n), "parked": 0})
	stopRunner(t, runner)
	assert.Empty(t, letters())
	assert.Equal(t, []int{0, 1, 2}, remote.taken["s"])
}

// Stored events are replayed to one instance, after its pending events, and only the selected ones.
func TestReplayOfStoredEvents(t *testing.T) {
	q := openQueue(t, t.TempDir())
	defer q.Close()
	remote := newRemote(t)
	runner := startRunner(t, q, quick, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	for n := range 50 {
		require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("u", n), newEvent("v", n)}))
	}
	waitForCounts(t, runner, map[string]int64{"events": 100, "delivered": 100})
	n, err := q.Replay(t.Context(), delivery.ReplayRequest{
		Instance: "main", Since: time.Now().Add(-time.Hour), Sources: []string{"web"},
		Choose: func(e event.Value) bool { return e.Get("userId").Str() == "u" },
	})
	require.NoError(t, err)
	assert.Equal(t, 50, n)
	waitForCounts(t, runner, map[string]int64{"events": 100, "replayed": 50, "delivered": 150})
	n, err = q.Replay(t.Context(), delivery.ReplayRequest{Instance: "main", Since: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	assert.Zero(t, n)
	stopRunner(t, runner)
	assert.Len(t, remote.taken["v"], 50)
	for i, n := range remote.taken["u"] {
		require.Equal(t, i%50, n)
	}
}

// A messageId is accepted once, even if the process restarts in between.
func TestDuplicateMessageIDs(t *testing.T) {
	dir := t.TempDir()
	remote := newRemote(t)
	plan := remote.planFor(`type = "track"`)
	for round := range 3 {
		q := openQueue(t, dir)
		runner := startRunner(t, q, quick, delivery.Instance{Plan: plan})
		require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("u", 0), newEvent("u", 0), newEvent("u", 1)}))
		waitForCounts(t, runner, map[string]int64{"events": int64(3 * (round + 1)), "delivered": 2, "duplicate": int64(3*round + 1)})
		stopRunner(t, runner)
		q.Close()
	}
}

// At its limit the queue rejects events, until delivered ones are deleted.
func TestFullQueueRejectsEvents(t *testing.T) {
	q, err := delivery.Open(t.Context(), delivery.Config{Dir: t.TempDir(), MinFreeBytes: 1 << 60})
	require.NoError(t, err)
	assert.ErrorIs(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("u", 0)}), delivery.ErrFull)
	assert.ErrorIs(t, q.Ready(), delivery.ErrFull)
	q.Close()

	dir := t.TempDir()
	q = openFiles(t, dir)
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("u", 0)}))
	q.Close()
	q, err = delivery.Open(t.Context(), delivery.Config{Dir: dir, MinFreeBytes: 1 << 60})
	require.NoError(t, err)
	_, err = q.Replay(t.Context(), delivery.ReplayRequest{Instance: "main"})
	assert.ErrorIs(t, err, delivery.ErrFull, "a replay needs room, too")
	q.Close()

	q, err = delivery.OpenTest(t, delivery.Config{Dir: t.TempDir(), MaxBytes: 1 << 20})
	require.NoError(t, err)
	defer q.Close()
	remote := newRemote(t)
	taken := 0
	for ; err == nil; taken++ {
		err = q.Append(t.Context(), []delivery.NewEvent{newEvent("u", taken, `,"x":"`+randomText(taken, 10_000)+`"`)})
		require.Less(t, taken, 200)
	}
	require.ErrorIs(t, err, delivery.ErrFull)
	taken--
	settings := quick
	settings.TrimInterval = 50 * time.Millisecond
	runner := startRunner(t, q, settings, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	defer stopRunner(t, runner)
	require.Eventually(t, func() bool {
		return q.Append(t.Context(), []delivery.NewEvent{newEvent("u", taken)}) == nil
	}, time.Minute, 20*time.Millisecond, "events that no instance needs are deleted")
	waitForCounts(t, runner, map[string]int64{"events": 1, "delivered": 1})
}

// Undelivered events are kept, however old they are.
func TestOnlyDeliveredEventsAreTrimmed(t *testing.T) {
	dir := t.TempDir()
	c := delivery.Config{Dir: dir, Retention: time.Nanosecond}
	q, err := delivery.Open(t.Context(), c)
	require.NoError(t, err)
	defer q.Close()
	remote := newRemote(t)
	open := make(chan struct{})
	remote.answer = func([]change) (*destination.MultiStatus, error) { <-open; return nil, nil }
	settings := quick
	settings.TrimInterval = 20 * time.Millisecond
	runner := startRunner(t, q, settings, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	for n := range 100 {
		require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("u", n)}))
	}
	time.Sleep(300 * time.Millisecond)
	close(open)
	waitForCounts(t, runner, map[string]int64{"events": 100, "delivered": 100})
	assert.Eventually(t, func() bool {
		sizes, err := q.Sizes()
		return err == nil && sizes["events"] == 0
	}, time.Minute, 20*time.Millisecond, "what is delivered and old goes")
	stopRunner(t, runner)
}

// TestQueuedFigures prints the cost of a long queue, of LANDFALL_QUEUED events.
func TestQueuedFigures(t *testing.T) {
	var n int
	if _, err := fmt.Sscan(os.Getenv("LANDFALL_QUEUED"), &n); err != nil {
		t.Skip("set LANDFALL_QUEUED=10000000")
	}
	dir := t.TempDir()
	q := openQueue(t, dir)
	began := time.Now()
	for at := 0; at < n; at += 1000 {
		batch := make([]delivery.NewEvent, 1000)
		for i := range batch {
			batch[i] = newEvent(fmt.Sprintf("u%d", (at+i)%100_000), at+i, `,"context":{"personas":{"computation_class":"audience","computation_id":"aud_1","computation_key":"vip"}}`)
		}
		require.NoError(t, q.Append(t.Context(), batch))
	}
	t.Logf("%d events appended in %v", n, time.Since(began))
	memory := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapInuse) / (1 << 20)
	}
	sizes, err := q.Sizes()
	require.NoError(t, err)
	t.Logf("%.0f MB on disk, heap %.0f MiB", float64(sizes["events"])/1e6, memory())
	q.Close()
	began = time.Now()
	q = openQueue(t, dir)
	t.Logf("opened again in %v, heap %.0f MiB", time.Since(began), memory())
	q.Close()
}
