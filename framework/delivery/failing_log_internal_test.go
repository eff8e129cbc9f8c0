package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
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

var errLogFails = errors.New("the log fails")

// failingLog is a log in memory of which one call fails.
type failingLog struct {
	*memlog.Log
	mu     sync.Mutex
	calls  int
	failAt int // the number of the call that fails; 0 for none
	failed string

	failAppend atomic.Bool // nothing can be written
}

// failure returns the error of a call, nil for all but one.
func (l *failingLog) failure(call, stream string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls++; l.calls != l.failAt {
		return nil
	}
	l.failed = strings.TrimSpace(call + " " + stream)
	return fmt.Errorf("%s: %w", l.failed, errLogFails)
}

// arm makes a call from now on fail. It returns the number of calls since it was called last, and the one that failed.
func (l *failingLog) arm(failAt int) (calls int, failed string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	calls, failed = l.calls, l.failed
	l.calls, l.failAt, l.failed = 0, failAt, ""
	return calls, failed
}

// quietly calls a function whose calls neither fail nor count.
func (l *failingLog) quietly(f func()) {
	l.mu.Lock()
	failAt := l.failAt
	l.mu.Unlock()
	calls, failed := l.arm(0)
	f()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls, l.failAt, l.failed = calls, failAt, failed
}

func (l *failingLog) Prepare(ctx context.Context, streams []eventlog.StreamConfig) error {
	return errors.Join(l.failure("Prepare", ""), l.Log.Prepare(ctx, streams))
}

func (l *failingLog) Append(ctx context.Context, stream string, writes []eventlog.Write) (uint64, error) {
	if err := l.failure("Append", stream); err != nil || l.failAppend.Load() {
		return 0, cmp.Or(err, errLogFails)
	}
	return l.Log.Append(ctx, stream, writes)
}

func (l *failingLog) Get(ctx context.Context, stream string, seq uint64) (eventlog.Message, error) {
	if err := l.failure("Get", stream); err != nil {
		return eventlog.Message{}, err
	}
	return l.Log.Get(ctx, stream, seq)
}

func (l *failingLog) First(ctx context.Context, stream, filter string, from uint64) (eventlog.Message, error) {
	if err := l.failure("First", stream); err != nil {
		return eventlog.Message{}, err
	}
	return l.Log.First(ctx, stream, filter, from)
}

func (l *failingLog) Last(ctx context.Context, stream, subject string) (eventlog.Message, error) {
	if err := l.failure("Last", stream); err != nil {
		return eventlog.Message{}, err
	}
	return l.Log.Last(ctx, stream, subject)
}

// Scan can fail before the first message and after the last one.
func (l *failingLog) Scan(ctx context.Context, stream string, q eventlog.Query, visit func(eventlog.Message) (bool, error)) error {
	if err := l.failure("Scan", stream); err != nil {
		return err
	}
	if err := l.Log.Scan(ctx, stream, q, visit); err != nil {
		return err
	}
	return l.failure("the end of Scan", stream)
}

func (l *failingLog) Count(ctx context.Context, stream string, q eventlog.Query) (uint64, error) {
	if err := l.failure("Count", stream); err != nil {
		return 0, err
	}
	return l.Log.Count(ctx, stream, q)
}

func (l *failingLog) Subjects(ctx context.Context, stream, filter string) ([]string, error) {
	if err := l.failure("Subjects", stream); err != nil {
		return nil, err
	}
	return l.Log.Subjects(ctx, stream, filter)
}

func (l *failingLog) Delete(ctx context.Context, stream string, seq uint64) error {
	if err := l.failure("Delete", stream); err != nil {
		return err
	}
	return l.Log.Delete(ctx, stream, seq)
}

func (l *failingLog) PurgeBefore(ctx context.Context, stream string, seq uint64) error {
	if err := l.failure("PurgeBefore", stream); err != nil {
		return err
	}
	return l.Log.PurgeBefore(ctx, stream, seq)
}

func (l *failingLog) PurgeSubjects(ctx context.Context, stream, filter string) error {
	if err := l.failure("PurgeSubjects", stream); err != nil {
		return err
	}
	return l.Log.PurgeSubjects(ctx, stream, filter)
}

func (l *failingLog) Info(ctx context.Context, stream string) (eventlog.Info, error) {
	if err := l.failure("Info", stream); err != nil {
		return eventlog.Info{}, err
	}
	return l.Log.Info(ctx, stream)
}

func (l *failingLog) Missing(ctx context.Context, stream string) ([]uint64, error) {
	if err := l.failure("Missing", stream); err != nil {
		return nil, err
	}
	return l.Log.Missing(ctx, stream)
}

func (l *failingLog) Erase(ctx context.Context, rewrite func(stream, subject string, data []byte) []byte) error {
	return errors.Join(l.failure("Erase", ""), l.Log.Erase(ctx, rewrite))
}

// borrowedLog is a log that another queue closes.
type borrowedLog struct{ *failingLog }

func (borrowedLog) Close() {}

// failingShredder is a memoryShredder that fails with its log.
type failingShredder struct{ log *failingLog }

func (s failingShredder) Shred(ctx context.Context, stream string, seqs []uint64) (int, error) {
	if err := s.log.failure("Shred", stream); err != nil {
		return 0, err
	}
	return memoryShredder{s.log.Log}.Shred(ctx, stream, seqs)
}

func (s failingShredder) CompactServers(ctx context.Context, stream string) (int, error) {
	return 1, s.log.failure("CompactServers", stream)
}

// newFailingQueue returns a queue with events, dead letters of every kind, and a checkpoint that does not match the log.
func newFailingQueue(t *testing.T, o memlog.Options) (*Queue, *failingLog) {
	t.Helper()
	log := &failingLog{Log: memlog.New(o).Connect()}
	q, err := Open(t.Context(), Config{Dir: t.TempDir(), Partitions: 1, Retention: time.Hour}.On(log))
	require.NoError(t, err)
	t.Cleanup(q.Close)
	for i, user := range []string{"gone", "u1", "gone", "u2"} {
		raw := fmt.Appendf(nil, `{"type":"track","messageId":"m%d","userId":%q}`, i, user)
		require.NoError(t, q.Append(t.Context(), []NewEvent{{Source: "web", Key: "u:" + user, Raw: raw}}))
	}
	letter := func(id, key string, parked bool, user string) []byte {
		return fmt.Appendf(nil, `{"id":%q,"instance":"i","subscription":"s","parked":%t,"key":%q,"reason":"r","at":"2026-01-02T03:04:05Z","seq":1,"index":0,"event":{"type":"track","userId":%q},"request":{"method":"POST","url":"https://a.example","body":"of gone"}}`,
			id, parked, key, user)
	}
	key := shortHash("u:gone")
	require.NoError(t, q.dead.publishRecords(t.Context(), []record{{"dead.i.0.1-0-x", letter("1-0-x", "u:gone", false, "gone")}, {"dead.i.0.2-0-x", letter("2-0-x", "u:u1", false, "u1")}}))
	require.NoError(t, q.parked.publishRecords(t.Context(), []record{
		{"park.i.0." + key + ".held.3-0-x", letter("3-0-x", "u:gone", true, "gone")}, {"park.i.0." + key + ".held.4-0-x", letter("4-0-x", "u:gone", true, "gone")},
	}))
	_, err = newLeases(q, time.Minute).writeCheckpoint(t.Context(), "", checkpointSubject("i", 0), 0, checkpoint{Low: 99})
	require.NoError(t, err)
	log.arm(0)
	return q, log
}

// operationsOfQueues are what operators and the server do with a queue.
func operationsOfQueues() map[string]func(ctx context.Context, q *Queue) error {
	gone := func(v event.Value) bool { return v.Get("userId").Str() == "gone" }
	request := EraseRequest{Match: gone, HasUser: func(text string) bool { return strings.Contains(text, "gone") }}
	none := func(string) bool { return false }
	return map[string]func(ctx context.Context, q *Queue) error{
		"append": func(ctx context.Context, q *Queue) error {
			return q.Append(ctx, []NewEvent{{Source: "web", Key: "u", Raw: []byte(`{"type":"track"}`)}})
		},
		"event":  func(ctx context.Context, q *Queue) error { _, err := q.Event(ctx, 1, 0); return err },
		"latest": func(ctx context.Context, q *Queue) error { _, _, err := q.Latest(ctx, "u:u2", 10); return err },
		"find": func(ctx context.Context, q *Queue) error {
			_, err := q.Find(ctx, FindRequest{Match: func([]byte) bool { return true }, Limit: 10, MaxBytes: 1 << 20})
			return err
		},
		"each stored":        func(ctx context.Context, q *Queue) error { return q.EachStored(ctx, func([]byte) {}) },
		"erase dead letters": func(ctx context.Context, q *Queue) error { _, err := q.EraseDeadLetters(ctx, gone, none); return err },
		"erase":              func(ctx context.Context, q *Queue) error { _, err := q.Erase(ctx, request); return err },
		"erase on a cluster": func(ctx context.Context, q *Queue) error {
			_, err := q.eraseOnCluster(ctx, failingShredder{log: q.store.(*failingLog)}, &request)
			return err
		},
		"erase rewritten pages on a cluster": eraseRewritten,
		"progress":                           func(ctx context.Context, q *Queue) error { _, err := q.Progress(ctx, "i"); return err },
		"backlogs": func(ctx context.Context, q *Queue) error {
			_, err := q.Backlogs(ctx, func(string) bool { return true })
			return err
		},
		"sizes":              func(_ context.Context, q *Queue) error { _, err := q.Sizes(); return err },
		"count dead letters": func(ctx context.Context, q *Queue) error { _, err := q.CountDeadLetters(ctx, "i"); return err },
		"rename":             func(ctx context.Context, q *Queue) error { _, err := q.RenameInstance(ctx, "i", "j"); return err },
		"forget":             func(ctx context.Context, q *Queue) error { _, err := q.ForgetInstance(ctx, "i"); return err },
		"letters": func(ctx context.Context, q *Queue) error {
			return q.DeadLetters(ctx, DeadLetterFilter{}, func(*DeadLetter) error { return nil })
		},
		"replay letters": func(ctx context.Context, q *Queue) error {
			_, err := q.ReplayDeadLetters(ctx, DeadLetterFilter{})
			return err
		},
		"drop letters": func(ctx context.Context, q *Queue) error {
			_, err := q.DropDeadLetters(ctx, DeadLetterFilter{})
			return err
		},
		"drop letters of a removed instance": func(ctx context.Context, q *Queue) error {
			_, err := q.DropDeadLetters(ctx, DeadLetterFilter{IsRemoved: func(string) bool { return true }})
			return err
		},
		"replay": func(ctx context.Context, q *Queue) error {
			_, err := q.Replay(ctx, ReplayRequest{Instance: "i"})
			return err
		},
		"repair": func(ctx context.Context, q *Queue) error {
			done, err := q.RepairCheckpoints(ctx, RepairOptions{Instances: []string{"i", "new"}, AcceptLoss: true})
			if err == nil && len(done) == 0 {
				return errors.New("nothing was repaired")
			}
			return err
		},
		"load a budget": func(ctx context.Context, q *Queue) error { _, _, err := q.BudgetStore().Load(ctx, "b"); return err },
		"save a budget": func(ctx context.Context, q *Queue) error {
			_, err := q.BudgetStore().Save(ctx, "b", nil, 0)
			return err
		},
		"check the log": func(ctx context.Context, q *Queue) error { return q.monitor.checkLog(ctx) },
		"open": func(ctx context.Context, q *Queue) error {
			log := q.store.(*failingLog)
			again, err := Open(ctx, Config{Dir: q.config.Dir + "-2", Partitions: 1}.On(borrowedLog{log}))
			if err == nil {
				log.quietly(again.Close)
			}
			return err
		},
		"write records": func(ctx context.Context, q *Queue) error {
			return q.writeRecords(ctx, deadStream, io.Discard)
		},
	}
}

// eraseRewritten erases a user on a cluster of whom another erasure has rewritten a page.
func eraseRewritten(ctx context.Context, q *Queue) (err error) {
	log := q.store.(*failingLog)
	requestFor := func(user string) *EraseRequest {
		return &EraseRequest{Match: func(v event.Value) bool { return v.Get("userId").Str() == user }, HasUser: func(text string) bool { return strings.Contains(text, user) }}
	}
	log.quietly(func() {
		err = q.Append(ctx, []NewEvent{{Source: "web", Key: "u", Raw: []byte(`{"userId":"gone"}`)}, {Source: "web", Key: "u", Raw: []byte(`{"userId":"other"}`)}})
		if err == nil {
			_, err = q.eraseOnCluster(ctx, memoryShredder{log}, requestFor("gone"))
		}
	})
	if err == nil {
		_, err = q.eraseOnCluster(ctx, failingShredder{log: log}, requestFor("other"))
	}
	return err
}

// TestEveryFailureOfTheLogIsReported lets each call of the log fail, one at a time: no operation may take it for success.
func TestEveryFailureOfTheLogIsReported(t *testing.T) {
	for name, run := range operationsOfQueues() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { checkFailures(t, run) })
		})
	}
}

// checkFailures runs an operation as often as it calls the log, and lets another call fail each time.
func checkFailures(t *testing.T, run func(ctx context.Context, q *Queue) error) {
	q, log := newFailingQueue(t, memlog.Options{})
	require.NoError(t, run(t.Context(), q))
	calls, _ := log.arm(0)
	require.Positive(t, calls)
	for i := range calls {
		q, log := newFailingQueue(t, memlog.Options{})
		log.arm(i + 1)
		err := run(t.Context(), q)
		_, failed := log.arm(0)
		assert.ErrorIs(t, err, errLogFails, "call %d, %s", i+1, failed)
	}
}

// TestEveryFailureOfTheLogStopsDeletions lets each call of the log fail while a runner deletes what is finished or too old: what it could not look at, it
// keeps.
func TestEveryFailureOfTheLogStopsDeletions(t *testing.T) {
	for name, run := range map[string]func(ctx context.Context, r *Runner) error{
		"trim":            func(ctx context.Context, r *Runner) error { _, err := r.trimLog(ctx); return err },
		"finished before": func(ctx context.Context, r *Runner) error { _, err := r.FinishedBefore(ctx); return err },
		"expire letters":  func(ctx context.Context, r *Runner) error { return r.expireDeadLetters(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 1
				for failAt := 0; failAt <= calls; failAt++ {
					age := 2 * time.Hour
					q, log := newFailingQueue(t, memlog.Options{Shared: true, Now: func() time.Time { return time.Now().Add(-age) }})
					age = 0
					_, err := q.RepairCheckpoints(t.Context(), RepairOptions{})
					require.NoError(t, err)
					r, err := NewRunner(t.Context(), q, Settings{TrimInterval: 1000 * time.Hour, DeadLetterRetention: time.Hour, MaxDeadLetterBytes: 1})
					require.NoError(t, err)
					require.NoError(t, r.SetInstances(t.Context(), nil))
					synctest.Wait()
					log.arm(failAt)
					err = run(t.Context(), r)
					n, failed := log.arm(0)
					if failAt == 0 {
						require.NoError(t, err)
						require.Positive(t, n)
						calls = n
					} else {
						assert.ErrorIs(t, err, errLogFails, "call %d, %s", failAt, failed)
					}
					r.Stop(t.Context())
				}
			})
		})
	}
}
