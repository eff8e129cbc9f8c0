package delivery

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/dispatch"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// deliverTo starts the delivery of a queue in memory to one instance. It runs in a bubble, and ends with the test.
func deliverTo(t *testing.T, s Settings, in Instance) (*Queue, *Runner) {
	t.Helper()
	return deliverOn(t, memlog.New(memlog.Options{}).Connect(), s, in)
}

// deliverOn is deliverTo with a queue on a log.
func deliverOn(t *testing.T, log eventlog.Log, s Settings, in Instance) (*Queue, *Runner) {
	t.Helper()
	q, err := Open(t.Context(), Config{Dir: t.TempDir(), Partitions: 1}.On(log))
	require.NoError(t, err)
	r, err := NewRunner(t.Context(), q, s)
	require.NoError(t, err)
	require.NoError(t, r.SetInstances(t.Context(), []Instance{in}))
	t.Cleanup(func() { r.Stop(context.WithoutCancel(t.Context())); q.Close() })
	return q, r
}

// appendEvent adds an event of a user, and waits a while for its delivery.
func appendEvent(t *testing.T, q *Queue, user string) {
	t.Helper()
	require.NoError(t, q.Append(t.Context(), []NewEvent{{Source: "web", Key: "u:" + user, Raw: []byte(`{"type":"track","userId":"` + user + `"}`)}}))
	time.Sleep(10 * time.Second)
}

// findingCodes returns the codes of the findings about instances.
func findingCodes(r *Runner) (codes []Code) {
	for _, w := range r.workers {
		codes = append(codes, codesOf(w.instanceFindings(time.Now()))...)
	}
	return codes
}

// TestInstanceWaitsForALogin checks that an instance without an access token sends nothing and gives nothing up, however long it takes, says why, and goes
// on by itself soon after the login.
func TestInstanceWaitsForALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var loggedIn atomic.Bool
		var sent atomic.Int32
		missing := func() error {
			if loggedIn.Load() {
				return nil
			}
			return &fault.Error{Code: fault.CodeLogin, Status: 401, Retry: true, Message: "log in"}
		}
		token := func(context.Context, string, string) (string, error) { return "token", missing() }
		in := hostedInstance(t, "oauth-managed", runtime.Host{Token: token}, func() error { sent.Add(1); return missing() })
		q, r := deliverTo(t, Settings{RetryFor: time.Minute, MaxAttempts: 2}, in)
		appendEvent(t, q, "a")
		tried := sent.Load()
		require.LessOrEqual(t, tried, int32(1))
		assert.Equal(t, []Code{CodeLogin}, findingCodes(r))
		appendEvent(t, q, "b")
		time.Sleep(10 * time.Minute)
		assert.Equal(t, tried, sent.Load())
		assert.Equal(t, []Code{CodeLogin}, findingCodes(r))
		counts := r.Status()[0].Counts
		assert.Zero(t, counts[countDead]+counts[countParked])
		loggedIn.Store(true)
		time.Sleep(5 * time.Second)
		assert.EqualValues(t, 2, r.Status()[0].Counts[countDelivered])
		assert.Empty(t, findingCodes(r))
	})
}

// TestSpentBudgetDelaysEvents checks that events wait for a budget that is spent, that the reason is shown with its end, and that replayed
// dead letters do not make new events wait.
func TestSpentBudgetDelaysEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := error(nil)
		in := answeringInstance(t, func() error { return wait })
		_, r := deliverTo(t, Settings{}, in)
		w := r.workers["main"]
		pausedUntil := func() time.Time { return w.dispatcher.Stats().PausedUntil }
		live, replayed, letter, resumed := &task{page: &page{}}, &task{page: &page{replayed: true}}, &task{page: &page{holdsLetters: true}}, &task{page: &page{holdsLetters: true}, resumed: true}
		for _, c := range []struct {
			t      *task
			after  time.Duration
			class  budget.Class
			pauses bool
		}{
			{replayed, time.Minute, budget.Background, false}, {letter, time.Minute, budget.Background, false}, {live, 0, budget.Live, false},
			{live, time.Minute, budget.Live, true}, {resumed, time.Hour, budget.Live, true},
		} {
			w.mu.Lock()
			before := w.deferredUntil
			w.deferForLocked(c.t, runtime.Verdict{RetryAfter: c.after})
			after := w.deferredUntil
			w.mu.Unlock()
			assert.Equal(t, c.class, classOf([]*dispatch.Task[*task]{{Value: c.t}}))
			if c.pauses {
				assert.Equal(t, time.Now().Add(c.after), after)
				assert.True(t, pausedUntil().After(time.Now()))
			} else {
				assert.Equal(t, before, after)
				assert.False(t, pausedUntil().After(time.Now()))
			}
		}
	})
}

// TestResumeEndsWaits checks that an operator ends every wait of an instance: a pause that its budget shares with other instances, the time
// until a remote that is down is tried again, a pause of the instance alone, and the waits of events that have failed.
func TestResumeEndsWaits(t *testing.T) {
	for name, result := range map[string]budget.Result{
		"the budget pauses": {Status: 429, Wait: time.Hour}, "the remote is down": {Status: 503}, "the instance pauses": {Status: 200}, "events have failed": {Status: 200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := budget.NewGate("main", budget.New("shared", budget.Limits{}, budget.NewMemoryStore()), budget.GateConfig{FailuresToOpen: 1, MinProbeWait: time.Hour, MaxProbeWait: time.Hour})
				enter := func(r budget.Result) error {
					done, err := gate.Enter(t.Context(), budget.Request{})
					if err == nil {
						done(r)
					}
					return err
				}
				var failing atomic.Bool
				failing.Store(name == "events have failed")
				in := hostedInstance(t, "none", runtime.Host{Gate: gate}, func() error {
					if failing.Load() {
						return fault.FromStatus(500, "later")
					}
					var later *budget.WaitError
					if errors.As(enter(budget.Result{Status: 200}), &later) {
						return &fault.Error{Code: fault.CodeDeferred, Status: 429, Retry: true, RetryAfter: later.Wait, Message: later.Error()}
					}
					return nil
				})
				q, r := deliverTo(t, Settings{MinBackoff: time.Hour, MaxBackoff: time.Hour}, in)
				require.NoError(t, enter(result))
				if name == "the instance pauses" {
					r.workers["main"].dispatcher.Pause(time.Hour)
				}
				appendEvent(t, q, "a")
				assert.Zero(t, r.Status()[0].Counts[countDelivered])
				failing.Store(false)
				waited, err := r.Resume("main")
				require.NoError(t, err)
				assert.True(t, waited)
				time.Sleep(10 * time.Second)
				assert.EqualValues(t, 1, r.Status()[0].Counts[countDelivered])
				waited, err = r.Resume("main")
				require.NoError(t, err)
				assert.False(t, waited, "nothing waits")
			})
		})
	}
}

// TestErasedEventsAreNotSent checks that an event which is erased while its batch waits is not sent, and that each verdict stays with its event.
func TestErasedEventsAreNotSent(t *testing.T) {
	sent := 0
	in := answeringInstance(t, func() error {
		if sent++; sent == 1 {
			return fault.FromStatus(400, "never")
		}
		return nil
	})
	w := newWorker(&Runner{settings: Settings{Erased: func(v event.Value) bool { return v.Get("userId").Str() == "gone" }}}, in)
	defer w.dispatcher.Stop()
	deliver := func(users ...string) (outcomes []string) {
		var list []*dispatch.Task[*task]
		for _, user := range users {
			e, err := event.Parse([]byte(`{"type":"track","userId":"` + user + `"}`))
			require.NoError(t, err)
			item, refused := in.Plan.Prepare(in.Plan.Subscriptions()[0], e, 0)
			require.Nil(t, refused)
			list = append(list, &dispatch.Task[*task]{Value: &task{partition: &partition{worker: w}, item: item}})
		}
		list[0].Value.erased = users[0] == "marked"
		for _, v := range w.deliverTasks(t.Context(), list) {
			outcomes = append(outcomes, string(v.Outcome))
		}
		return outcomes
	}
	assert.Equal(t, []string{"skipped", "refused", "skipped", "delivered"}, deliver("marked", "a", "gone", "b"))
	assert.Equal(t, []string{"delivered", "skipped"}, deliver("a", "gone"))
	assert.Equal(t, []string{"skipped", "skipped"}, deliver("gone", "gone"))
	assert.Equal(t, 3, sent)
}

// TestNoCrashMarkStays checks that nothing which was mapped is still noted as being mapped: a later crash of the process would count for it.
func TestNoCrashMarkStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, r := deliverTo(t, Settings{}, refusingInstance(t))
		noted := func() (n int) {
			for at := 0; at < len(r.mappingNotes.memory); at += slotSize {
				if binary.LittleEndian.Uint64(r.mappingNotes.memory[at+8:]) != 0 {
					n++
				}
			}
			return n
		}
		appendEvent(t, q, "a")
		require.EqualValues(t, 1, r.Status()[0].Counts[countDead])
		assert.Zero(t, noted())
		n, err := q.ReplayDeadLetters(t.Context(), DeadLetterFilter{})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		time.Sleep(10 * time.Second)
		var attempts []int
		require.NoError(t, q.DeadLetters(t.Context(), DeadLetterFilter{}, func(l *DeadLetter) error { attempts = append(attempts, l.Attempts); return nil }))
		require.Equal(t, []int{2}, attempts, "one letter, which counts the replay")
		assert.Zero(t, noted())
	})
}
