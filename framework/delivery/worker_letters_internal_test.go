package delivery

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// TestRequestsOfErasedUsersAreNotRecorded checks that nothing of a request is kept if one of its events is erased while it is sent.
func TestRequestsOfErasedUsersAreNotRecorded(t *testing.T) {
	for _, erased := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			sent := false
			failing := fault.FromStatus(400, "never")
			failing.Err = httpx.WithExchange(&httpx.Exchange{Method: "POST", URL: "https://a.example", Status: 400}, errors.New("never"))
			var records []VerdictRecord
			settings := Settings{Erased: func(event.Value) bool { return erased && sent }, OnVerdict: func(v VerdictRecord) { records = append(records, v) }}
			in := answeringInstance(t, func() error {
				sent = true
				time.Sleep(time.Second)
				return failing
			})
			r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, settings, in)
			p := w.own(0, checkpoint{Low: 1})
			p.addTasks(t, "u:a", 1, 0, false)
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
			assert.Equal(t, erased, r.IsSendingErased())
			time.Sleep(5 * time.Second)
			synctest.Wait()
			require.Len(t, records, 1)
			v := records[0]
			assert.Equal(t, map[bool]string{false: countDead, true: countSkipped}[erased], v.Outcome)
			assert.Equal(t, []any{erased, erased}, []any{v.Request == nil, v.Batch.Partial})
			assert.Equal(t, []any{1, time.Second}, []any{v.Batch.Events, v.Batch.Duration})
			assert.Empty(t, w.sending)
		})
	}
}

// TestExchangesOfVerdicts checks that the verdicts of one request share its record, which is bounded.
func TestExchangesOfVerdicts(t *testing.T) {
	long := bytes.Repeat([]byte("x"), maxBodyShown+100)
	a, b := &httpx.Exchange{Method: "POST", URL: "a", Body: long, Status: 400, ResponseBody: long}, &httpx.Exchange{URL: "b", Err: errors.New(string(long))}
	list := exchangesOf([]runtime.Verdict{{Request: a}, {}, {Request: b}, {Request: a}})
	require.Len(t, list, 4)
	assert.Nil(t, list[1])
	assert.Same(t, list[0], list[3])
	assert.NotSame(t, list[0], list[2])
	assert.Equal(t, []any{"POST", "a", 400, ""}, []any{list[0].Method, list[0].URL, list[0].Status, list[0].Error})
	for _, text := range []string{list[0].Body, list[0].Response, list[2].Error} {
		assert.True(t, strings.HasPrefix(text, "xxx") && len(text) <= maxBodyShown+10, len(text))
	}
}

// TestMergedLetters checks what a dead letter takes over from the stored one of its event: attempts, the first failure, replays, and the reason
// if it only waits again.
func TestMergedLetters(t *testing.T) {
	first, later := time.Unix(1000, 0), time.Unix(2000, 0)
	stored := &DeadLetter{Parked: true, Attempts: 3, First: first, At: first, Cause: fault.CauseIncomplete, Reason: "why", Code: "c", Status: 500, Request: &Exchange{URL: "u"}, Replays: []string{"5-0"}, verdictCount: 2}
	replay := func(letter *DeadLetter, seq uint64, command bool) *task {
		return &task{letter: letter, page: &page{seq: seq, holdsLetters: command}, eventIndex: 1, origin: position{4, 0}}
	}
	for name, c := range map[string]struct {
		made DeadLetter
		task *task
		want DeadLetter
	}{
		"none is stored":          {DeadLetter{Attempts: 1, First: later}, replay(nil, 7, false), DeadLetter{Attempts: 1, First: later, Replays: []string{"7-1"}}},
		"it has failed again":     {DeadLetter{Parked: true, Attempts: 1, First: later, Cause: fault.CauseEvicted}, replay(stored, 7, false), DeadLetter{Parked: true, Attempts: 4, First: first, Cause: fault.CauseEvicted, Verdicts: 3, Replays: []string{"5-0", "7-1"}}},
		"its letter was replayed": {DeadLetter{Attempts: 1, First: later}, replay(stored, 7, true), DeadLetter{Attempts: 4, First: first, Verdicts: 2, Replays: []string{"5-0", "7-1"}}},
		"it waits again": {DeadLetter{Parked: true, Cause: fault.CauseBehindParked, Reason: "waits", At: later}, replay(stored, 5, false),
			DeadLetter{Parked: true, Attempts: 3, First: first, At: first, Cause: fault.CauseIncomplete, Reason: "why", Code: "c", Status: 500, Request: stored.Request, Verdicts: 3, Replays: []string{"5-0", "5-1"}}},
		"it is spilled again": {DeadLetter{Parked: true, Cause: fault.CauseBehindSpilled, At: later}, replay(stored, 5, false),
			DeadLetter{Parked: true, Attempts: 3, First: first, At: first, Cause: fault.CauseIncomplete, Reason: "why", Code: "c", Status: 500, Request: stored.Request, Verdicts: 3, Replays: []string{"5-0", "5-1"}}},
		"it waits, and was dead": {DeadLetter{Parked: true, Cause: fault.CauseBehindParked, At: later}, replay(&DeadLetter{Cause: fault.CauseIncomplete, verdictCount: 1}, 5, false),
			DeadLetter{Parked: true, Cause: fault.CauseBehindParked, At: later, Verdicts: 2, Replays: []string{"5-1"}}},
	} {
		made := c.made
		made.inheritFrom(c.task)
		if made.Replays == nil {
			made.Replays = []string{}
		}
		assert.Equal(t, c.want, made, name)
	}
	assert.Equal(t, []string{"5-0"}, stored.Replays, "the stored letter is not changed")
	many := &DeadLetter{verdictCount: 1}
	for i := range maxReplays + 3 {
		next := &DeadLetter{}
		next.inheritFrom(replay(many, uint64(10+i), false))
		many = next
	}
	assert.Len(t, many.Replays, maxReplays)
	assert.Equal(t, "28-1", many.Replays[maxReplays-1], "the latest are kept")
	again := &DeadLetter{}
	again.inheritFrom(replay(many, 28, false))
	assert.Equal(t, many.Replays, again.Replays, "the same replay counts once")
	fresh := &DeadLetter{}
	fresh.inheritFrom(&task{letter: &DeadLetter{verdictCount: 1}, page: &page{seq: 9, holdsLetters: true}})
	assert.Empty(t, fresh.Replays, "a task that is no replay of the log has no mark")
}

// TestNewestStoredLetter checks that of the stored dead letters of an event the newest counts.
func TestNewestStoredLetter(t *testing.T) {
	log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
	_, w := newIdleRunner(t, log, 1, Settings{}, accepts(t))
	one := &task{partition: w.own(0, checkpoint{}), key: "k", letter: &DeadLetter{Seq: 5, Index: 2}}
	one.item.Subscription = w.instance.Plan.Subscriptions()[0]
	newest, err := w.loadStoredLetter(one)
	require.NoError(t, err)
	assert.Nil(t, newest)
	for i, kind := range []string{kindHeld, "", kindEvicted} {
		l := one.letterOfKind(kind)
		l.At = time.Unix(int64(1000+i%2), 0)
		data, err := json.Marshal(l)
		require.NoError(t, err)
		_, err = log.Append(t.Context(), l.streamName(), []eventlog.Write{{Subject: l.subjectFor(kind), Data: data}})
		require.NoError(t, err)
		newest, err = w.loadStoredLetter(one)
		require.NoError(t, err)
		assert.Equal(t, i > 0, newest.streamName() == deadStream, "the dead one is the newest")
	}
	for call := 1; call <= 3; call++ {
		log.arm(call)
		_, err = w.loadStoredLetter(one)
		assert.ErrorIs(t, err, errLogFails)
	}
	log.arm(0)
	assert.Len(t, one.letterSubjects(), 3)
}

// TestReasonsOfSkippedEventsAreLimited skips events with reasons that each name another id, as a destination may: the metric gets a limited number of
// counters, and counts all events.
func TestReasonsOfSkippedEventsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		_, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{Metrics: NewMetrics(registry)}, accepts(t))
		p := w.own(0, checkpoint{Low: 1})
		w.mu.Lock()
		defer w.mu.Unlock()
		for i := range 1000 {
			for _, reason := range []string{fmt.Sprint("there is no contact ", i), fault.CauseOptedOut.Text()} {
				p.countVerdictLocked(countSkipped, "all", fault.CauseOptedOut, reason)
			}
		}
		families, err := registry.Gather()
		require.NoError(t, err)
		counters, events := 0, 0.0
		for _, family := range families {
			if family.GetName() == "landfall_skipped_total" {
				for _, m := range family.GetMetric() {
					counters, events = counters+1, events+m.GetCounter().GetValue()
				}
			}
		}
		assert.Equal(t, []any{maxSkipReasons, 2000.0}, []any{counters, events})
	})
}
