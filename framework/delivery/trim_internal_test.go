package delivery

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// trimmer is a runner without instances, which trims when the test says so.
type trimmer struct {
	*Runner
	now *clock // of the messages that are stored
}

func newTrimmer(t *testing.T, c Config) *trimmer {
	t.Helper()
	c.Partitions = 1
	q, now := newMemoryQueue(t, c)
	now.set(time.Now())
	r := idleRunner(t, q, Settings{})
	require.NoError(t, r.SetInstances(t.Context(), nil))
	return &trimmer{r, now}
}

func (r *trimmer) addEvents(t *testing.T, n, size int) {
	t.Helper()
	for range n {
		require.NoError(t, r.queue.Append(t.Context(), []NewEvent{{Source: "web", Key: "u", Raw: []byte(`"` + strings.Repeat("x", size) + `"`)}}))
	}
}

// trim trims once, and returns whether there was something to delete, how many messages are left and their bytes.
func (r *trimmer) trim(t *testing.T) (trimmed bool, left uint64, bytes uint64) {
	t.Helper()
	trimmed, err := r.trimLog(t.Context())
	require.NoError(t, err)
	info, err := r.queue.store.Info(t.Context(), eventsStream)
	require.NoError(t, err)
	return trimmed, info.Messages, info.Bytes
}

// TestFinishedEventsAreTrimmedByAge checks that events older than the retention are deleted, and no others.
func TestFinishedEventsAreTrimmedByAge(t *testing.T) {
	r := newTrimmer(t, Config{Retention: time.Hour})
	trimmed, _, _ := r.trim(t)
	assert.False(t, trimmed, "there is nothing")
	begin := r.now.read()
	r.now.set(begin.Add(-2 * time.Hour))
	r.addEvents(t, 7, 10)
	r.now.set(begin.Add(-30 * time.Minute))
	r.addEvents(t, 5, 10)
	trimmed, left, _ := r.trim(t)
	assert.True(t, trimmed)
	assert.Equal(t, uint64(5), left)
	trimmed, left, _ = r.trim(t)
	assert.False(t, trimmed)
	assert.Equal(t, uint64(5), left)
}

// TestEventsOfAWrongClockAreTrimmed checks that events which were stored while the clock was ahead are deleted once events behind them are too old,
// and not before.
func TestEventsOfAWrongClockAreTrimmed(t *testing.T) {
	const ahead = 10_000
	for _, c := range []struct {
		ages []float64 // in hours
		left uint64
	}{
		{[]float64{-ahead, -ahead}, 2},
		{[]float64{-ahead, -ahead, 1, 0}, 4},
		{[]float64{-ahead, -ahead, 3, 1, 0}, 2},
		{[]float64{-ahead, 5, 4, 3}, 0},
		{[]float64{5, -ahead, -ahead, 3, 1}, 1},
		{[]float64{5, -ahead, -ahead, 1}, 3},
		{[]float64{-0.9, 5, 1}, 3}, // not ahead by much: it is trimmed an hour later
	} {
		r := newTrimmer(t, Config{Retention: 2 * time.Hour})
		begin := time.Now()
		for _, hours := range c.ages {
			r.now.set(begin.Add(-time.Duration(hours * float64(time.Hour))))
			r.addEvents(t, 1, 10)
		}
		trimmed, left := true, uint64(0)
		for trimmed {
			trimmed, left, _ = r.trim(t)
		}
		assert.Equal(t, c.left, left, "%v", c.ages)
	}
}

// TestNothingIsTrimmedByADoubtfulClock checks that nothing is deleted for its age while the clock cannot be trusted, and that other reasons count all the
// same.
func TestNothingIsTrimmedByADoubtfulClock(t *testing.T) {
	const hour = time.Hour
	r := newTrimmer(t, Config{Retention: hour, MaxBytes: 1 << 30})
	r.now.set(r.now.read().Add(-2 * hour))
	r.addEvents(t, 4, 1000)
	storeLetter(t, r.queue, DeadLetter{Seq: 1}, "")
	r.settings.DeadLetterRetention = hour
	letters := func() uint64 {
		require.NoError(t, r.expireDeadLetters(t.Context()))
		info, err := r.queue.store.Info(t.Context(), deadStream)
		require.NoError(t, err)
		return info.Messages
	}
	trusted := false
	r.settings.MayDeleteByAge = func() bool { return trusted }
	_, left, _ := r.trim(t)
	assert.Equal(t, []uint64{4, 1}, []uint64{left, letters()})
	r.queue.config.MaxBytes = 1000
	_, left, _ = r.trim(t)
	assert.Less(t, left, uint64(4), "the log is full")
	trusted = true
	_, left, _ = r.trim(t)
	assert.Equal(t, []uint64{0, 0}, []uint64{left, letters()})
}

// TestFinishedEventsAreTrimmedBySize checks that the oldest events are deleted when the log is four fifths full, until it is about three
// fifths full, however new they are.
func TestFinishedEventsAreTrimmedBySize(t *testing.T) {
	const limit = 1 << 20
	r := newTrimmer(t, Config{Retention: 1000 * time.Hour, MaxBytes: limit})
	added := 0
	for {
		info, err := r.queue.store.Info(t.Context(), eventsStream)
		require.NoError(t, err)
		if info.Bytes > limit/10*8 {
			break
		}
		trimmed, left, _ := r.trim(t)
		require.False(t, trimmed, "%d bytes", info.Bytes)
		require.Equal(t, uint64(added), left)
		r.addEvents(t, 1, 10_000)
		added++
	}
	trimmed, left, bytes := r.trim(t)
	assert.True(t, trimmed)
	assert.Less(t, left, uint64(added))
	assert.InDelta(t, limit/10*6, float64(bytes), 30_000)
	trimmed, _, _ = r.trim(t)
	assert.False(t, trimmed)
}

// TestTrimmingIsHeld checks that nothing is deleted while a snapshot is taken, and that the state of the log says afterwards what was
// deleted.
func TestTrimmingIsHeld(t *testing.T) {
	r := newTrimmer(t, Config{Retention: time.Hour})
	r.now.set(r.now.read().Add(-2 * time.Hour))
	r.addEvents(t, 4, 10)
	trimmedTo := func() (seq uint64) {
		require.NoError(t, r.queue.monitor.updateState(t.Context(), func(s *logState) { seq = s.Trimmed }))
		return seq
	}
	require.NoError(t, r.queue.holdTrimming(t.Context(), time.Hour))
	_, left, _ := r.trim(t)
	assert.Equal(t, uint64(4), left)
	assert.Zero(t, trimmedTo())
	require.NoError(t, r.queue.holdTrimming(t.Context(), 0))
	_, left, _ = r.trim(t)
	assert.Zero(t, left)
	assert.Equal(t, uint64(4), trimmedTo())
	r.addEvents(t, 4, 10)
	require.NoError(t, r.queue.holdTrimming(t.Context(), maxHold-time.Minute))
	_, left, _ = r.trim(t)
	assert.Equal(t, uint64(4), left)
	assert.True(t, r.queue.monitor.isOnHold())
	require.NoError(t, r.queue.holdTrimming(t.Context(), maxHold+time.Minute))
	assert.False(t, r.queue.monitor.isOnHold())
	_, left, _ = r.trim(t)
	assert.Zero(t, left, "the clock was ahead when a backup was killed")
}

// TestUnfinishedEventsOfAnInstanceStay checks that events which an instance of another member has not finished are kept, whichever limit
// they exceed, up to the first unfinished one.
func TestUnfinishedEventsOfAnInstanceStay(t *testing.T) {
	for low := uint64(1); low <= 6; low++ {
		r := newTrimmer(t, Config{Retention: time.Hour})
		r.now.set(r.now.read().Add(-2 * time.Hour))
		r.addEvents(t, 5, 10)
		require.NoError(t, r.leases.sendHeartbeat(t.Context(), "other", memberAlive))
		_, err := r.leases.writeCheckpoint(t.Context(), "other", checkpointSubject("theirs", 0), 0, checkpoint{Owner: "other", Low: low})
		require.NoError(t, err)
		trimmed, left, _ := r.trim(t)
		assert.Equal(t, low > 1, trimmed, low)
		assert.Equal(t, 6-low, left, fmt.Sprint(low))
	}
}

// TestTrimmingOfAClosedLog checks that a log which cannot be read is an error and not an empty one.
func TestTrimmingOfAClosedLog(t *testing.T) {
	r := newTrimmer(t, Config{Retention: time.Hour})
	r.addEvents(t, 1, 10)
	r.queue.Close()
	trimmed, err := r.trimLog(t.Context())
	assert.False(t, trimmed)
	require.Error(t, err)
	assert.False(t, errors.Is(err, ErrNotEmpty))
}

// Events are not deleted while it is unknown which instances need them: before the first SetInstances, and while a later one replaces
// instances.
func TestTrimmingWaitsForInstances(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1, Retention: time.Nanosecond})
	r := idleRunner(t, q, Settings{})
	tr := &trimmer{Runner: r}
	tr.addEvents(t, 3, 10)
	_, left, _ := tr.trim(t)
	assert.Equal(t, uint64(3), left, "before the first SetInstances")
	require.NoError(t, r.SetInstances(t.Context(), nil))
	r.setMu.Lock()
	_, left, _ = tr.trim(t)
	r.setMu.Unlock()
	assert.Equal(t, uint64(3), left, "while another is under way")
	_, left, _ = tr.trim(t)
	assert.Zero(t, left)
}

// Events of a partition without an owner are kept for a process that takes it over: as long as a live member has another partition of
// the instance, and otherwise for a lease.
func TestReleasedPartitionsAreNotTrimmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeases(nil, time.Minute)
		l.markReady()
		write := func(subject string, revision uint64, cp checkpoint) {
			l.recordWrite(eventlog.Write{Subject: subject, Data: cp.toMessage(subject, 0).Data}, revision)
		}
		l.recordWrite(eventlog.Write{Subject: "proc.b", Data: []byte(memberAlive)}, 1)
		write("book.i.0", 2, checkpoint{Low: 3})
		write("book.i.1", 3, checkpoint{Owner: "b", Low: 4})
		write("book.mine.0", 4, checkpoint{Owner: "a", Low: 5})
		write("book.freed.0", 5, checkpoint{Low: 6})
		write("book.dead.0", 6, checkpoint{Owner: "dead", Low: 7})
		subjects := func() []string { return slices.Sorted(maps.Keys(l.checkpointsInUse("a"))) }
		assert.Equal(t, []string{"book.freed.0", "book.i.0", "book.i.1"}, subjects())
		time.Sleep(time.Minute)
		assert.Empty(t, subjects(), "no member is alive")
		l.recordWrite(eventlog.Write{Subject: "proc.b", Data: []byte(memberAlive)}, 7)
		assert.Equal(t, []string{"book.i.0", "book.i.1"}, subjects())
		assert.Equal(t, uint64(3), l.checkpointsInUse("a")["book.i.0"].Low)
	})
}
