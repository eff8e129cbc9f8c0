package delivery

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/event"
)

// memoryShredder shreds messages in memory.
type memoryShredder struct{ log eventlog.Log }

func (s memoryShredder) Shred(ctx context.Context, stream string, seqs []uint64) (deleted int, err error) {
	for _, seq := range seqs {
		if _, err := s.log.Get(ctx, stream, seq); err != nil {
			continue
		}
		if err := s.log.Delete(ctx, stream, seq); err != nil {
			return deleted, err
		}
		deleted++
	}
	return deleted, nil
}

func (s memoryShredder) CompactServers(context.Context, string) (int, error) { return 1, nil }

// eraseGone erases the user gone as on a cluster.
func eraseGone(t *testing.T, q *Queue) {
	t.Helper()
	servers, err := q.eraseOnCluster(t.Context(), memoryShredder{q.store}, &EraseRequest{
		Match:   func(v event.Value) bool { return v.Get("userId").Str() == "gone" },
		HasUser: func(text string) bool { return strings.Contains(text, "gone") },
	})
	require.NoError(t, err)
	assert.Equal(t, 1, servers)
}

// stored returns the userIds of the stored events.
func (r *trimmer) stored(t *testing.T) (users []string) {
	t.Helper()
	require.NoError(t, r.queue.EachStored(t.Context(), func(raw []byte) {
		e, err := event.Parse(raw)
		require.NoError(t, err)
		users = append(users, e.Value().Get("userId").Str())
	}))
	return users
}

// checkFound checks which users' events a search finds that reads the whole log.
func (r *trimmer) checkFound(t *testing.T, users ...string) {
	t.Helper()
	found, err := r.queue.Find(t.Context(), FindRequest{Match: func([]byte) bool { return true }, Limit: 10, MaxBytes: 1 << 20})
	require.NoError(t, err)
	assert.True(t, found.Complete)
	var list []string
	for _, e := range found.Events {
		list = append(list, event.MustParse(string(e.Raw)).Get("userId").Str())
	}
	assert.Equal(t, users, list)
}

// TestRewrittenPages replaces pages at the beginning, in the middle and at the end of the log. They are read in their places, they do not count as
// lost, and they are deleted with the pages around them.
func TestRewrittenPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTrimmer(t, Config{Retention: 10 * time.Minute})
		r.now.set(time.Now())
		add := func(users ...string) {
			var list []NewEvent
			for _, user := range users {
				list = append(list, NewEvent{Source: "web", Key: "u", Raw: fmt.Appendf(nil, `{"userId":%q}`, user)})
			}
			require.NoError(t, r.queue.Append(t.Context(), list))
			r.now.set(r.now.read().Add(time.Minute))
		}
		add("gone", "first")
		add("second")
		add("third", "gone")
		add("gone")
		eraseGone(t, r.queue)
		check := func(users ...string) {
			t.Helper()
			assert.Equal(t, users, r.stored(t))
			require.NoError(t, r.queue.monitor.checkLog(t.Context()))
			assert.Empty(t, r.queue.Problems())
		}
		check("first", "second", "third")
		r.checkFound(t, "third", "second", "first")
		n, err := r.queue.Replay(t.Context(), ReplayRequest{Instance: "i", Since: r.now.read(), Until: r.now.read()})
		require.NoError(t, err)
		assert.Zero(t, n)
		n, err = r.queue.Replay(t.Context(), ReplayRequest{Instance: "i", Since: time.Now().Add(90 * time.Second)})
		require.NoError(t, err)
		assert.Equal(t, 1, n, "of the third page")
		e, err := r.queue.Event(t.Context(), 3, 0)
		require.NoError(t, err)
		assert.JSONEq(t, `{"userId":"third"}`, string(e.Raw))
		time.Sleep(9 * time.Minute)
		r.trim(t)
		check("first", "second", "third", "third")
		time.Sleep(2 * time.Minute)
		r.trim(t)
		check("third", "third")
		r.checkFound(t, "third", "third")
		time.Sleep(20 * time.Minute)
		r.trim(t)
		check([]string(nil)...)
		r.checkFound(t)
		pages, err := r.queue.rewrittenPages(t.Context())
		require.NoError(t, err)
		assert.Empty(t, pages)
	})
}

// TestReplacedLetters erases a user from the request of another user's dead letter, also if an attempt was interrupted after that was
// deleted.
func TestReplacedLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTrimmer(t, Config{})
		l := &DeadLetter{Instance: "i", Subscription: "s", Seq: 7, Reason: "refused", Request: &Exchange{Body: "gone and other"}, Event: []byte(`{"userId":"other"}`)}
		data, err := json.Marshal(l)
		require.NoError(t, err)
		_, err = r.queue.appendMessage(t.Context(), deadStream, eventlog.Write{Subject: l.subjectFor(""), Data: data})
		require.NoError(t, err)
		l.Seq, l.Request = 8, nil
		require.NoError(t, r.queue.store.Prepare(t.Context(), []eventlog.StreamConfig{rewrittenConfig()}))
		data, err = json.Marshal(l)
		require.NoError(t, err)
		_, err = r.queue.appendMessage(t.Context(), rewrittenStream, eventlog.Write{Subject: "letter.DEAD." + l.subjectFor(""), Data: data})
		require.NoError(t, err)
		for range 2 {
			eraseGone(t, r.queue)
			var positions []uint64
			require.NoError(t, r.queue.DeadLetters(t.Context(), DeadLetterFilter{}, func(l *DeadLetter) error {
				positions = append(positions, l.Seq)
				assert.Nil(t, l.Request)
				assert.JSONEq(t, `{"userId":"other"}`, string(l.Event))
				return nil
			}))
			assert.ElementsMatch(t, []uint64{7, 8}, positions)
			info, err := r.queue.store.Info(t.Context(), rewrittenStream)
			require.NoError(t, err)
			assert.Zero(t, info.Messages)
		}
	})
}

// TestErasureDuringABackup rewrites a page while a backup is being made, as an erasure does that another server has begun before. The restored log has
// the events of others, and no page of it is lost.
func TestErasureDuringABackup(t *testing.T) {
	t.Parallel() // it mostly waits
	q, err := Open(t.Context(), Config{Dir: t.TempDir(), Partitions: 1})
	require.NoError(t, err)
	defer q.Close()
	for _, users := range [][]string{{"first"}, {"gone", "second"}, {"third"}} {
		var list []NewEvent
		for _, user := range users {
			list = append(list, NewEvent{Source: "web", Key: "u", Raw: fmt.Appendf(nil, `{"userId":%q}`, user)})
		}
		require.NoError(t, q.Append(t.Context(), list))
	}
	files := map[string]*bytes.Buffer{}
	list, err := q.Snapshots(t.Context(), func(name string) (io.Writer, error) {
		if files[name] = (&bytes.Buffer{}); name == eventsStream {
			eraseGone(t, q)
		}
		return files[name], nil
	})
	require.NoError(t, err)

	c := Config{Dir: t.TempDir(), Partitions: 1}
	require.NoError(t, RestoreSnapshots(t.Context(), c, list, func(name string) (io.ReadCloser, error) { return io.NopCloser(files[name]), nil }))
	restored, err := Open(t.Context(), c)
	require.NoError(t, err)
	defer restored.Close()
	var users []string
	require.NoError(t, restored.EachStored(t.Context(), func(raw []byte) { users = append(users, event.MustParse(string(raw)).Get("userId").Str()) }))
	assert.Equal(t, []string{"first", "second", "third"}, users)
	assert.Empty(t, restored.Problems())
}

// lettersShredder counts how many dead letters are away at most.
type lettersShredder struct {
	memoryShredder
	t    *testing.T
	away uint64
}

func (s *lettersShredder) Shred(ctx context.Context, stream string, seqs []uint64) (int, error) {
	info, err := s.log.Info(ctx, rewrittenStream)
	require.NoError(s.t, err)
	s.away = max(s.away, info.Messages)
	return s.memoryShredder.Shred(ctx, stream, seqs)
}

// TestLettersAreReplacedOneByOne checks that only the dead letter that is being replaced is away, since it cannot be retried meanwhile.
func TestLettersAreReplacedOneByOne(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	for seq := range uint64(5) {
		l := &DeadLetter{Instance: "i", Subscription: "s", Seq: seq, Request: &Exchange{Body: "gone and other"}, Event: []byte(`{"userId":"other"}`)}
		data, err := json.Marshal(l)
		require.NoError(t, err)
		_, err = q.appendMessage(t.Context(), deadStream, eventlog.Write{Subject: l.subjectFor(""), Data: data})
		require.NoError(t, err)
	}
	s := &lettersShredder{memoryShredder: memoryShredder{q.store}, t: t}
	_, err := q.eraseOnCluster(t.Context(), s, &EraseRequest{Match: func(event.Value) bool { return false }, HasUser: func(text string) bool { return strings.Contains(text, "gone") }})
	require.NoError(t, err)
	assert.EqualValues(t, 1, s.away)
	n := 0
	require.NoError(t, q.DeadLetters(t.Context(), DeadLetterFilter{}, func(l *DeadLetter) error {
		assert.Nil(t, l.Request)
		n++
		return nil
	}))
	assert.Equal(t, 5, n)
}

// countingShredder has another number of servers for each stream, and can fail to compact one.
type countingShredder struct {
	memoryShredder
	servers map[string]int
}

func (s countingShredder) CompactServers(_ context.Context, stream string) (int, error) {
	if s.servers[stream] == 0 {
		return 0, errLogFails
	}
	return s.servers[stream], nil
}

// TestServersThatWereCompacted checks that an erasure counts the servers on which nothing is left of any stream, and fails if one cannot be
// compacted.
func TestServersThatWereCompacted(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	for least := range 4 {
		servers := map[string]int{eventsStream: 5, parkStream: 5, deadStream: 5, rewrittenStream: 5}
		servers[[]string{eventsStream, parkStream, deadStream, rewrittenStream}[least]] = least
		n, err := q.eraseOnCluster(t.Context(), countingShredder{memoryShredder{q.store}, servers}, &eraseOf)
		assert.Equal(t, least, n)
		if least == 0 {
			assert.ErrorIs(t, err, errLogFails)
		} else {
			assert.NoError(t, err)
		}
	}
}

// clusterLog is a log in memory that is overwritten as that of a cluster. It knows how many messages were written to the stream of rewritten pages at once.
type clusterLog struct {
	*memlog.Log
	memoryShredder
	copies []int
}

func (l *clusterLog) Append(ctx context.Context, stream string, writes []eventlog.Write) (uint64, error) {
	if stream == rewrittenStream {
		l.copies = append(l.copies, len(writes))
	}
	return l.Log.Append(ctx, stream, writes)
}

func newClusterQueue(t *testing.T) (*Queue, *clusterLog) {
	t.Helper()
	log := &clusterLog{Log: memlog.New(memlog.Options{Shared: true}).Connect()}
	log.memoryShredder.log = log.Log
	q, err := Open(t.Context(), Config{Partitions: 1}.On(log))
	require.NoError(t, err)
	t.Cleanup(q.Close)
	return q, log
}

// TestErasureOfUnfinishedPages checks that an erasure on a cluster leaves the pages alone that an instance has not finished, and does
// nothing if it cannot know which.
func TestErasureOfUnfinishedPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, log := newClusterQueue(t)
		const pages = maxMessages/2 + 10
		for range pages + 1 {
			require.NoError(t, q.Append(t.Context(), []NewEvent{{Source: "web", Key: "u", Raw: []byte(`{"userId":"gone"}`)}}))
		}
		request, unknown := eraseOf, errors.New("the instances are being replaced")
		request.FinishedBefore = func(context.Context) (uint64, error) { return 0, unknown }
		_, err := q.Erase(t.Context(), request)
		require.ErrorIs(t, err, unknown)
		assert.Empty(t, log.copies)
		request.FinishedBefore = func(context.Context) (uint64, error) { return pages + 1, nil }
		servers, err := q.Erase(t.Context(), request)
		require.NoError(t, err)
		assert.Equal(t, 1, servers)
		assert.Equal(t, []int{maxMessages / 2, 10}, log.copies, "in parts")
		left := 0
		require.NoError(t, q.EachStored(t.Context(), func([]byte) { left++ }))
		assert.Equal(t, 1, left)
		require.NoError(t, q.holdTrimming(t.Context(), time.Hour))
		_, err = q.Erase(t.Context(), request)
		assert.ErrorIs(t, err, errOnHold)
	})
}

// TestErasedLettersOfACluster checks that dead letters and parked events of a user are overwritten on a cluster, and that the keys of the parked
// ones are unparked.
func TestErasedLettersOfACluster(t *testing.T) {
	q, _ := newClusterQueue(t)
	for i, user := range []string{"gone", "other"} {
		for _, parked := range []bool{false, true} {
			l := &DeadLetter{Instance: "i", Subscription: "s", Seq: uint64(i + 1), Key: "u:" + user, Parked: parked, Event: []byte(`{"userId":"` + user + `"}`)}
			data, err := json.Marshal(l)
			require.NoError(t, err)
			_, err = q.appendMessage(t.Context(), l.streamName(), eventlog.Write{Subject: l.subjectFor(kindHeld), Data: data})
			require.NoError(t, err)
		}
	}
	found, err := q.EraseDeadLetters(t.Context(), eraseOf.Match, func(string) bool { return false })
	require.NoError(t, err)
	assert.Equal(t, 2, found)
	var keys []string
	require.NoError(t, q.DeadLetters(t.Context(), DeadLetterFilter{}, func(l *DeadLetter) error { keys = append(keys, l.Key); return nil }))
	assert.Equal(t, []string{"u:other", "u:other"}, keys)
	commands := commandsOf(t, q, "i")
	require.Len(t, commands, 1)
	assert.Equal(t, []string{opUnpark, `{"keys":["` + shortHash("u:gone") + `"]}`}, []string{commands[0].Header[opHeader], string(commands[0].Data)})
}
