package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/internal/testsize"
)

var errInjected = errors.New("injected")

// faultyLog is a log with a directory, so that its queue has a journal. Its writes fail as fail says.
type faultyLog struct {
	eventlog.Log
	dir  string
	dead atomic.Bool // the process was killed: nothing is written
	fail atomic.Pointer[func(stream string, writes []eventlog.Write) (before, after error)]

	unanswered atomic.Bool // a write that fails after it was stored waits until its context ends
	unreadable atomic.Bool // Info fails
	slow       atomic.Bool // Get takes ten milliseconds
}

func (l *faultyLog) Dir() string { return l.dir }

func (l *faultyLog) Append(ctx context.Context, stream string, writes []eventlog.Write) (uint64, error) {
	var after error
	if l.dead.Load() {
		return 0, errInjected
	}
	if f := l.fail.Load(); f != nil {
		before, failure := (*f)(stream, writes)
		if before != nil {
			return 0, before
		}
		after = failure
	}
	last, err := l.Log.Append(ctx, stream, writes)
	if after != nil && l.unanswered.Load() {
		<-ctx.Done()
		after = ctx.Err()
	}
	return last, errors.Join(err, after)
}

func (l *faultyLog) Info(ctx context.Context, stream string) (eventlog.Info, error) {
	if l.unreadable.Load() {
		return eventlog.Info{}, errInjected
	}
	return l.Log.Info(ctx, stream)
}

func (l *faultyLog) Get(ctx context.Context, stream string, seq uint64) (eventlog.Message, error) {
	if l.slow.Load() {
		time.Sleep(10 * time.Millisecond)
	}
	return l.Log.Get(ctx, stream, seq)
}

func (l *faultyLog) PurgeBefore(ctx context.Context, stream string, seq uint64) error {
	if l.dead.Load() {
		return errInjected
	}
	return l.Log.PurgeBefore(ctx, stream, seq)
}

func (l *faultyLog) failWith(f func(stream string, writes []eventlog.Write) (before, after error)) {
	l.fail.Store(&f)
}

// failEvents makes the writes to the log fail, and not those to the journal.
func (l *faultyLog) failEvents(err error) {
	l.failWith(func(stream string, _ []eventlog.Write) (error, error) {
		if stream == eventsStream {
			return err, nil
		}
		return nil, nil
	})
}

// openFaulty opens a queue on a store in memory.
func openFaulty(t *testing.T, store *memlog.Store) (*Queue, *faultyLog) {
	log := &faultyLog{Log: store.Connect(), dir: t.TempDir()}
	q, err := Open(t.Context(), Config{Dir: log.dir, MinFreeBytes: 1, store: log})
	require.NoError(t, err)
	return q, log
}

func eventOf(user string, n int) NewEvent {
	return NewEvent{Source: "web", Key: "u:" + user, Raw: fmt.Appendf(nil, `{"type":"track","userId":%q,"messageId":"%s-%d"}`, user, user, n)}
}

// storedEvents returns the messageIds in the log by user, in order.
func storedEvents(t *testing.T, q *Queue) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	require.NoError(t, q.EachStored(t.Context(), func(raw []byte) {
		v := event.MustParse(string(raw))
		user := v.Get("userId").Str()
		found[user] = append(found[user], v.Get("messageId").Str())
	}))
	return found
}

// TestJournalLosesNothing has clients that send the events of their users one after the other, each until it is accepted, while writes fail before or
// after they are stored and processes end without any further write. Each accepted event is in the log, in order, and only those that a client
// has sent again are there twice.
func TestJournalLosesNothing(t *testing.T) {
	const users = 12
	store := memlog.New(memlog.Options{})
	var accepted [users]int
	var repeated sync.Map
	for round := range testsize.Of(12, 6) {
		q, log := openFaulty(t, store)
		log.failWith(func(stream string, writes []eventlog.Write) (before, after error) {
			one := 20 // of so many writes fails before it is stored, and as many after
			if header := writes[len(writes)-1].Header; stream == eventsStream && header[journalHeader]+header[partHeader] != "" {
				one = 8
			}
			switch n := rand.IntN(one); {
			case n == 0:
				return []error{errInjected, ErrFull}[rand.IntN(2)], nil
			case n == 1:
				return nil, errInjected
			}
			return nil, nil
		})
		var clients sync.WaitGroup
		for u := range users {
			clients.Go(func() {
				for range 60 {
					if accepted[u] >= 60*(round+1) {
						return
					}
					e := eventOf(fmt.Sprint("user", u), accepted[u])
					e.Source = fmt.Sprint("source", rand.IntN(1+u%4))
					if err := q.Append(t.Context(), []NewEvent{e}); err != nil {
						repeated.Store(fmt.Sprintf("user%d-%d", u, accepted[u]), true)
						continue
					}
					accepted[u]++
					if rand.IntN(20) == 0 {
						_ = q.settle(t.Context()) // so that there are many transfers
					}
				}
			})
		}
		clients.Wait()
		log.dead.Store(round%3 != 0) // of other processes, what waits is transferred when they end
		q.Close()
	}
	q, _ := openFaulty(t, store)
	defer q.Close()
	found := storedEvents(t, q)
	for u := range users {
		user := fmt.Sprint("user", u)
		require.NotZero(t, accepted[u])
		next := 0
		for _, id := range found[user] {
			want := fmt.Sprintf("%s-%d", user, next)
			if id != want {
				_, again := repeated.Load(id)
				assert.True(t, again, "%s is there twice, or before %s", id, want)
				continue
			}
			next++
		}
		assert.GreaterOrEqual(t, next, accepted[u])
	}
}

// TestJournalAfterACrash accepts events while the log cannot be written, and crashes.
func TestJournalAfterACrash(t *testing.T) {
	store := memlog.New(memlog.Options{})
	q, log := openFaulty(t, store)
	log.failEvents(errInjected)
	const events = 300
	list := make([]NewEvent, events)
	for i := range list {
		list[i] = eventOf(fmt.Sprint("user", i%30), i)
	}
	require.NoError(t, q.Append(t.Context(), list))
	info, err := q.store.Info(t.Context(), eventsStream)
	require.NoError(t, err)
	require.Zero(t, info.Messages)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.ErrorIs(t, q.settle(ctx), errInjected)
	log.dead.Store(true)
	q.Close()

	again, _ := openFaulty(t, store)
	defer again.Close()
	found := storedEvents(t, again)
	require.Len(t, found, 30)
	for u := range 30 {
		var want []string
		for n := u; n < events; n += 30 {
			want = append(want, fmt.Sprintf("user%d-%d", u, n))
		}
		assert.Equal(t, want, found[fmt.Sprint("user", u)])
	}
	require.Eventually(t, func() bool {
		info, err := again.store.Info(t.Context(), journalStream)
		return err == nil && info.Messages == 0
	}, time.Minute, 10*time.Millisecond, "the journal keeps nothing")
}

// TestTrimmedEventsDoNotComeBack deletes all events of the log before a crash. The journal must not transfer them again.
func TestTrimmedEventsDoNotComeBack(t *testing.T) {
	store := memlog.New(memlog.Options{})
	q, log := openFaulty(t, store)
	require.NoError(t, q.Append(t.Context(), []NewEvent{eventOf("a", 0), eventOf("b", 0)}))
	require.NoError(t, q.settle(t.Context()))
	info, err := q.store.Info(t.Context(), eventsStream)
	require.NoError(t, err)
	require.NoError(t, q.purgeEvents(t.Context(), info.LastSeq+1))
	log.dead.Store(true)
	q.Close()

	again, _ := openFaulty(t, store)
	defer again.Close()
	assert.Empty(t, storedEvents(t, again))
}

// TestFullLogRefusesEvents fills the log: what was accepted waits, more is refused, and commands fail.
func TestFullLogRefusesEvents(t *testing.T) {
	q, log := openFaulty(t, memlog.New(memlog.Options{}))
	defer q.Close()
	log.failEvents(ErrFull)
	two := func(n int) []NewEvent { return []NewEvent{eventOf("a", n), eventOf("b", n)} }
	require.NoError(t, q.Append(t.Context(), two(0)))
	require.Eventually(t, func() bool { return errors.Is(q.Append(t.Context(), two(1)), ErrFull) }, time.Minute, time.Millisecond)
	assert.ErrorIs(t, q.sendCommand(t.Context(), "main", 0, opResume, command{}), ErrFull)
	assert.Contains(t, codesOf(q.queueFindings()), CodeLogFull)
	log.failEvents(nil)
	require.Eventually(t, func() bool { return q.Append(t.Context(), two(2)) == nil }, time.Minute, time.Millisecond)
	found := storedEvents(t, q)
	assert.Equal(t, "a-0", found["a"][0])
	assert.Equal(t, "b-2", found["b"][len(found["b"])-1])
	assert.NotContains(t, codesOf(q.queueFindings()), CodeLogFull)
}

func codesOf(list []Finding) (codes []Code) {
	for _, f := range list {
		codes = append(codes, f.Code)
	}
	return codes
}

// TestCommandsFollowAcceptedEvents checks that a command has its place behind the events that were accepted before.
func TestCommandsFollowAcceptedEvents(t *testing.T) {
	q, _ := openFaulty(t, memlog.New(memlog.Options{}))
	defer q.Close()
	for n := range 50 {
		require.NoError(t, q.Append(t.Context(), []NewEvent{eventOf("a", n), eventOf("b", n)}))
		require.NoError(t, q.sendCommand(t.Context(), "main", 0, opResume, command{}))
	}
	events := 0
	require.NoError(t, q.store.Scan(t.Context(), eventsStream, eventlog.Query{Filters: []string{">"}}, func(m eventlog.Message) (bool, error) {
		if strings.HasPrefix(m.Subject, "ev.") {
			events += bytes.Count(m.Data, []byte{'\n'})
			return true, nil
		}
		assert.Zero(t, events%2)
		return true, nil
	}))
	assert.Equal(t, 100, events)
}

// TestTestWritesInTheJournal crashes after a test write, which a stream gets while it does not answer. What waits for accepted events goes on when
// these are in the log.
func TestTestWritesInTheJournal(t *testing.T) {
	store := memlog.New(memlog.Options{})
	q, log := openFaulty(t, store)
	log.failEvents(errInjected)
	require.NoError(t, q.Append(t.Context(), []NewEvent{eventOf("a", 0), eventOf("b", 0)}))
	_, err := q.appendMessage(t.Context(), journalStream, eventlog.Write{Subject: "journal.probe"})
	require.NoError(t, err)
	log.dead.Store(true)
	q.Close()

	again, _ := openFaulty(t, store)
	defer again.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, again.settle(ctx))
	assert.Equal(t, map[string][]string{"a": {"a-0"}, "b": {"b-0"}}, storedEvents(t, again))
}

// TestUncertainGroups loses the answer to the write of a group, which the client sends again. After a crash, the group must not be transferred
// behind events that were accepted later.
func TestUncertainGroups(t *testing.T) {
	for _, size := range []int{1, hurriedBytes} {
		store := memlog.New(memlog.Options{})
		q, log := openFaulty(t, store)
		log.failWith(func(stream string, _ []eventlog.Write) (before, after error) {
			if stream == journalStream {
				return nil, errInjected
			}
			return nil, nil
		})
		list := []NewEvent{eventOf("a", 0), eventOf("b", 0)}
		require.ErrorIs(t, q.Append(t.Context(), list), errInjected)
		log.failWith(func(string, []eventlog.Write) (before, after error) { return nil, nil })
		later := eventOf("a", 1)
		later.Raw = bytes.Replace(later.Raw, []byte(`{`), fmt.Appendf(nil, `{"text":%q,`, strings.Repeat("x", size)), 1)
		for _, e := range []NewEvent{list[0], list[1], later} {
			require.NoError(t, q.Append(t.Context(), []NewEvent{e}))
		}
		require.NoError(t, q.settle(t.Context()))
		log.dead.Store(true)
		q.Close()

		again, _ := openFaulty(t, store)
		assert.Equal(t, map[string][]string{"a": {"a-0", "a-1"}, "b": {"b-0"}}, storedEvents(t, again))
		again.Close()
	}
}

// brokenLog is a log with a stream that cannot be written.
type brokenLog struct {
	eventlog.Log
	broken string
}

func (l brokenLog) WriteFailure(stream string) (since time.Time, err error) {
	if stream == l.broken {
		return time.Now(), errInjected
	}
	return l.Log.WriteFailure(stream)
}

// TestNothingIsDeletedFromABrokenLog checks that nothing is accepted or deleted while the log or its journal cannot be written: the embedded server
// deadlocks if a write fails during a deletion.
func TestNothingIsDeletedFromABrokenLog(t *testing.T) {
	for stream, works := range map[string]bool{"": true, eventsStream: false, journalStream: false} {
		dir := t.TempDir()
		q := &Queue{config: Config{Dir: dir, MinFreeBytes: 1}, store: brokenLog{&faultyLog{Log: memlog.New(memlog.Options{}).Connect(), dir: dir}, stream}}
		assert.Equal(t, works, q.canDeleteSafely(), stream)
		assert.Equal(t, works, q.checkWritable() == nil, stream)
	}
}
