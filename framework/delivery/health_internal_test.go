package delivery

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/fault"
)

// troubledLog is a log whose connection or streams have failed.
type troubledLog struct {
	*memlog.Log
	disconnected bool
	failed       map[string]error // by stream
}

func (l *troubledLog) Connected() bool { return !l.disconnected }

func (l *troubledLog) WriteFailure(stream string) (time.Time, error) {
	return time.Unix(1000, 0), l.failed[stream]
}

// TestFindingsAboutTheLog checks what each failure of the log stops, and what is said to do about it.
func TestFindingsAboutTheLog(t *testing.T) {
	for _, shared := range []bool{false, true} {
		log := &troubledLog{Log: memlog.New(memlog.Options{Shared: shared}).Connect()}
		r, w := newIdleRunner(t, log, 1, Settings{}, accepts(t))
		q := r.queue
		health := func() Health { return r.Health(t.Context()) }
		h := health()
		assert.Equal(t, Health{Ready: true, Ingesting: true, Delivering: true, Findings: []Finding{}}, h)
		for stream, stops := range map[string]string{eventsStream: StopsIngest, journalStream: StopsIngest, checkpointsStream: StopsDelivery, parkStream: StopsDelivery, deadStream: StopsDelivery} {
			log.failed = map[string]error{stream: errors.New("no space")}
			h = health()
			require.Len(t, h.Findings, 1)
			f := h.Findings[0]
			assert.Equal(t, []any{CodeUnwritable, stops, "no space", time.Unix(1000, 0)}, []any{f.Code, f.Stops, f.Message, f.Since})
			if shared {
				assert.Contains(t, f.Next, "NATS servers")
			} else {
				assert.Contains(t, f.Next, "disk")
			}
			assert.Equal(t, []bool{false, stops == StopsDelivery, stops == StopsIngest}, []bool{h.Ready, h.Ingesting, h.Delivering})
		}
		log.failed = nil

		log.disconnected = true
		h = health()
		assert.Equal(t, []Code{CodeDisconnected}, codesOf(h.Findings))
		assert.Equal(t, []bool{false, false, false}, []bool{h.Ready, h.Ingesting, h.Delivering})
		require.Error(t, q.Ready())
		log.disconnected = false
		require.NoError(t, q.Ready())

		q.fullSince.Store(time.Now().UnixNano())
		h = health()
		assert.Equal(t, []Code{CodeLogFull}, codesOf(h.Findings))
		assert.Equal(t, []bool{false, false, true}, []bool{h.Ready, h.Ingesting, h.Delivering})
		q.fullSince.Store(time.Now().Add(-fullFor).UnixNano())
		assert.Empty(t, health().Findings, "it has accepted events since")

		q.monitor.state.Lost = []LostRange{{First: 3, Last: 4}}
		q.monitor.addBadCheckpoint(plannedRepair{subject: "book.main.0", BadCheckpoint: BadCheckpoint{Instance: "main"}})
		h = health()
		assert.Equal(t, []Code{CodeCheckpoints, CodeLost}, codesOf(h.Findings))
		assert.Equal(t, []string{StopsDelivery, ""}, []string{h.Findings[0].Stops, h.Findings[1].Stops})
		assert.True(t, h.Ingesting)
		q.monitor.state.Lost = nil
		q.monitor.clearBadCheckpoint("book.main.0")

		r.limits.parkingFullSince, r.limits.nearLimit = time.Unix(2000, 0), "size"
		w.suspendReason = "the token has expired"
		h = health()
		assert.Equal(t, []Code{CodeDeadLettersNear, CodeParkedFull, CodeLogin}, codesOf(h.Findings), "those of instances last")
		assert.True(t, h.Ready)
		assert.Equal(t, "main: nothing is sent: the token has expired: run landfall auth login --instance main", h.Findings[2].Text())
		assert.Contains(t, h.Findings[0].Message, "since their size is near its limit")
		assert.Equal(t, time.Unix(2000, 0), h.Findings[1].Since)
	}
}

func TestTextOfAFinding(t *testing.T) {
	at := time.Unix(3600, 0)
	for want, f := range map[string]Finding{
		"m: n":    {Message: "m", Next: "n"},
		"i: m: n": {Instance: "i", Message: "m", Next: "n"},
		"no ingest: m since 1970-01-01T01:00:00Z: n":                 {Stops: StopsIngest, Message: "m", Since: at, Next: "n"},
		"no delivery: i: m until 1970-01-01T01:00:00Z: n":            {Stops: StopsDelivery, Instance: "i", Message: "m", Until: at, Next: "n"},
		"m since 1970-01-01T01:00:00Z until 1970-01-01T01:00:00Z: n": {Message: "m", Since: at, Until: at, Next: "n"},
	} {
		assert.Equal(t, want, f.Text())
	}
}

// TestChecksAreCached checks that additional checks run at most once in a second, each with a deadline that does not depend on the caller's.
func TestChecksAreCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		checks := []Check{
			{Code: CodeState, Stops: StopsDelivery, Next: "start it", Run: func(ctx context.Context) error { runs++; <-ctx.Done(); return ctx.Err() }},
			{Run: func(context.Context) error { return nil }},
		}
		var c checkCache
		caller, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		want := []Finding{{Code: CodeState, Stops: StopsDelivery, Message: context.DeadlineExceeded.Error(), Next: "start it"}}
		assert.Equal(t, want, c.runChecks(caller, checks))
		assert.Equal(t, checkTimeout, time.Since(began))
		time.Sleep(checkCacheFor - 1)
		assert.Equal(t, want, c.runChecks(t.Context(), checks))
		assert.Equal(t, 1, runs)
		time.Sleep(time.Nanosecond)
		assert.Equal(t, want, c.runChecks(t.Context(), checks), "the earlier result is not kept as well")
		assert.Equal(t, 2, runs)
	})
}

// TestFindingsAboutPartitions checks that each instance has one finding of a kind, with all its partitions and the earliest time, and that
// a short time without an owner is none.
func TestFindingsAboutPartitions(t *testing.T) {
	now := time.Unix(1000, 0)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	s := survey{
		unowned: map[partitionID]*unownedPartition{
			{"a", 3}: {since: ago(unownedGrace)}, {"a", 1}: {since: ago(time.Minute)}, {"a", 2}: {since: ago(unownedGrace - 1)}, {"b", 0}: {since: ago(0)},
		},
		stalled: map[partitionID]time.Time{{"b", 7}: ago(time.Hour), {"b", 5}: ago(time.Minute)},
	}
	found := map[Code]Finding{}
	list := s.partitionFindings(now)
	for _, f := range list {
		assert.Equal(t, StopsDelivery, f.Stops)
		found[f.Code] = f
	}
	require.Len(t, list, 2)
	assert.Equal(t, []any{"a", []int{1, 3}, ago(time.Minute), "no process works on partitions 1, 3"}, []any{found[CodeNoOwner].Instance, found[CodeNoOwner].Partitions, found[CodeNoOwner].Since, found[CodeNoOwner].Message})
	assert.Equal(t, []any{"b", []int{5, 7}, ago(time.Hour)}, []any{found[CodeStalled].Instance, found[CodeStalled].Partitions, found[CodeStalled].Since})
	assert.Contains(t, found[CodeStalled].Message, "in partitions 5, 7 though")

	s = survey{unreadable: errLogFails, since: ago(time.Second)}
	list = s.partitionFindings(now)
	assert.Equal(t, []Finding{{Code: CodeUnreadable, Stops: StopsDelivery, Since: ago(time.Second), Message: "the log cannot be read: the log fails", Next: "see the log of the server"}}, list)
}

func TestTextOfPartitions(t *testing.T) {
	many := []int{0, 1, 2, 3, 4, 5, 6, 7, 8}
	for want, list := range map[string][]int{
		"partition 4": {4}, "partitions 1, 3": {1, 3}, "partitions 0, 1, 2, 3, 4, 5, 6, 7": many[:8], "9 partitions (0, 1, 2, 3, 4, 5, 6, 7, …)": many,
	} {
		assert.Equal(t, want, partitionsText(list), fmt.Sprint(list))
	}
}

// TestFindingsOfAnInstance checks when an instance counts as paused or as retrying.
func TestFindingsOfAnInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, r := deliverTo(t, Settings{MinBackoff: time.Hour, MaxBackoff: time.Hour}, answeringInstance(t, func() error { return fault.FromStatus(503, "busy") }))
		w := r.workers["main"]
		assert.Empty(t, findingCodes(r))
		appendEvent(t, q, "a")
		list := w.instanceFindings(time.Now())
		require.Len(t, list, 1)
		assert.Equal(t, CodeRetrying, list[0].Code)
		assert.True(t, list[0].Until.After(time.Now()))
		w.dispatcher.Pause(time.Minute)
		list = w.instanceFindings(time.Now())
		assert.Equal(t, []Code{CodePaused}, codesOf(list), "nothing is retried meanwhile")
		assert.Equal(t, time.Now().Add(time.Minute), list[0].Until)
		time.Sleep(time.Minute)
		assert.Equal(t, []Code{CodeRetrying}, findingCodes(r))
	})
}
