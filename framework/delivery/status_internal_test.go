package delivery

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// TestStatusOfAnInstance checks what the status adds up: what this process has in memory, what other processes have counted, and what waits
// in partitions without an owner.
func TestStatusOfAnInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := newIdleRunner(t, memlog.New(memlog.Options{Shared: true}).Connect(), 4, Settings{}, accepts(t))
		now := time.Now()
		read := &partitionFeeds{}
		first := w.own(0, checkpoint{Low: 5, Counts: map[string]int64{countDelivered: 3}})
		first.taskCount, first.eventsPerPage, first.cursor = 4, 2.5, &pageCursor{partition: read, pending: 7}
		first.openPages = []*page{{acceptedMillis: now.Add(-time.Minute).UnixMilli()}, {acceptedMillis: now.Add(-time.Hour).UnixMilli()}}
		first.parked.park("a", kindHeld)
		first.parked.park("b", kindEvicted)
		second := w.own(1, checkpoint{})
		second.taskCount, second.eventsPerPage, second.cursor = 1, 0.1, &pageCursor{partition: read, pending: 3}
		second.openPages = []*page{{acceptedMillis: now.Add(-2 * time.Minute).UnixMilli()}}
		for n, counts := range map[int]map[string]int64{2: {countDelivered: 10, countDead: 1}, 3: {countDead: 2}} {
			r.leases.recordWrite(eventlog.Write{Subject: checkpointSubject("main", n), Data: checkpoint{Owner: "other", Counts: counts}.toMessage("", 0).Data}, 9)
		}
		w.retries = 6
		status := func() Status {
			list := r.Status()
			require.Len(t, list, 1)
			return list[0]
		}
		s := status()
		assert.Equal(t, []any{"main", 2, 5, 18 + 1, 2, int64(6)}, []any{s.Instance, s.Partitions, s.Waiting, s.Behind, s.Parked, s.Retried})
		assert.Equal(t, map[string]int64{countDelivered: 13, countDead: 3}, s.Counts)
		assert.Equal(t, 2*time.Minute, s.Lag, "of the partition that is furthest behind")
		assert.Empty(t, s.Unowned)
		assert.Equal(t, []any{false, time.Time{}, "", true}, []any{s.Paused, s.Until, s.Stopped, s.Delivering})

		r.survey.unowned = map[partitionID]*unownedPartition{{"main", 3}: {since: now, oldest: now.Add(-time.Hour), pages: 3, perPage: 4}, {"other", 2}: {pages: 100, perPage: 1}}
		s = status()
		assert.Equal(t, []any{[]int{3}, 19 + 12, time.Hour}, []any{s.Unowned, s.Behind, s.Lag})
		assert.True(t, s.Delivering, "for a moment, as during a handover")
		r.survey.unowned[partitionID{"main", 3}].oldest = time.Time{}
		assert.Equal(t, 2*time.Minute, status().Lag, "nothing waits there")
		time.Sleep(unownedGrace)
		assert.False(t, status().Delivering)

		w.dispatcher.Pause(time.Minute)
		w.suspendReason = "log in"
		s = status()
		assert.Equal(t, []any{true, time.Now().Add(time.Minute), "log in"}, []any{s.Paused, s.Until, s.Stopped})
	})
}

// TestFindingsOfAStatus checks that an instance shows the findings that concern it, and that it does not deliver if one of them says so.
func TestFindingsOfAStatus(t *testing.T) {
	for _, c := range []struct {
		finding         Finding
		shown, delivers bool
	}{
		{Finding{Stops: StopsDelivery}, true, false}, {Finding{Stops: StopsBoth}, true, false}, {Finding{Stops: StopsIngest}, true, true}, {Finding{}, true, true},
		{Finding{Instance: "main", Stops: StopsDelivery}, true, false}, {Finding{Instance: "other", Stops: StopsDelivery}, false, true},
	} {
		s := Status{Instance: "main"}
		s.addFindings(Health{Findings: []Finding{{Code: "first"}, c.finding, {Instance: "other", Stops: StopsBoth}, {Instance: "main"}}})
		assert.Equal(t, []bool{c.shown, c.delivers}, []bool{len(s.Findings) == 3, s.Delivering}, c)
	}
}

// TestExpectedEnd checks the estimate of when the waiting events will be finished: none without events or without progress, and not before
// a limit allows them.
func TestExpectedEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{}, accepts(t))
		expected := func(waiting, behind int) time.Duration {
			s := Status{Waiting: waiting, Behind: behind}
			s.addLimitsLocked(w, time.Now())
			assert.Nil(t, s.Limits)
			if s.ExpectedEnd.IsZero() {
				return 0
			}
			return time.Until(s.ExpectedEnd)
		}
		for range 20 {
			w.progress.count(time.Now())
		}
		time.Sleep(10*time.Second - 1)
		assert.Zero(t, expected(4, 0), "too short to know")
		time.Sleep(time.Nanosecond)
		assert.Equal(t, 4*time.Second, expected(6, 2))
		assert.Zero(t, expected(0, 0))
		w.deferredUntil = time.Now().Add(3 * time.Second)
		assert.Equal(t, 4*time.Second, expected(8, 0))
		w.deferredUntil = time.Now().Add(time.Minute)
		assert.Equal(t, time.Minute, expected(8, 0))
	})
}

// failingBudgets is a store of budgets that fails.
type failingBudgets struct{ budget.Store }

func (failingBudgets) Load(context.Context, string) ([]byte, uint64, error) {
	return nil, 0, errors.New("the store fails")
}

// TestFindingsAboutLimits checks what is said of the limits of an instance, and when they are the reason for its pause.
func TestFindingsAboutLimits(t *testing.T) {
	limits := budget.Limits{Windows: []budget.Window{{Limit: 2, Per: time.Hour}}}
	for name, c := range map[string]struct {
		store     budget.Store
		statuses  []int // of the requests that were sent
		deferred  bool
		paused    time.Duration // what the remote asked for
		want      []Code
		explained bool
	}{
		"nothing was sent":                   {deferred: true},
		"something is left":                  {statuses: []int{200}, deferred: true},
		"all is spent":                       {statuses: []int{200, 200}, deferred: true, want: []Code{CodeBudget}, explained: true},
		"all is spent, and nothing waits":    {statuses: []int{200, 200}},
		"all is spent, and the remote waits": {statuses: []int{200, 200}, deferred: true, paused: time.Minute},
		"the store fails":                    {store: failingBudgets{budget.NewMemoryStore()}, statuses: []int{200}, want: []Code{CodeBudget}},
		"the remote is down":                 {statuses: []int{503, 503}, want: []Code{CodeDown}},
		"it is down, and events wait":        {statuses: []int{503, 503}, deferred: true, want: []Code{CodeDown}, explained: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := c.store
			if store == nil {
				store = budget.NewMemoryStore()
			}
			gate := budget.NewGate("main", budget.New("main", limits, store), budget.GateConfig{FailuresToOpen: 2, MinProbeWait: 20 * time.Second})
			for _, status := range c.statuses {
				if done, err := gate.Enter(t.Context(), budget.Request{}); err == nil {
					done(budget.Result{Status: status, Wait: c.paused})
				}
			}
			in := hostedInstance(t, "none", runtime.Host{Gate: gate}, func() error { return nil })
			_, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{}, in)
			if c.deferred {
				w.deferredUntil = time.Now().Add(time.Minute)
			}
			list, explained := w.gateFindingsLocked(time.Now())
			assert.Equal(t, c.want, codesOf(list), name)
			assert.Equal(t, c.explained, explained, name)
			for _, f := range list {
				assert.Equal(t, "main", f.Instance)
				if f.Code == CodeDown {
					assert.Equal(t, []any{time.Now(), time.Now().Add(20 * time.Second)}, []any{f.Since, f.Until}, name)
				}
			}
			s := Status{}
			s.addLimitsLocked(w, time.Now())
			require.NotNil(t, s.Limits, name)
			assert.Equal(t, len(c.statuses) > 0 && c.statuses[0] == 503, !s.Limits.DownSince.IsZero(), name)
			time.Sleep(20 * time.Second)
			if list, _ = w.gateFindingsLocked(time.Now()); len(list) == 1 && list[0].Code == CodeDown {
				assert.Zero(t, list[0].Until, "it may be tried now")
			}
			assert.Equal(t, !s.Limits.DownSince.IsZero() || c.paused > 0, w.waits(), name)
		})
	}
}

// TestStatusIsSorted checks that the instances are listed by id.
func TestStatusIsSorted(t *testing.T) {
	r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{}, accepts(t))
	for range 20 { // the order of the workers is random
		r.workers = map[string]*worker{"main": w, "b": {runner: r, id: "b", instance: w.instance, dispatcher: w.dispatcher, mu: w.mu}, "a": {runner: r, id: "a", instance: w.instance, dispatcher: w.dispatcher, mu: w.mu}}
		var ids []string
		for _, s := range r.Status() {
			ids = append(ids, s.Instance)
		}
		require.Equal(t, []string{"a", "b", "main"}, ids)
	}
}

// TestSizesOfStreams checks that the stored bytes are listed by stream.
func TestSizesOfStreams(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	require.NoError(t, q.Append(t.Context(), []NewEvent{{Source: "web", Key: "u", Raw: make([]byte, 100)}}))
	require.NoError(t, q.dead.publishRecords(t.Context(), []record{{"dead.i.0.1-0-x", make([]byte, 1000)}}))
	sizes, err := q.Sizes()
	require.NoError(t, err)
	assert.Len(t, sizes, 3)
	assert.Zero(t, sizes["park"])
	assert.True(t, sizes["events"] > 100 && sizes["events"] < 1000 && sizes["dead"] > 1000, sizes)
}
