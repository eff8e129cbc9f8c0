package delivery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/fault"
)

// TestBoundsOfRecords checks how much is recorded of requests that succeed: of a batch, and of an instance in a second.
func TestBoundsOfRecords(t *testing.T) {
	var limit recordLimit
	second := time.Unix(1000, 0)
	for i := range maxRecordedBatches + 2 {
		assert.Equal(t, i < maxRecordedBatches, limit.take(second.Add(time.Duration(i)*time.Millisecond)), i)
	}
	assert.True(t, limit.take(second.Add(time.Second)), "another second")

	recorder := batchRecorder{batch: &Batch{}}
	for i := range maxBatchRequests + 2 {
		assert.Equal(t, i > maxBatchRequests, recorder.batch.Partial, i)
		recorder.observe(httpx.Exchange{Method: "POST", URL: fmt.Sprint("https://a.example/", i)})
	}
	assert.Len(t, recorder.batch.Requests, maxBatchRequests)
	assert.Equal(t, "https://a.example/0", recorder.batch.Requests[0].URL)
	assert.True(t, recorder.batch.Partial)
}

// TestLatestVerdicts checks which verdicts a process remembers, and their order.
func TestLatestVerdicts(t *testing.T) {
	r := &Runner{}
	all := func(*VerdictRecord) bool { return true }
	assert.Empty(t, r.Verdicts(10, all))
	for i := range MaxVerdicts + 3 {
		r.verdicts.addVerdict(VerdictRecord{Index: i})
	}
	list := r.Verdicts(MaxVerdicts+10, all)
	assert.Len(t, list, MaxVerdicts)
	for i, v := range list {
		assert.Equal(t, MaxVerdicts+2-i, v.Index)
	}
	even := r.Verdicts(3, func(v *VerdictRecord) bool { return v.Index%2 == 0 })
	assert.Equal(t, []int{MaxVerdicts + 2, MaxVerdicts, MaxVerdicts - 2}, []int{even[0].Index, even[1].Index, even[2].Index})
	assert.Len(t, even, 3)
}

// TestVerdictsForgetUsers checks that nothing of an erased user is left in the verdicts of this process, and that those of others stay.
func TestVerdictsForgetUsers(t *testing.T) {
	exchange := func(user string, in int) *Exchange {
		x := &Exchange{Method: "POST", URL: "u", Body: "b", Response: "r", Error: "e"}
		*[]*string{&x.URL, &x.Body, &x.Response, &x.Error}[in] += user
		return x
	}
	r := &Runner{}
	r.verdicts.addVerdict(VerdictRecord{Key: "u:gone", Instance: "i", Subscription: "s", Outcome: "dead", Cause: fault.CauseIncomplete, Reason: "r", Seq: 7, Index: 1, Request: exchange("", 0), Batch: &Batch{}})
	for in := range 4 {
		r.verdicts.addVerdict(VerdictRecord{Key: "u:other", Reason: "no gone", Cause: fault.CauseIncomplete, Request: exchange("gone", in),
			Batch: &Batch{Requests: []*Exchange{exchange("gone", in), exchange("other", in)}}})
	}
	kept := VerdictRecord{Key: "u:other", Reason: "no", Request: exchange("other", 1), Batch: &Batch{Requests: []*Exchange{exchange("other", 1)}}}
	r.verdicts.addVerdict(kept)
	r.verdicts.addVerdict(VerdictRecord{Key: "u:plain"})
	r.ForgetVerdicts(func(text string) bool { return strings.Contains(text, "gone") })

	list := r.Verdicts(10, func(*VerdictRecord) bool { return true })
	assert.Equal(t, VerdictRecord{Key: "u:plain"}, list[0])
	assert.Equal(t, kept, list[1])
	for _, v := range list[2:6] {
		assert.Nil(t, v.Request)
		assert.Equal(t, fault.CauseIncomplete.Text(), v.Reason)
		assert.True(t, v.Batch.Partial)
		assert.Len(t, v.Batch.Requests, 1)
		assert.False(t, v.Batch.Requests[0].HasText(func(text string) bool { return strings.Contains(text, "gone") }))
	}
	assert.Equal(t, VerdictRecord{Key: erasedKey, Instance: "i", Subscription: "s", Outcome: "dead", Cause: fault.CauseIncomplete}, list[6])
}

// TestTotals checks that the counters of verdicts and of retries are told apart by instance and outcome.
func TestTotals(t *testing.T) {
	m := NewMetrics(nil)
	m.verdicts.WithLabelValues("i", "a", "s1", "delivered").Add(2)
	m.verdicts.WithLabelValues("i", "a", "s2", "delivered").Add(3)
	m.verdicts.WithLabelValues("j", "a", "s1", "dead").Inc()
	m.retries.WithLabelValues("i", "a", "s1").Add(4)
	totals := map[string]int64{}
	m.Totals(func(instance, outcome string, n int64) { totals[instance+" "+outcome] += n })
	assert.Equal(t, map[string]int64{"i delivered": 5, "j dead": 1, "i retried": 4}, totals)
}

func TestUsersOfKeys(t *testing.T) {
	for key, want := range map[string]string{
		"u:1": "1", "a:b": "b", "m:c": "c", "audience 7 u:1": "1", "audience 7 a:b": "b", "audience 7 m:c": "c", "u: u:1": " u:1", "other": "other", "": "",
	} {
		assert.Equal(t, want, UserOf(key), key)
		assert.Equal(t, want, VerdictRecord{Key: key}.User())
	}
}

// TestTokensOfSubjects checks that any id can be part of a subject, and that different ids have different ones.
func TestTokensOfSubjects(t *testing.T) {
	seen := map[string]string{}
	for _, id := range []string{"", "=", "a", "A", "z", "Z", "0", "9", "a-b_c", "a.b", "a b", "*", ">", "é", "a=2Eb", "=2E", "`", "{", "@", "[", "/", ":", "\x00"} {
		token := subjectToken(id)
		assert.Regexp(t, `^[A-Za-z0-9_=-]+$`, token)
		assert.Equal(t, id, parseToken(token))
		assert.Empty(t, seen[token], "%q and %q", seen[token], id)
		seen[token] = id
	}
	assert.Equal(t, "a-b_c", subjectToken("a-b_c"), "it stays readable")
	assert.Equal(t, []string{"book.i=2E.3", "ctl.i=2E.3", "park.i=2E.3", "dead.i=2E.3"},
		[]string{checkpointSubject("i.", 3), commandSubject("i.", 3), parkSubject("i.", 3), deadSubject("i.", 3)})
}

// TestOriginsOfReplayedEvents checks that the positions of replayed events survive in a header, and that a text which does not fit is not believed,
// however many positions it claims.
func TestOriginsOfReplayedEvents(t *testing.T) {
	for want, list := range map[string][]position{
		"": nil, "7:3-3": {{7, 3}}, "7:0-2": {{7, 0}, {7, 1}, {7, 2}}, "7:0-0 7:2-2 8:3-3": {{7, 0}, {7, 2}, {8, 3}}, "7:1-1 7:0-0": {{7, 1}, {7, 0}}, "7:0-1 7:1-1": {{7, 0}, {7, 1}, {7, 1}},
	} {
		var o origins
		for _, p := range list {
			o.addPosition(p)
		}
		assert.Equal(t, want, o.String())
		assert.Equal(t, append([]position{}, list...), parseOrigins(want, len(list)))
	}
	for _, wrong := range []string{"", "7:0-0", "7:0-2", "7:0-0 7:1-1 7:2-2", "7", "7:0", "x:0-1", "7:x-1", "7:0-x", "7:-1-0", "-7:0-1", "7:0-1 x"} {
		assert.Nil(t, parseOrigins(wrong, 2), wrong)
	}
	assert.Less(t, testing.AllocsPerRun(1, func() { parseOrigins("7:0-2000000", 2) }), 10.0)
}

// TestWaitingForTheJournal checks that settle returns when all that was written before is in the log, and not before, unless a transfer fails while it waits.
func TestWaitingForTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := errors.New("the transfer failed")
		j := &journal{written: 2, failure: failed, moved: make(chan struct{}), hurry: make(chan struct{}, 1)}
		begin := func(ctx context.Context) (ended func() bool, result *error) {
			done, err := make(chan struct{}), new(error)
			go func() { defer close(done); *err = j.settle(ctx) }()
			return func() bool {
				synctest.Wait()
				select {
				case <-done:
					return true
				default:
					return false
				}
			}, err
		}
		move := func(transferred uint64, failure error) {
			j.mu.Lock()
			defer j.mu.Unlock()
			close(j.moved)
			j.transferred, j.failure, j.moved = transferred, failure, make(chan struct{})
		}
		ended, err := begin(t.Context())
		assert.False(t, ended(), "an earlier failure does not count")
		assert.Len(t, j.hurry, 1, "the transfer is not to wait")
		move(1, nil)
		assert.False(t, ended())
		move(2, nil)
		assert.True(t, ended())
		assert.NoError(t, *err)

		j.written = 3
		ended, err = begin(t.Context())
		assert.False(t, ended())
		move(2, failed)
		assert.True(t, ended())
		assert.ErrorIs(t, *err, failed)
		j.failure = ErrFull
		ended, err = begin(t.Context())
		assert.True(t, ended())
		assert.ErrorIs(t, *err, ErrFull)
		j.failure = nil
		ctx, cancel := context.WithCancel(t.Context())
		ended, err = begin(ctx)
		assert.False(t, ended())
		cancel()
		assert.True(t, ended())
		assert.ErrorIs(t, *err, context.Canceled)
	})
}

// TestSpaceInTheJournal checks when a request waits for the journal: while as much as allowed waits to be transferred. It is refused while the log is full.
func TestSpaceInTheJournal(t *testing.T) {
	for _, c := range []struct {
		bytes   int
		failure error
		want    error
	}{
		{0, nil, nil}, {maxJournaled - 1, nil, nil}, {maxJournaled, nil, context.DeadlineExceeded}, {0, errors.New("the disk is slow"), nil}, {0, fmt.Errorf("append: %w", ErrFull), ErrFull}, {maxJournaled, ErrFull, ErrFull},
	} {
		synctest.Test(t, func(t *testing.T) {
			j := &journal{bytes: c.bytes, failure: c.failure, moved: make(chan struct{}), hurry: make(chan struct{}, 1)}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			assert.ErrorIs(t, j.waitForSpace(ctx), c.want, c)
		})
	}
}

// TestRecordsOfBatches checks that a batch whose requests are not recorded says so: a reader must not take it for one without requests.
func TestRecordsOfBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &worker{runner: &Runner{}}
		ctx, none := w.recordBatch(t.Context(), 1)
		assert.Nil(t, none, "no verdict is recorded")
		assert.Equal(t, t.Context(), ctx)
		w.runner.settings.OnVerdict = func(VerdictRecord) {}
		for i := range maxRecordedBatches + 3 {
			ctx, b := w.recordBatch(t.Context(), 5)
			assert.Equal(t, []any{5, time.Now(), i >= maxRecordedBatches}, []any{b.Events, b.At, b.Partial}, i)
			assert.Equal(t, b.Partial, ctx == t.Context())
		}
		time.Sleep(time.Second)
		_, b := w.recordBatch(t.Context(), 1)
		assert.False(t, b.Partial)
	})
}
