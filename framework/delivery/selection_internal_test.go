package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/event"
)

// newMemoryQueue returns a queue in memory with a clock that the test moves.
func newMemoryQueue(t *testing.T, c Config) (q *Queue, now *clock) {
	t.Helper()
	now = &clock{}
	now.set(time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC))
	c.Dir = t.TempDir()
	q, err := Open(t.Context(), c.On(memlog.New(memlog.Options{Now: now.read}).Connect()))
	require.NoError(t, err)
	t.Cleanup(q.Close)
	return q, now
}

// clock is a clock that a test sets while goroutines read it.
type clock struct{ at atomic.Pointer[time.Time] }

func (c *clock) set(at time.Time) { c.at.Store(&at) }

func (c *clock) read() time.Time { return *c.at.Load() }

// commandsOf returns the messages that were written for an instance.
func commandsOf(t *testing.T, q *Queue, instance string) (list []eventlog.Message) {
	t.Helper()
	require.NoError(t, q.store.Scan(t.Context(), eventsStream, eventlog.Query{Filters: []string{"ctl." + subjectToken(instance) + ".>"}}, func(m eventlog.Message) (bool, error) {
		list = append(list, m)
		return true, nil
	}))
	return list
}

// TestReplaySelectsStoredEvents checks which stored events are replayed, with what each message says of them.
func TestReplaySelectsStoredEvents(t *testing.T) {
	q, now := newMemoryQueue(t, Config{Partitions: 2})
	begin := now.read()
	for i := range 12 {
		now.set(begin.Add(time.Duration(i) * time.Minute))
		source := []string{"web", "app", "a.b"}[i%3]
		raw := fmt.Sprintf(`{"type":"track","userId":"u%d"}`, i)
		if i == 7 {
			raw = "{" // cannot be read
		}
		require.NoError(t, q.Append(t.Context(), []NewEvent{{Source: source, Key: fmt.Sprint("u:", i), Raw: []byte(raw)}}))
	}
	at := func(minute int) time.Time { return begin.Add(time.Duration(minute) * time.Minute) }
	odd := func(v event.Value) bool { return strings.ContainsAny(v.Get("userId").Str(), "13579") }
	for i, c := range []struct {
		request ReplayRequest
		want    []int
	}{
		{ReplayRequest{}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		{ReplayRequest{Sources: []string{"web"}}, []int{0, 3, 6, 9}},
		{ReplayRequest{Sources: []string{"a.b", "app"}}, []int{1, 2, 4, 5, 7, 8, 10, 11}},
		{ReplayRequest{Sources: []string{"none"}}, nil},
		{ReplayRequest{Since: at(4)}, []int{4, 5, 6, 7, 8, 9, 10, 11}},
		{ReplayRequest{Until: at(4)}, []int{0, 1, 2, 3}},
		{ReplayRequest{Since: at(2), Until: at(5)}, []int{2, 3, 4}},
		{ReplayRequest{Since: at(5), Until: at(5)}, nil},
		{ReplayRequest{Choose: odd}, []int{1, 3, 5, 9, 10, 11}},
		{ReplayRequest{Choose: odd, Sources: []string{"web"}, Since: at(4)}, []int{9}},
		{ReplayRequest{Subscription: "VIP", Until: at(1)}, []int{0}},
	} {
		c.request.Instance = fmt.Sprint("i", i)
		n, err := q.Replay(t.Context(), c.request)
		require.NoError(t, err)
		assert.Equal(t, len(c.want), n, "%+v", c.request)
		replayed := map[string]bool{}
		for _, m := range commandsOf(t, q, c.request.Instance) {
			assert.Equal(t, opReplayEvents, m.Header[opHeader])
			assert.Equal(t, c.request.Subscription, m.Header[onlyHeader])
			lines := strings.Split(strings.TrimSpace(string(m.Data)), "\n")
			assert.Len(t, parseOrigins(m.Header[originsHeader], len(lines)), len(lines))
			for e := range eventsIn(&m) {
				line := string(e.Raw)
				replayed[line] = true
				for n := range 12 {
					if strings.Contains(line, fmt.Sprintf(`"u%d"`, n)) {
						assert.Equal(t, []string{"web", "app", "a.b"}[n%3], e.Source)
					}
				}
			}
		}
		assert.Len(t, replayed, len(c.want), "%+v", c.request)
		for _, n := range c.want {
			assert.True(t, replayed[fmt.Sprintf(`{"type":"track","userId":"u%d"}`, n)] || n == 7 && replayed["{"], "%d of %+v", n, c.request)
		}
	}
	n, err := q.Replay(t.Context(), ReplayRequest{Instance: "again"})
	require.NoError(t, err)
	assert.Equal(t, 12, n, "what was replayed before is not stored twice")
}

// TestReplayOfManyEvents checks that many and large events are replayed completely and in order, in pages that are not too large.
func TestReplayOfManyEvents(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	const count = 3000
	var list []NewEvent
	for i := range count {
		pad := ""
		if i%100 == 0 {
			pad = strings.Repeat("x", singlePageBytes/2)
		}
		list = append(list, NewEvent{Source: []string{"web", "app"}[i/700%2], Key: "u", Raw: fmt.Appendf(nil, `{"n":%d,"pad":"%s"}`, i, pad)})
	}
	require.NoError(t, q.Append(t.Context(), list))
	n, err := q.Replay(t.Context(), ReplayRequest{Instance: "main"})
	require.NoError(t, err)
	assert.Equal(t, count, n)
	next := 0
	for _, m := range commandsOf(t, q, "main") {
		assert.LessOrEqual(t, len(m.Data), singlePageBytes)
		for e := range eventsIn(&m) {
			require.True(t, strings.HasPrefix(string(e.Raw), fmt.Sprintf(`{"n":%d,`, next)), "event %d", next)
			require.Equal(t, []string{"web", "app"}[next/700%2], e.Source)
			next++
		}
	}
	assert.Equal(t, count, next)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = q.Replay(ended, ReplayRequest{Instance: "ended"})
	require.Error(t, err)
	assert.Empty(t, commandsOf(t, q, "ended"))
}

// TestReplaysOfManyLettersAreDivided checks the commands that replay or drop many dead letters: each names at most 200, and all name each
// dead letter, or each key of parked ones, once and in the order of the events.
func TestReplaysOfManyLettersAreDivided(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	var dead, parked []record
	letter := func(l *DeadLetter) record {
		l.Instance = "main"
		text := fmt.Sprintf(`{"id":%q,"instance":"main","subscription":"All","parked":%t,"key":%q,"reason":"r","seq":%d,"event":{"userId":"u1"}}`, l.ID, l.Parked, l.Key, l.Seq)
		return record{l.subjectFor(kindHeld), []byte(text)}
	}
	for i := range 450 {
		dead = append(dead, letter(&DeadLetter{ID: fmt.Sprint("d", i), Seq: uint64(450 - i), Key: "k"}))
		parked = append(parked, letter(&DeadLetter{ID: fmt.Sprint("p", i), Seq: uint64(i + 1), Key: fmt.Sprint("key", i/2), Parked: true}))
	}
	require.NoError(t, q.dead.publishRecords(t.Context(), dead))
	require.NoError(t, q.parked.publishRecords(t.Context(), parked))
	n, err := q.ReplayDeadLetters(t.Context(), DeadLetterFilter{})
	require.NoError(t, err)
	assert.Equal(t, 900, n)
	var sizes []int
	letters, keys := []uint64{}, map[string]bool{}
	for _, m := range commandsOf(t, q, "main") {
		var c command
		require.NoError(t, json.Unmarshal(m.Data, &c))
		assert.Equal(t, len(c.DeadLetters) > 0, m.Header[opHeader] == opReplayDead)
		assert.Equal(t, len(c.Keys) > 0, m.Header[opHeader] == opUnpark)
		sizes = append(sizes, len(c.DeadLetters)+len(c.Keys))
		letters = append(letters, c.DeadLetters...)
		for _, key := range c.Keys {
			assert.False(t, keys[key])
			keys[key] = true
		}
	}
	assert.Equal(t, []int{200, 200, 50, 200, 25}, sizes)
	assert.Len(t, keys, 225, "two letters of a key are replayed together")
	require.Len(t, letters, 450)
	assert.IsDecreasing(t, letters, "the letters were written against the order of their events")

	n, err = q.DropDeadLetters(t.Context(), DeadLetterFilter{Parked: true})
	require.NoError(t, err)
	assert.Equal(t, 450, n)
	list := commandsOf(t, q, "main")
	assert.Len(t, list, 7)
	assert.Equal(t, opDrop, list[6].Header[opHeader])
	assert.Len(t, lettersOf(t, q, DeadLetterFilter{Dead: true}), 450)
}

// TestRemovedInstancesAreDroppedHere checks that the parked events of instances without workers are deleted at once, and that those of
// others are left to their worker.
func TestRemovedInstancesAreDroppedHere(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	for _, instance := range []string{"gone", "main"} {
		l := &DeadLetter{ID: "p-" + instance, Instance: instance, Seq: 1, Key: "k", Parked: true}
		text := fmt.Sprintf(`{"id":%q,"instance":%q,"parked":true,"key":"k","reason":"r","seq":1,"event":{"userId":"u1"}}`, l.ID, instance)
		require.NoError(t, q.parked.publishRecords(t.Context(), []record{{l.subjectFor(kindHeld), []byte(text)}}))
	}
	removed := func(instance string) bool { return instance == "gone" }
	_, err := q.ReplayDeadLetters(t.Context(), DeadLetterFilter{IsRemoved: removed})
	var gone *RemovedInstanceError
	require.ErrorAs(t, err, &gone)
	assert.Equal(t, "gone", gone.Instance)
	assert.Empty(t, commandsOf(t, q, "main"), "nothing is replayed if not everything can be")
	n, err := q.DropDeadLetters(t.Context(), DeadLetterFilter{IsRemoved: removed})
	require.NoError(t, err)
	assert.Equal(t, 2, n)
	assert.Equal(t, []string{"p-main"}, lettersOf(t, q, DeadLetterFilter{}))
	assert.Empty(t, commandsOf(t, q, "gone"))
	assert.Len(t, commandsOf(t, q, "main"), 1)
	n, err = q.ReplayDeadLetters(t.Context(), DeadLetterFilter{IsRemoved: removed})
	require.NoError(t, err)
	assert.Equal(t, 1, n)
}

// TestFirstMessageAfter compares the search for the first message after a time with a search message by message, in a stream with gaps.
func TestFirstMessageAfter(t *testing.T) {
	q, now := newMemoryQueue(t, Config{Partitions: 1})
	begin := now.read()
	for i := range 30 {
		now.set(begin.Add(time.Duration(i/2) * time.Minute)) // two messages of each minute
		require.NoError(t, q.Append(t.Context(), []NewEvent{{Source: "web", Key: "u", Raw: []byte(`{}`)}}))
	}
	for _, seq := range []uint64{1, 2, 9, 10, 11, 17, 30} {
		require.NoError(t, q.store.Delete(t.Context(), eventsStream, seq))
	}
	info, err := q.store.Info(t.Context(), eventsStream)
	require.NoError(t, err)
	for minute := -2; minute < 17; minute++ {
		for _, more := range []time.Duration{-1, 0, 1} {
			after := begin.Add(time.Duration(minute)*time.Minute + more)
			want := info.LastSeq + 1
			require.NoError(t, q.store.Scan(t.Context(), eventsStream, eventlog.Query{Filters: []string{">"}}, func(m eventlog.Message) (bool, error) {
				if m.Time.After(after) {
					want = m.Sequence
					return false, nil
				}
				return true, nil
			}))
			got, err := q.firstMessageAfter(t.Context(), eventsStream, info, after)
			require.NoError(t, err)
			m, err := q.store.First(t.Context(), eventsStream, ">", got)
			if want > info.LastSeq {
				assert.ErrorIs(t, err, eventlog.ErrNotFound, "after %v", after)
				continue
			}
			require.NoError(t, err)
			assert.Equal(t, want, m.Sequence, "after %v", after)
			if got > info.FirstSeq {
				before, err := q.store.First(t.Context(), eventsStream, ">", got-1)
				require.NoError(t, err)
				assert.False(t, before.Sequence < got && before.Time.After(after), "a message before it is newer")
			}
		}
	}
}

// TestLeasesOfMembers checks what a process knows of checkpoints and members: the newest revision of each, until a lease has passed without
// a change.
func TestLeasesOfMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeases(nil, time.Minute)
		data := []byte(memberAlive)
		l.recordWrite(eventlog.Write{Subject: "proc.b", Data: data}, 1)
		data[0] = 'x' // the caller's buffer is used again
		l.recordWrite(eventlog.Write{Subject: "proc.a", Data: []byte(memberAlive)}, 2)
		l.recordWrite(eventlog.Write{Subject: "proc.c", Data: []byte(memberLeft)}, 3)
		l.recordWrite(eventlog.Write{Subject: "book.i.0", Data: checkpoint{Owner: "a", Low: 7}.toMessage("book.i.0", 0).Data}, 4)
		l.recordWrite(eventlog.Write{Subject: "book.i.1", Data: checkpoint{Low: 9}.toMessage("book.i.1", 0).Data}, 5)
		assert.Equal(t, []string{"a", "b"}, l.aliveMembers())
		used := l.checkpointsInUse("c")
		assert.Len(t, used, 2)
		assert.Equal(t, uint64(7), used["book.i.0"].Low)
		time.Sleep(time.Minute - time.Nanosecond)
		l.recordWrite(eventlog.Write{Subject: "proc.a", Data: []byte(memberAlive)}, 6)
		l.recordWrite(eventlog.Write{Subject: "proc.b", Data: []byte(memberAlive)}, 1)
		assert.Equal(t, []string{"a", "b"}, l.aliveMembers())
		time.Sleep(time.Nanosecond)
		assert.Equal(t, []string{"a"}, l.aliveMembers(), "a message that is known already is no heartbeat")
		l.recordWrite(eventlog.Write{Subject: "proc.a", Data: []byte(memberLeft)}, 5)
		assert.Equal(t, []string{"a"}, l.aliveMembers(), "an older message changes nothing")
		l.recordWrite(eventlog.Write{Subject: "proc.a", Data: []byte(memberLeft)}, 7)
		assert.Empty(t, l.aliveMembers())
		m, ok := l.latestOf("book.i.1")
		assert.True(t, ok)
		assert.Equal(t, uint64(5), m.revision)
		l.forgetSubject("book.i.1")
		_, ok = l.latestOf("book.i.1")
		assert.False(t, ok)
	})
}

// TestCheckpointsOfOneOwner checks writes of a checkpoint whose revision is not the newest: an owner goes on if the newer one is its own,
// as after an answer that was lost, and has lost the lease otherwise.
func TestCheckpointsOfOneOwner(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	mine, theirs := newLeases(q, time.Minute), newLeases(q, time.Minute)
	subject := checkpointSubject("i", 0)
	first, err := mine.writeCheckpoint(t.Context(), "me", subject, 0, checkpoint{Owner: "me", Low: 1})
	require.NoError(t, err)
	_, err = mine.writeCheckpoint(t.Context(), "me", subject, first, checkpoint{Owner: "me", Low: 2})
	require.NoError(t, err)
	second, err := mine.writeCheckpoint(t.Context(), "me", subject, first, checkpoint{Owner: "me", Low: 3})
	require.NoError(t, err, "the answer to the last write was lost")
	assert.Greater(t, second, first+1)
	known, _ := mine.latestOf(subject)
	assert.Equal(t, second, known.revision)
	_, err = theirs.writeCheckpoint(t.Context(), "you", subject, first, checkpoint{Owner: "you", Low: 9})
	require.ErrorIs(t, err, errLeaseLost)
	taken, err := theirs.writeCheckpoint(t.Context(), "you", subject, second, checkpoint{Owner: "you", Low: 9})
	require.NoError(t, err)
	_, err = mine.writeCheckpoint(t.Context(), "me", subject, second, checkpoint{Owner: "me", Low: 4})
	require.ErrorIs(t, err, errLeaseLost)
	known, _ = mine.latestOf(subject)
	assert.Equal(t, taken, known.revision, "what the other has written is known")
	assert.Equal(t, uint64(9), parseCheckpoint(known.data).Low)
}

// TestSnapshotsOfALogWithout checks a log that has no snapshots.
func TestSnapshotsOfALogWithout(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	_, err := q.Snapshots(t.Context(), func(string) (io.Writer, error) { return io.Discard, nil })
	assert.ErrorIs(t, err, errors.ErrUnsupported)
}

// TestSnapshotsThatFail checks that a snapshot which cannot be written is an error that ends the hold on trimming, and restores that find a
// queue, or a snapshot that cannot be read.
func TestSnapshotsThatFail(t *testing.T) {
	q, err := Open(t.Context(), Config{Dir: t.TempDir(), Partitions: 1})
	require.NoError(t, err)
	defer q.Close()
	full := errors.New("the disk is full")
	var names []string
	_, err = q.Snapshots(t.Context(), func(name string) (io.Writer, error) {
		if names = append(names, name); len(names) == 3 {
			return nil, full
		}
		return io.Discard, nil
	})
	require.ErrorIs(t, err, full)
	assert.Equal(t, []string{checkpointsStream, parkStream, deadStream}, names)
	held := true
	require.NoError(t, q.monitor.updateState(t.Context(), func(s *logState) { held = time.Now().Unix() < s.Hold }))
	assert.False(t, held)
	list, err := q.Snapshots(t.Context(), func(string) (io.Writer, error) {
		require.NoError(t, q.monitor.updateState(t.Context(), func(s *logState) { held = time.Now().Unix() < s.Hold }))
		assert.True(t, held, "nothing is trimmed meanwhile")
		return io.Discard, nil
	})
	require.NoError(t, err)
	require.Len(t, list, 4)

	unread := func(string) (io.ReadCloser, error) { t.Error("read"); return nil, full }
	dir := q.config.Dir
	q.Close()
	assert.ErrorIs(t, RestoreSnapshots(t.Context(), Config{Dir: dir}, list, unread), ErrNotEmpty)
	partial, err := openConnection(Config{Dir: t.TempDir()})
	require.NoError(t, err)
	require.NoError(t, partial.store.Prepare(t.Context(), []eventlog.StreamConfig{rewrittenConfig()}))
	partial.Close()
	assert.EqualError(t, RestoreSnapshots(t.Context(), Config{Dir: partial.config.Dir}, list, unread), "the queue already exists: to restore into it, delete its stream REWRITTEN")
	assert.ErrorIs(t, RestoreSnapshots(t.Context(), Config{Dir: t.TempDir()}, list, func(string) (io.ReadCloser, error) { return nil, full }), full)
	damaged := func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("no snapshot")), nil }
	assert.ErrorContains(t, RestoreSnapshots(t.Context(), Config{Dir: t.TempDir()}, list, damaged), "restoring "+eventsStream)
}

// TestReplaysAreWrittenInParts checks that a replay of many partitions or of large events writes no more messages or bytes at once than the
// server accepts.
func TestReplaysAreWrittenInParts(t *testing.T) {
	for name, c := range map[string]struct{ partitions, events, size int }{"many partitions": {maxMessages + 100, 2 * maxMessages, 10}, "large events": {2, 24, singlePageBytes - 100}} {
		q, _ := newMemoryQueue(t, Config{Partitions: c.partitions})
		var list []NewEvent
		for i := range c.events {
			list = append(list, NewEvent{Source: "web", Key: fmt.Sprint(i), Raw: fmt.Appendf(nil, `{"messageId":"%0*d"}`, c.size, i)})
		}
		require.NoError(t, q.Append(t.Context(), list))
		log := &batchLog{Log: q.store.(*memlog.Log)}
		q.store = log
		n, err := q.Replay(t.Context(), ReplayRequest{Instance: "i"})
		require.NoError(t, err)
		assert.Equal(t, c.events, n, name)
		require.Greater(t, len(log.batches), 1, name)
		for _, batch := range log.batches {
			assert.True(t, batch[0] <= maxMessages/2 && batch[1] <= groupBytes+2*singlePageBytes, "%s: %v", name, batch)
		}
		replayed := map[string]int{}
		for _, m := range commandsOf(t, q, "i") {
			for line := range strings.Lines(string(m.Data)) {
				replayed[line]++
			}
		}
		assert.Len(t, replayed, c.events, name)
	}
}
