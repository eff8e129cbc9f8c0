package delivery

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
)

// TestTransferIsCompleted fails at each message of a transfer, before or after it is stored, and then goes on, in the same process or after a crash.
// The log has each event once, and what is left to do is not trimmed.
func TestTransferIsCompleted(t *testing.T) {
	for _, crash := range []bool{false, true} {
		for _, failure := range []struct{ before, after error }{{before: errInjected}, {before: ErrFull}, {after: errInjected}} {
			for _, failing := range []int{0, 1, 2, 8} {
				t.Run(fmt.Sprint(crash, failure, failing), func(t *testing.T) {
					t.Parallel()
					completeTransfer(t, crash, failing, failure.before, failure.after)
				})
			}
		}
	}
}

func completeTransfer(t *testing.T, crash bool, failing int, before, after error) {
	store := memlog.New(memlog.Options{})
	q, log := openFaulty(t, store)
	written, failed := 0, make(chan struct{})
	log.failWith(func(stream string, writes []eventlog.Write) (error, error) {
		if stream != eventsStream {
			return nil, nil
		}
		require.Len(t, writes, 1)
		if written == failing {
			select {
			case <-failed:
				return errInjected, nil
			default:
				close(failed)
				return before, after
			}
		}
		written++
		return nil, nil
	})
	want := map[string][]string{}
	list := make([]NewEvent, 60)
	for i := range list {
		user := fmt.Sprint("user", i%20)
		list[i] = eventOf(user, i)
		want[user] = append(want[user], fmt.Sprint(user, "-", i))
	}
	require.NoError(t, q.Append(t.Context(), list[:40]))
	<-failed
	later := list[40:] // which wait, too, unless they are refused
	if err := q.Append(t.Context(), later); err == nil {
		later = nil
	}
	if failing > 1 {
		require.Equal(t, uint64(1), q.journal.firstUnfinished())
		require.NoError(t, q.purgeEvents(t.Context(), 2))
	}
	if crash {
		log.dead.Store(true)
		q.Close()
		q, _ = openFaulty(t, store)
	}
	defer q.Close()
	log.failWith(func(string, []eventlog.Write) (error, error) { return nil, nil })
	require.Eventually(t, func() bool { return q.Append(t.Context(), later) == nil }, time.Minute, time.Millisecond)
	require.Eventually(t, func() bool { return q.settle(t.Context()) == nil }, time.Minute, time.Millisecond)
	assert.Equal(t, want, storedEvents(t, q))
	assert.Zero(t, q.journal.firstUnfinished())
	assert.Empty(t, q.journal.waiting)
}

// TestTransferOfManyPartitionsIsCompleted fails at the second batch of a transfer, before or after it is stored, and then crashes. The log
// has each event once.
func TestTransferOfManyPartitionsIsCompleted(t *testing.T) {
	const partitions = maxMessages + 50
	for _, failure := range []struct{ before, after error }{{before: errInjected}, {after: errInjected}} {
		store := memlog.New(memlog.Options{})
		open := func() (*Queue, *faultyLog) {
			log := &faultyLog{Log: store.Connect(), dir: t.TempDir()}
			q, err := Open(t.Context(), Config{Dir: log.dir, MinFreeBytes: 1, Partitions: partitions, store: log})
			require.NoError(t, err)
			return q, log
		}
		q, log := open()
		batches, failed := 0, make(chan struct{})
		log.failWith(func(stream string, writes []eventlog.Write) (error, error) {
			if stream != eventsStream {
				return nil, nil
			}
			if batches++; batches == 2 {
				log.dead.Store(true)
				close(failed)
				return failure.before, failure.after
			}
			return nil, nil
		})
		want := map[string][]string{}
		var list []NewEvent
		for i := range 4 * partitions {
			user := fmt.Sprint("user", i)
			list = append(list, eventOf(user, 0))
			want[user] = []string{user + "-0"}
		}
		require.NoError(t, q.Append(t.Context(), list))
		<-failed
		if failure.before != nil {
			assert.EqualValues(t, 1, q.journal.firstUnfinished(), "nothing of it is deleted before it is complete")
		}
		q.Close()
		q, _ = open()
		assert.Equal(t, want, storedEvents(t, q), failure)
		q.Close()
	}
}

// TestWrittenPart looks for the newest message of an unfinished transfer among the messages of the transfer.
func TestWrittenPart(t *testing.T) {
	messages := packMessages([]record{{"ev.a.1", []byte("1")}, {"ev.a.2", []byte("1")}, {"ev.a.3", []byte("3")}}, false)
	for want, newest := range []*eventlog.Message{
		{Subject: "ev.b.1", Data: []byte("1\n")}, {Subject: "ev.a.1", Data: []byte("1\n")}, {Subject: "ev.a.2", Data: []byte("1\n")}, {Subject: "ev.a.3", Data: []byte("3\n")},
	} {
		u := unfinishedTransfer{last: "x.2", newest: newest}
		assert.Equal(t, want, u.written("x.2", messages))
		assert.Zero(t, u.written("x.1", messages))
	}
	groups := []journalGroup{{id: "x.1"}, {id: "x.2"}, {id: "x.3"}}
	assert.Equal(t, 2, (&unfinishedTransfer{last: "x.2"}).groupsIn(groups))
	assert.Zero(t, (&unfinishedTransfer{last: "x.4"}).groupsIn(groups))
	assert.Zero(t, (&unfinishedTransfer{}).groupsIn(slices.Concat(groups, []journalGroup{{}})))
}

// TestUnfinishedTransferInTheLog checks what a process that starts knows of a transfer which the log has begun: its newest and its first
// message, and nothing of others.
func TestUnfinishedTransferInTheLog(t *testing.T) {
	var u unfinishedTransfer
	for _, m := range []struct {
		seq           uint64
		id            string
		last          string
		first, newest uint64 // first and newest message afterwards
	}{{12, "", "", 0, 0}, {11, "x.2", "x.2", 11, 11}, {10, "", "x.2", 11, 11}, {9, "x.1", "x.2", 11, 11}, {8, "x.2", "x.2", 8, 11}, {7, "", "x.2", 8, 11}, {6, "x.2", "x.2", 6, 11}} {
		u.noteEarlier(&eventlog.Message{Sequence: m.seq, Header: map[string]string{partHeader: m.id}})
		newest := uint64(0)
		if u.newest != nil {
			newest = u.newest.Sequence
		}
		assert.Equal(t, []any{m.last, m.first, m.newest}, []any{u.last, u.first, newest}, m.seq)
	}
}

// TestAnswersThatAreLostForAWhile stores a message of a transfer whose answer is lost, because it takes too long or while the log cannot be
// read either. The log has each event once all the same, also if more events were accepted meanwhile.
func TestAnswersThatAreLostForAWhile(t *testing.T) {
	for name, late := range map[string]bool{"the answer is late": true, "the log cannot be read": false} {
		for _, losing := range []int{0, 1, 5} {
			t.Run(fmt.Sprint(name, losing), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					q, log := openFaulty(t, memlog.New(memlog.Options{}))
					defer q.Close()
					written := 0
					log.failWith(func(stream string, writes []eventlog.Write) (error, error) {
						if stream != eventsStream {
							return nil, nil
						}
						if written++; written != losing+1 {
							return nil, nil
						}
						log.unanswered.Store(late)
						log.unreadable.Store(!late)
						return nil, errInjected
					})
					want := map[string][]string{}
					for part := range 2 {
						var list []NewEvent
						for i := range 30 {
							user := fmt.Sprint("user", i)
							list = append(list, eventOf(user, part))
							want[user] = append(want[user], fmt.Sprint(user, "-", part))
						}
						require.NoError(t, q.Append(t.Context(), list))
						time.Sleep(transferInterval)
					}
					time.Sleep(transferTimeout)
					synctest.Wait() // settle fails with a transfer that is under way
					log.unreadable.Store(false)
					require.NoError(t, q.settle(t.Context()))
					assert.Equal(t, want, storedEvents(t, q))
				})
			})
		}
	}
}

// TestLostAnswerAfterManyMessages loses the answer to a transfer while the log is slow and has many messages that no transfer has written:
// the transfer is completed all the same.
func TestLostAnswerAfterManyMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, log := openFaulty(t, memlog.New(memlog.Options{}))
		defer q.Close()
		for i := range 300 {
			require.NoError(t, q.Append(t.Context(), []NewEvent{eventOf("early", i)}))
		}
		time.Sleep(time.Minute)
		log.slow.Store(true)
		log.failWith(func(stream string, writes []eventlog.Write) (before, after error) {
			if writes[0].Header[partHeader] != "" && log.unanswered.CompareAndSwap(false, true) {
				return nil, errInjected
			}
			return nil, nil
		})
		require.NoError(t, q.Append(t.Context(), []NewEvent{eventOf("a", 0), eventOf("b", 0), eventOf("c", 0)}))
		time.Sleep(transferTimeout + lookTimeout)
		require.NoError(t, q.settle(t.Context()))
		found := storedEvents(t, q)
		assert.Equal(t, [][]string{{"a-0"}, {"b-0"}, {"c-0"}}, [][]string{found["a"], found["b"], found["c"]})
	})
}

// TestEqualMessagesOfATransfer fails to write the second of two messages that have the same events: the first one is not taken for it.
func TestEqualMessagesOfATransfer(t *testing.T) {
	q, log := openFaulty(t, memlog.New(memlog.Options{}))
	defer q.Close()
	failures := 0
	log.failWith(func(stream string, writes []eventlog.Write) (before, after error) {
		if _, isPart := writes[0].Header[partHeader]; !isPart {
			return nil, nil
		}
		if failures++; failures == 2 {
			return errInjected, nil
		}
		return nil, nil
	})
	large := NewEvent{Source: "web", Key: "u:a", Raw: fmt.Appendf(nil, `{"userId":"a","messageId":"%0*d"}`, pageBytes, 0)}
	other := NewEvent{Source: "web", Key: "u:b", Raw: []byte(`{"userId":"b"}`)}
	require.NoError(t, q.Append(t.Context(), []NewEvent{large, large, other}))
	require.Eventually(t, func() bool { return q.settle(t.Context()) == nil }, time.Minute, time.Millisecond)
	assert.Equal(t, 2, len(storedEvents(t, q)["a"]))
}

// TestMessagesWrittenSingly checks how many messages are written one by one: few, with a disk.
func TestMessagesWrittenSingly(t *testing.T) {
	q, _ := openFaulty(t, memlog.New(memlog.Options{}))
	defer q.Close()
	memory, _ := newMemoryQueue(t, Config{})
	for n, want := range map[int][]bool{0: {true, true}, 1: {true, true}, 2: {true, false}, maxSingle: {true, false}, maxSingle + 1: {false, false}} {
		assert.Equal(t, want, []bool{q.writesSingly(n), memory.writesSingly(n)}, n)
	}
}
