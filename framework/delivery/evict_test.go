package delivery_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// One group that the remote does not take fills all the room there is: its users are parked for a while, the others go on, and
// in the end everything is delivered in order.
func TestWhatFailsMakesRoom(t *testing.T) {
	q := open(t, t.TempDir())
	defer q.Close()
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
	runner := start(t, q, settings, delivery.Instance{Plan: remote.plan(`type = "track"`)})
	const users, each = 20, 150
	for n := range each {
		batch := []delivery.NewEvent{line("fine", n, `,"group":"fine"`)}
		for u := range users {
			batch = append(batch, line(fmt.Sprintf("s%d", u), n, `,"group":"stuck"`))
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
	eventually(t, runner, map[string]int64{"events": (users + 1) * each, "delivered": (users + 1) * each, "parked": 0})
	stop(t, runner)
	for user, list := range remote.taken {
		require.Len(t, list, each, user)
		inOrder(t, user, list)
	}
}

// One group that the remote does not take fills all the room before anything else was ever delivered: the others are found, too.
func TestWhatFailsFromTheBeginningMakesRoom(t *testing.T) {
	q, err := delivery.Open(t.Context(), delivery.Config{Dir: t.TempDir(), Partitions: 1})
	require.NoError(t, err)
	defer q.Close()
	remote := newRemote(t)
	remote.answer = func(changes []change) (*destination.MultiStatus, error) {
		if changes[0].group == "stuck" {
			return nil, fault.FromStatus(503, "down")
		}
		return nil, nil
	}
	settings := quick
	settings.MaxInFlight = 20
	runner := start(t, q, settings, delivery.Instance{Plan: remote.plan(`type = "track"`)})
	defer stop(t, runner)
	var batch []delivery.NewEvent
	for u := range 30 {
		batch = append(batch, line(fmt.Sprintf("s%d", u), 0, `,"group":"stuck"`))
	}
	require.NoError(t, q.Append(t.Context(), append(batch, line("fine", 0, `,"group":"fine"`))))
	assert.Eventually(t, func() bool { return counts(runner)["delivered"] == 1 }, 30*time.Second, 20*time.Millisecond, "the others wait for what fails")
}

// What was parked for want of room and is then parked for good is one letter, and is delivered once when it is replayed.
func TestWhatIsParkedForAnotherReasonIsOneLetter(t *testing.T) {
	q, err := delivery.Open(t.Context(), delivery.Config{Dir: t.TempDir(), Partitions: 1})
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
	runner := start(t, q, settings, delivery.Instance{Plan: remote.plan(`type = "track"`)})
	const users, each = 20, 3
	n := 0
	appendFine := func() {
		require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("fine", n, `,"group":"fine"`)}))
		n++
	}
	for i := range each {
		appendFine()
		batch := []delivery.NewEvent{line("s", i, `,"group":"stuck"`)}
		for u := range users {
			batch = append(batch, line(fmt.Sprintf("f%d", u), i, `,"group":"stuck"`))
		}
		require.NoError(t, q.Append(t.Context(), batch))
	}
	require.Eventually(t, func() bool { appendFine(); return counts(runner)["parked"] >= each }, 20*time.Second, 20*time.Millisecond)
	remote.mu.Lock()
	now = poison
	remote.mu.Unlock()
	letters := func() (list []*delivery.DeadLetter) {
		require.NoError(t, q.DeadLetters(t.Context(), delivery.DeadLetterFilter{Parked: true}, func(l *delivery.DeadLetter) error { list = append(list, l); return nil }))
		return list
	}
	eventually(t, runner, map[string]int64{"events": int64((users+1)*each + n), "delivered": int64(users*each + n), "parked": each})
	require.Len(t, letters(), each)
	remote.mu.Lock()
	now = well
	remote.mu.Unlock()
	_, err = q.ReplayDeadLetters(t.Context(), delivery.DeadLetterFilter{User: "s"})
	require.NoError(t, err)
	eventually(t, runner, map[string]int64{"events": int64((users+1)*each + n), "delivered": int64((users+1)*each + n), "parked": 0})
	stop(t, runner)
	assert.Empty(t, letters())
	assert.Equal(t, []int{0, 1, 2}, remote.taken["s"])
}

// Kept events go to one instance once more, behind what is there, and only those that are asked for.
func TestReplaysOfKeptEvents(t *testing.T) {
	q := open(t, t.TempDir())
	defer q.Close()
	remote := newRemote(t)
	runner := start(t, q, quick, delivery.Instance{Plan: remote.plan(`type = "track"`)})
	for n := range 50 {
		require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("u", n), line("v", n)}))
	}
	eventually(t, runner, map[string]int64{"events": 100, "delivered": 100})
	n, err := q.Replay(t.Context(), delivery.ReplayRequest{
		Instance: "main", Since: time.Now().Add(-time.Hour), Sources: []string{"web"},
		Choose: func(e event.Value) bool { return e.Get("userId").Str() == "u" },
	})
	require.NoError(t, err)
	assert.Equal(t, 50, n)
	eventually(t, runner, map[string]int64{"events": 100, "replayed": 50, "delivered": 150})
	n, err = q.Replay(t.Context(), delivery.ReplayRequest{Instance: "main", Since: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	assert.Zero(t, n)
	stop(t, runner)
	assert.Len(t, remote.taken["v"], 50)
	for i, n := range remote.taken["u"] {
		require.Equal(t, i%50, n)
	}
}

// A messageId counts once, also where the process has ended in between.
func TestAMessageCountsOnce(t *testing.T) {
	dir := t.TempDir()
	remote := newRemote(t)
	plan := remote.plan(`type = "track"`)
	for round := range 3 {
		q := open(t, dir)
		runner := start(t, q, quick, delivery.Instance{Plan: plan})
		require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("u", 0), line("u", 0), line("u", 1)}))
		eventually(t, runner, map[string]int64{"events": int64(3 * (round + 1)), "delivered": 2, "duplicate": int64(3*round + 1)})
		stop(t, runner)
		q.Close()
	}
}

// Where there is no room, nothing is taken, and what has been delivered makes some.
func TestAFullQueueTakesNothing(t *testing.T) {
	q, err := delivery.Open(t.Context(), delivery.Config{Dir: t.TempDir(), MinFreeBytes: 1 << 60})
	require.NoError(t, err)
	assert.ErrorIs(t, q.Append(t.Context(), []delivery.NewEvent{line("u", 0)}), delivery.ErrFull)
	assert.ErrorIs(t, q.Ready(), delivery.ErrFull)
	q.Close()

	dir := t.TempDir()
	q = open(t, dir)
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("u", 0)}))
	q.Close()
	q, err = delivery.Open(t.Context(), delivery.Config{Dir: dir, MinFreeBytes: 1 << 60})
	require.NoError(t, err)
	_, err = q.Replay(t.Context(), delivery.ReplayRequest{Instance: "main"})
	assert.ErrorIs(t, err, delivery.ErrFull, "a replay needs room, too")
	q.Close()

	q, err = delivery.Open(t.Context(), delivery.Config{Dir: t.TempDir(), MaxBytes: 1 << 20})
	require.NoError(t, err)
	defer q.Close()
	remote := newRemote(t)
	taken := 0
	for ; err == nil; taken++ {
		err = q.Append(t.Context(), []delivery.NewEvent{line("u", taken, `,"x":"`+strings.Repeat("x", 10_000)+`"`)})
		require.Less(t, taken, 200)
	}
	require.ErrorIs(t, err, delivery.ErrFull)
	taken--
	settings := quick
	settings.TrimInterval = 50 * time.Millisecond
	runner := start(t, q, settings, delivery.Instance{Plan: remote.plan(`type = "track"`)})
	defer stop(t, runner)
	require.Eventually(t, func() bool {
		return q.Append(t.Context(), []delivery.NewEvent{line("u", taken)}) == nil
	}, 20*time.Second, 20*time.Millisecond, "what nobody needs makes room")
	eventually(t, runner, map[string]int64{"events": 1, "delivered": 1})
}

// What is not delivered is kept, however old it is.
func TestOnlyWhatIsDeliveredIsTrimmed(t *testing.T) {
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
	runner := start(t, q, settings, delivery.Instance{Plan: remote.plan(`type = "track"`)})
	for n := range 100 {
		require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("u", n)}))
	}
	time.Sleep(300 * time.Millisecond)
	close(open)
	eventually(t, runner, map[string]int64{"events": 100, "delivered": 100})
	assert.Eventually(t, func() bool {
		sizes, err := q.Sizes()
		return err == nil && sizes["events"] == 0
	}, 10*time.Second, 20*time.Millisecond, "what is delivered and old goes")
	stop(t, runner)
}

// TestQueuedFigures prints what a long queue costs, with LANDFALL_QUEUED=10000000.
func TestQueuedFigures(t *testing.T) {
	var n int
	if _, err := fmt.Sscan(os.Getenv("LANDFALL_QUEUED"), &n); err != nil {
		t.Skip("set LANDFALL_QUEUED=10000000")
	}
	dir := t.TempDir()
	q := open(t, dir)
	began := time.Now()
	for at := 0; at < n; at += 1000 {
		batch := make([]delivery.NewEvent, 1000)
		for i := range batch {
			batch[i] = line(fmt.Sprintf("u%d", (at+i)%100_000), at+i, `,"context":{"personas":{"computation_class":"audience","computation_id":"aud_1","computation_key":"vip"}}`)
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
	q = open(t, dir)
	t.Logf("opened again in %v, heap %.0f MiB", time.Since(began), memory())
	q.Close()
}
