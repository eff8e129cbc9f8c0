package delivery

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/dispatch"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// TestWhatVerdictsDo checks what a verdict does to its instance: a remote that asks to wait pauses it, a limit too, and a login that is
// missing suspends it.
func TestWhatVerdictsDo(t *testing.T) {
	for name, c := range map[string]struct {
		verdict           runtime.Verdict
		outcome           dispatch.Outcome
		pauses, suspended bool
		deferred          bool
		operation         string
		stopped           bool
	}{
		"it is delivered":                    {verdict: runtime.Verdict{Outcome: runtime.Delivered, Status: 200}, outcome: dispatch.Done},
		"it is delivered, with a wait":       {verdict: runtime.Verdict{Outcome: runtime.Delivered, Status: 200, RetryAfter: time.Minute}, outcome: dispatch.Done},
		"the remote asks to wait":            {verdict: runtime.Verdict{Outcome: runtime.Retry, Status: 429, RetryAfter: time.Minute}, outcome: dispatch.Retry, pauses: true},
		"it does not say for how long":       {verdict: runtime.Verdict{Outcome: runtime.Retry, Status: 429}, outcome: dispatch.Retry},
		"it is down for a time":              {verdict: runtime.Verdict{Outcome: runtime.Retry, Status: 503, RetryAfter: time.Minute}, outcome: dispatch.Retry},
		"a limit asks to wait":               {verdict: runtime.Verdict{Outcome: runtime.Retry, Status: 429, Code: fault.CodeDeferred, RetryAfter: time.Minute}, outcome: dispatch.NotSent, pauses: true, deferred: true},
		"a login is missing":                 {verdict: runtime.Verdict{Outcome: runtime.Retry, Status: 401, Code: fault.CodeLogin, Reason: "log in"}, outcome: dispatch.NotSent, suspended: true},
		"a login is missing, while it stops": {verdict: runtime.Verdict{Outcome: runtime.Retry, Status: 401, Code: fault.CodeLogin}, outcome: dispatch.NotSent, stopped: true},
		"the remote processes it":            {verdict: runtime.Verdict{Outcome: runtime.Pending, Operation: "op1"}, outcome: dispatch.Pending, operation: "op1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{}, accepts(t))
			if c.stopped {
				w.cancel()
			}
			one, verdict := &task{page: &page{}}, c.verdict
			w.mu.Lock()
			result := w.takeVerdictLocked(one, &verdict)
			w.mu.Unlock()
			stats := w.dispatcher.Stats()
			assert.Equal(t, []any{c.outcome, c.pauses, c.suspended, c.operation}, []any{result.Outcome, stats.PausedUntil.After(time.Now()), w.suspendReason != "", one.item.Operation}, name)
			assert.Equal(t, c.deferred, w.deferredUntil.After(time.Now()), name)
			assert.Equal(t, c.verdict, *one.verdict, name)
			assert.Equal(t, c.outcome == dispatch.Done, one.verdict == &verdict, "%s: the verdicts of its batch are not kept", name)
			w.cancel()
			w.goroutines.Wait()
		})
	}
}

// TestLongPausesAreLogged checks that a pause is logged once, if it is long enough to wonder about.
func TestLongPausesAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{MaxPause: minLoggedPause}, accepts(t))
		r.log = slog.New(slog.NewTextHandler(&logged, nil))
		for _, c := range []struct {
			asked time.Duration
			lines int
		}{{minLoggedPause - 1, 0}, {minLoggedPause, 0}, {time.Hour, 1}} {
			w.mu.Lock()
			w.pauseForLocked(c.asked)
			w.mu.Unlock()
			if c.asked == minLoggedPause {
				time.Sleep(minLoggedPause + 1) // the first one was under way
			}
			assert.Equal(t, c.lines, strings.Count(logged.String(), "\n"), c.asked)
		}
		assert.Contains(t, logged.String(), "asked=1h0m0s until="+time.Now().Add(minLoggedPause).UTC().Format(time.RFC3339))
		_, err := r.Resume("other")
		assert.ErrorIs(t, err, ErrUnknownInstance)
		waited, err := r.Resume("main")
		require.NoError(t, err)
		assert.True(t, waited)
		waited, err = r.Resume("main")
		require.NoError(t, err)
		assert.False(t, waited)
	})
}

// TestExhaustedKeys checks that a key whose first event has failed for too long is parked with the events behind it, and that nothing is
// taken while no more can be parked.
func TestExhaustedKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{RetryFor: 3 * time.Hour}, accepts(t))
		p := w.own(0, checkpoint{Low: 1})
		tasksOf := func(key string) (list []*dispatch.Task[*task]) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for range 2 {
				pg := &page{seq: p.nextPage, verdictsLeft: []uint16{1}, eventsLeft: 1, fullyRead: true}
				p.openPages, p.nextPage = append(p.openPages, pg), p.nextPage+1
				e, err := event.Parse([]byte(`{"userId":"a"}`))
				require.NoError(t, err)
				item := runtime.Item{Subscription: w.instance.Plan.Subscriptions()[0], Event: e}
				list = append(list, &dispatch.Task[*task]{Value: &task{partition: p, page: pg, key: key, item: item, verdict: &runtime.Verdict{Reason: "not yet", Cause: fault.CauseIncomplete}}})
			}
			return list
		}
		exhausted := func(list []*dispatch.Task[*task], o dispatch.Outcome) int {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.Exhausted(list, dispatch.Result{Outcome: o})
		}
		r.limits.parkingFullSince = time.Now()
		assert.Zero(t, exhausted(tasksOf("u:a"), dispatch.Retry))
		assert.Empty(t, p.parked.keys)
		r.limits.parkingFullSince = time.Time{}
		assert.Equal(t, 2, exhausted(tasksOf("u:a"), dispatch.Retry))
		assert.Equal(t, 2, exhausted(tasksOf("u:b"), dispatch.Pending))
		synctest.Wait()
		reasons := map[string][]string{}
		require.NoError(t, r.queue.DeadLetters(t.Context(), DeadLetterFilter{Parked: true}, func(l *DeadLetter) error { reasons[l.Key] = append(reasons[l.Key], l.Reason); return nil }))
		assert.Equal(t, map[string][]string{"u:a": {"not yet", parkedBehind.Reason}, "u:b": {"it takes longer than 3h0m0s: not yet", parkedBehind.Reason}}, reasons)
		assert.Equal(t, kindHeld, p.parked.kind(shortHash("u:a")))
	})
}

// TestStartedTasks checks how a new task starts: it is sent, refused, skipped, or parked behind its key, and which lane it has.
func TestStartedTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{}, accepts(t))
		p := w.own(0, checkpoint{Low: 1})
		w.dispatcher.Pause(time.Hour)
		p.parked.park(shortHash("u:parked"), kindHeld)
		p.parked.spill(shortHash("u:spilled"), "u:spilled")
		refused, skipped := runtime.Verdict{Outcome: runtime.Refused, Cause: fault.CauseIncomplete}, runtime.Verdict{Outcome: runtime.Skipped, Cause: fault.CauseSuppressed}
		e, err := event.Parse([]byte(`{"type":"track","userId":"a"}`))
		require.NoError(t, err)
		start := func(change func(*task)) *task {
			pg := &page{seq: p.nextPage, verdictsLeft: []uint16{1}, eventsLeft: 1, fullyRead: true}
			p.openPages, p.nextPage = append(p.openPages, pg), p.nextPage+1
			one := &task{partition: p, page: pg, key: "u:a", bytes: 100}
			one.item, _ = w.instance.Plan.Prepare(w.instance.Plan.Subscriptions()[0], e, 0)
			change(one)
			w.mu.Lock()
			w.startTaskLocked(one)
			w.mu.Unlock()
			synctest.Wait()
			return one
		}
		lane := func(change func(*task)) string { return strings.TrimPrefix(start(change).Lane.Name, "all\x00") }
		assert.Equal(t, "\x00u:a", lane(func(*task) {}), "sent alone, it waits for its key only")
		assert.Equal(t, "", lane(func(one *task) { one.item.BatchSize = 2 }))
		assert.Equal(t, "", lane(func(one *task) { one.item.Independent = true }))
		assert.Equal(t, "\x00background\x00u:a", lane(func(one *task) { one.page.replayed = true }))
		assert.Equal(t, "\x00", start(func(one *task) { one.key = "" }).Key, "events without a key have one as well")
		assert.Equal(t, []int{5, 500}, []int{p.taskCount, p.taskBytes})
		start(func(one *task) { one.refusal = &refused })
		start(func(one *task) { one.refusal = &skipped })
		start(func(one *task) { one.key = "u:parked" })
		start(func(one *task) { one.key, one.refusal = "u:spilled", &refused })
		assert.Equal(t, []int{5, 500}, []int{p.taskCount, p.taskBytes})
		assert.Equal(t, []int64{1, 1, 2}, []int64{p.counts[countDead], p.counts[countSkipped], p.counts[countParked]})
		causes := map[string]fault.Cause{}
		require.NoError(t, r.queue.DeadLetters(t.Context(), DeadLetterFilter{}, func(l *DeadLetter) error { causes[l.Key] = l.Cause; return nil }))
		assert.Equal(t, map[string]fault.Cause{"u:a": fault.CauseIncomplete, "u:parked": fault.CauseBehindParked, "u:spilled": fault.CauseBehindSpilled}, causes)
	})
}

// TestEventsWithoutTasks checks how the events of a page count that concern no subscription, and that replays map only what they ask for.
func TestEventsWithoutTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{}, accepts(t))
		p := w.own(0, checkpoint{Low: 1})
		lines := []string{`{"type":"track","messageId":"1"}`, `{"type":"track","messageId":"1"}`, `{"type":"page","messageId":"2"}`, `{}        `, `{"type":`, `{"type":"track"}`, `{"type":"track"}`}
		page := func(seq uint64, header map[string]string) *logPage {
			subject := "ev.web.0"
			if header != nil {
				subject = "ctl.main.0"
			}
			return newLogPage(eventlog.Message{Subject: subject, Sequence: seq, Header: header, Data: []byte(strings.Join(lines, "\n") + "\n")}, 0, r.queue.feeds.seed)
		}
		require.NoError(t, p.handlePage(page(1, nil)))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		assert.Equal(t, map[string]int64{countEvents: 7, countDelivered: 3, countDuplicate: 1, countUnmatched: 1, countSkipped: 1, countUnreadable: 1}, p.counts)
		totals := map[string]int64{}
		r.metrics.Totals(func(_, outcome string, n int64) { totals[outcome] += n })
		assert.Equal(t, map[string]int64{countDelivered: 3, countDuplicate: 1, countUnmatched: 1, countSkipped: 1, countUnreadable: 1}, totals)
		require.NoError(t, p.handlePage(page(2, map[string]string{opHeader: opReplayEvents, onlyHeader: "other"})))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		assert.Equal(t, []int64{7, 7, 3}, []int64{p.counts[countReplayed], p.counts[countEvents], p.counts[countDelivered]}, "no subscription has that name")
		require.NoError(t, p.handlePage(page(3, map[string]string{opHeader: opReplayEvents, onlyHeader: "all"})))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		assert.Equal(t, []int64{14, 1, 7}, []int64{p.counts[countReplayed], p.counts[countDuplicate], p.counts[countDelivered]}, "replayed events are no duplicates")
		assert.Empty(t, p.openPages)
	})
}

// TestEventsWithoutTasksDoNotWait checks that events which concern no subscription are finished although a later one of their page waits for space.
func TestEventsWithoutTasksDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answered := make(chan struct{})
		r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{MaxInFlight: 1}, answeringInstance(t, func() error { <-answered; return nil }))
		p, ended := w.own(0, checkpoint{Low: 1}), make(chan error)
		data := `{"type":"page"}` + "\n" + `{"type":"track","userId":"a"}` + "\n" + `{"type":"page"}` + "\n" + `{"type":"track","userId":"b"}` + "\n"
		go func() {
			ended <- p.handlePage(newLogPage(eventlog.Message{Subject: "ev.web.0", Sequence: 1, Data: []byte(data)}, 0, r.queue.feeds.seed))
		}()
		time.Sleep(time.Second)
		w.mu.Lock()
		assert.Equal(t, map[string]int64{countUnmatched: 2, countEvents: 2}, p.counts)
		w.mu.Unlock()
		close(answered)
		require.NoError(t, <-ended)
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, map[string]int64{countUnmatched: 2, countEvents: 4, countDelivered: 2}, p.counts)
	})
}

// TestStoppedEvents checks that an event which has stopped the process becomes a dead letter of the subscriptions that it may match, or of
// the one that a replay asks for.
func TestStoppedEvents(t *testing.T) {
	_, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{}, accepts(t))
	e, err := event.Parse([]byte(`{"type":"track","userId":"a"}`))
	require.NoError(t, err)
	for only, want := range map[string]int{"": 1, "all": 1, "other": 0} {
		r := &pageReader{partition: w.own(0, checkpoint{}), page: &page{}, onlySubscription: only, events: []parsedEvent{2: {source: "web"}}}
		list := r.refuseStopped(2, e)
		require.Len(t, list, want, only)
		for _, one := range list {
			assert.Equal(t, []any{stoppedProcess, 2, "web", "u:a"}, []any{*one.refusal, one.eventIndex, one.source, one.key})
		}
	}
}

// TestSizesOfTasks checks that a task counts with its event and its payload, which both need memory until it is finished.
func TestSizesOfTasks(t *testing.T) {
	_, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{}, accepts(t))
	p := w.own(0, checkpoint{Low: 1})
	for _, id := range []string{"a", strings.Repeat("a", 1000)} {
		e, err := event.Parse([]byte(`{"type":"track","userId":"` + id + `"}`))
		require.NoError(t, err)
		item, refused := w.instance.Plan.Prepare(w.instance.Plan.Subscriptions()[0], e, 0)
		require.Nil(t, refused)
		one := (&pageReader{partition: p, page: &page{}, events: make([]parsedEvent, 1)}).newTask(0, e, item, nil)
		assert.Greater(t, one.bytes, len(e.Raw())+len(id), "the payload has the id, too")
	}
}

// TestCrashesAreBounded checks how many crashes are remembered.
func TestCrashesAreBounded(t *testing.T) {
	n, err := newMappingNotes(t.TempDir())
	require.NoError(t, err)
	for i := range maxCrashSites + 5 {
		n.crashes[crashSite{Seq: uint64(i + 1)}] = 1
	}
	require.NoError(t, n.writeCrashesLocked())
	again, err := newMappingNotes(n.dir)
	require.NoError(t, err)
	assert.Len(t, again.crashes, maxCrashSites)
	assert.True(t, again.hasCrashes.Load())
	assert.Nil(t, openMappingNotes("", slog.Default()))
	assert.Nil(t, openMappingNotes(n.dir+"/"+mappingFile, slog.New(slog.DiscardHandler)), "it is no directory")
}

// TestWaitsOfBatches checks which event's waits are observed: those of the oldest that was neither replayed nor parked.
func TestWaitsOfBatches(t *testing.T) {
	begin := time.Unix(1000, 0)
	at := func(accepted, read int) *page {
		return &page{acceptedMillis: begin.Add(time.Duration(accepted) * time.Second).UnixMilli(), readAt: begin.Add(time.Duration(read) * time.Second)}
	}
	replayed, letters := at(0, 0), at(0, 0)
	replayed.replayed, letters.holdsLetters = true, true
	for _, c := range []struct {
		pages []*page
		want  map[string]float64
	}{
		{[]*page{replayed, letters}, map[string]float64{}},
		{[]*page{at(5, 7), replayed, at(3, 8), letters, at(4, 9)}, map[string]float64{"read": 5, "send": 2, "verdict": 0.5}},
		{[]*page{at(9, 8)}, map[string]float64{"read": 0, "send": 2, "verdict": 0.5}},
	} {
		m := NewMetrics(prometheus.NewRegistry())
		var list []*dispatch.Task[*task]
		for _, pg := range c.pages {
			list = append(list, &dispatch.Task[*task]{Value: &task{page: pg}})
		}
		m.observeWaits("i", list, begin.Add(10*time.Second), 500*time.Millisecond)
		got := map[string]float64{}
		metrics := make(chan prometheus.Metric, 9)
		m.waits.Collect(metrics)
		close(metrics)
		for one := range metrics {
			var read dto.Metric
			require.NoError(t, one.Write(&read))
			assert.EqualValues(t, 1, read.GetHistogram().GetSampleCount())
			for _, l := range read.GetLabel() {
				if l.GetName() == "stage" {
					got[l.GetValue()] = read.GetHistogram().GetSampleSum()
				}
			}
		}
		assert.Equal(t, c.want, got)
	}
}

// TestNewCheckpoints checks where a new instance starts: behind what was accepted before, and that an existing one is left as it is.
func TestNewCheckpoints(t *testing.T) {
	log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
	r, w := newIdleRunner(t, log, 2, Settings{}, accepts(t))
	require.NoError(t, r.createCheckpoints(t.Context(), []Instance{w.instance}))
	info, err := log.Info(t.Context(), eventsStream)
	require.NoError(t, err)
	stored, err := r.queue.checkpointsOf(t.Context(), "main")
	require.NoError(t, err)
	for n := range 2 {
		assert.Equal(t, checkpoint{Low: 1, Start: 1, LogCreated: info.Created.UnixNano()}, stored[n].checkpoint)
	}
	require.NoError(t, r.queue.Append(t.Context(), []NewEvent{{Source: "web", Key: "u", Raw: []byte("{}")}}))
	_, err = r.queue.ForgetInstance(t.Context(), "main")
	require.NoError(t, err)
	r.leases.forgetSubject(checkpointSubject("main", 1))
	require.NoError(t, r.createCheckpoints(t.Context(), []Instance{w.instance}))
	stored, err = r.queue.checkpointsOf(t.Context(), "main")
	require.NoError(t, err)
	require.Len(t, stored, 1, "the other one is known")
	info, err = log.Info(t.Context(), eventsStream)
	require.NoError(t, err)
	assert.Equal(t, checkpoint{Low: 2, Start: 2, LogCreated: info.Created.UnixNano(), Anchor: &anchor{1, info.LastTime.UnixNano()}}, stored[1].checkpoint)
	for call := 1; call <= 2; call++ {
		r.leases.forgetSubject(checkpointSubject("main", 0))
		log.arm(call)
		assert.ErrorIs(t, r.createCheckpoints(t.Context(), []Instance{w.instance}), errLogFails)
	}
	log.arm(0)
	assert.True(t, r.Runs(w.instance.Plan))
	assert.False(t, r.Runs(accepts(t).Plan), "another plan of the instance")
	delete(r.workers, "main")
	assert.False(t, r.Runs(w.instance.Plan))
	r.workers["main"] = w
}
