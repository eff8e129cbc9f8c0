package stream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/stream"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/internal/author/sample"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const definition = `
name: Acme
slug: acme
mode: cloud
authentication: {scheme: none}
actions:
  send:
    title: Send
    fields:
      id: {label: ID, type: string, required: true, default: {"@path": $.userId}}
      batch_size: {label: Batch Size, type: integer, default: {"@path": $.size}}
      batch_bytes: {label: Batch Bytes, type: integer, default: {"@path": $.bytes}}
`

type record struct{ id string }

func (r *record) Decode(v event.Value) { r.id = v.Get("id").Str() }

// plan returns a plan whose batches are handled by a function.
func plan(t *testing.T, answer func(ids []string) (*destination.MultiStatus, error), subscribe ...string) *runtime.Plan {
	var list []string
	for i, q := range subscribe {
		list = append(list, fmt.Sprintf(`{"name":"s%d","action":"send","subscribe":%q}`, i, q))
	}
	return planOf(t, answer, `{"id":"i","subscriptions":[`+strings.Join(list, ",")+`]}`)
}

func run(t *testing.T, p *runtime.Plan, input string) ([]stream.Event, stream.Summary) {
	var told []stream.Event
	var summary stream.Summary
	runner := stream.New(stream.Config{Plans: []*runtime.Plan{p}, Retry: stream.Retry{Attempts: 4, Backoff: time.Millisecond}, OnEvent: func(e stream.Event) error {
		told = append(told, e)
		summary.Add(e)
		return nil
	}})
	require.NoError(t, runner.Run(context.Background(), strings.NewReader(input)))
	return told, summary
}

func TestEveryLineIsReportedInOrder(t *testing.T) {
	p := plan(t, func([]string) (*destination.MultiStatus, error) { return nil, nil }, `type = "a"`, `type = "b"`)
	told, summary := run(t, p, "{\"type\":\"a\",\"userId\":\"1\"}\n\n{\"type\":\"x\"}\r\n{nope\n{\"type\":\"b\",\"userId\":\"2\",\"size\":1}\n{\"type\":\"b\"}\n{\"type\":\"a\",\"userId\":\"3\"}")
	var lines []string
	for _, e := range told {
		require.Len(t, e.Verdicts, 1)
		v := e.Verdicts[0]
		lines = append(lines, fmt.Sprintf("%d line %d %s %s %s", e.Index, e.Line, v.Subscription, v.Outcome, v.Reason))
	}
	assert.Equal(t, []string{
		"0 line 1 s0 delivered ", "1 line 3  skipped the event matches no subscription",
		"2 line 4  refused the line is not a valid event: expected a key in quotes at byte 1", "3 line 5 s1 delivered ",
		"4 line 6 s1 refused ID is required but missing", "5 line 7 s0 delivered ",
	}, lines)
	assert.Equal(t, []int{6, 4, 3, 1, 2, 0}, []int{summary.Events, summary.Matched, summary.Delivered, summary.Skipped, summary.Refused, summary.Failed})
}

func TestWithoutSubscriptionsEventsAreSkipped(t *testing.T) {
	_, summary := run(t, plan(t, nil), "{}\n{}")
	assert.Equal(t, []int{2, 0, 2, 0}, []int{summary.Events, summary.Matched, summary.Skipped, summary.Failed})
}

func TestRetriesKeepOrder(t *testing.T) {
	var sent []string
	tries := map[string]int{}
	p := plan(t, func(ids []string) (*destination.MultiStatus, error) {
		sent = append(sent, strings.Join(ids, ","))
		ms := destination.NewMultiStatus(len(ids))
		for i, id := range ids {
			tries[id]++
			switch {
			case id == "slow" && tries[id] < 3:
				ms.Fail(i, fault.FromStatus(503, "down"))
			case id == "never":
				ms.Fail(i, fault.FromStatus(429, "no"))
			case id == "bad":
				ms.Fail(i, fault.FromStatus(400, "bad"))
			default:
				ms.Deliver(i)
			}
		}
		return ms, nil
	}, `userId != null`)
	_, summary := run(t, p, `{"userId":"a","size":3}
{"userId":"slow","size":3}
{"userId":"bad","size":3}
{"userId":"never","size":2}
{"userId":"b","size":2}`)
	assert.Equal(t, []string{"a,slow,bad", "slow", "slow", "never,b", "never", "never", "never"}, sent)
	assert.Equal(t, []int{3, 0, 1, 1}, []int{summary.Delivered, summary.Skipped, summary.Refused, summary.Failed})
	assert.Equal(t, []stream.Reason{{Outcome: runtime.Refused, Cause: fault.CauseRefused, Reason: "bad", Count: 1, Line: 3}, {Outcome: runtime.Retry, Cause: fault.CauseRateLimited, Reason: "no", Count: 1, Line: 4}}, summary.Reasons())
}

func TestManyEventsInBoundedMemory(t *testing.T) {
	largest := 0
	p := plan(t, func(ids []string) (*destination.MultiStatus, error) {
		largest = max(largest, len(ids))
		return nil, nil
	}, `userId != null`)
	const n = 3*stream.MaxWaiting + 17
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, `{"userId":"u%d"}`+"\n", i%5000)
	}
	_, summary := run(t, p, lines.String())
	assert.Equal(t, n, summary.Delivered)
	assert.Equal(t, runtime.MaxBatch, largest)
	largest = 0
	_, summary = run(t, p, strings.Repeat("{\"userId\":\"u\"}\n", n))
	assert.Equal(t, n, summary.Delivered)
	assert.Equal(t, 1, largest, "events of one user are sent one after the other")
}

func TestOversizedLineIsRefusedAlone(t *testing.T) {
	p := plan(t, func([]string) (*destination.MultiStatus, error) { return nil, nil }, `userId != null`)
	told, summary := run(t, p, "{\"userId\":\""+strings.Repeat("x", event.MaxBytes)+"\"}\n{\"userId\":\"u\"}\n")
	assert.Equal(t, 1, summary.Delivered)
	assert.Contains(t, told[0].Verdicts[0].Reason, "larger than 10 MB")
}

func TestInterruptedRunStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	p := plan(t, func([]string) (*destination.MultiStatus, error) {
		cancel()
		return nil, fault.FromStatus(503, "down")
	}, `userId != null`)
	runner := stream.New(stream.Config{Plans: []*runtime.Plan{p}, Retry: stream.Retry{Backoff: time.Hour}})
	assert.ErrorIs(t, runner.Run(ctx, strings.NewReader(`{"userId":"u"}`)), context.Canceled)

	stop := errors.New("stop")
	runner = stream.New(stream.Config{Plans: []*runtime.Plan{p}, OnEvent: func(stream.Event) error { return stop }})
	assert.ErrorIs(t, runner.Run(context.Background(), strings.NewReader("{}\n{}")), stop)
}

// Each lane has one request in progress, and several lanes run in parallel.
func TestLanesRunInParallel(t *testing.T) {
	both := make(chan struct{}, 2)
	var mu sync.Mutex
	busy := map[string]bool{}
	answer := func(ids []string) (*destination.MultiStatus, error) {
		lane, _, _ := strings.Cut(ids[0], "-")
		mu.Lock()
		assert.False(t, busy[lane], "two batches of lane %s at once", lane)
		busy[lane] = true
		mu.Unlock()
		if strings.HasSuffix(ids[0], "-0") { // the first of each lane waits for that of the other
			both <- struct{}{}
			assert.Eventually(t, func() bool { return len(both) == 2 }, time.Minute, time.Millisecond, "lanes do not go at once")
		}
		mu.Lock()
		busy[lane] = false
		mu.Unlock()
		return nil, nil
	}
	p := plan(t, answer, `match(userId, "a-*")`, `match(userId, "b-*")`)
	var input strings.Builder
	for i := range 20 {
		fmt.Fprintf(&input, `{"type":"track","size":1,"userId":"a-%d"}`+"\n"+`{"type":"track","size":1,"userId":"b-%d"}`+"\n", i, i)
	}
	told, summary := run(t, p, input.String())
	assert.Equal(t, 40, summary.Delivered)
	for i, e := range told {
		assert.Equal(t, i, e.Index)
	}
}

// A deletion waits for all earlier batches, and later events wait for the deletion.
func TestDeletionsKeepOrder(t *testing.T) {
	remote := sample.NewRemote()
	d, err := sample.Plugin().Load()
	require.NoError(t, err)
	in := config.InstanceOf(event.MustParse(`{"id":"i","settings":{"key":"k"},"subscriptions":[{"action":"upsertUser","subscribe":"userId != null"}]}`))
	made, err := runtime.New(sample.Plugin(), d, in, runtime.Host{Transport: sandbox.Transport(remote)})
	require.NoError(t, err)
	told, summary := run(t, made, strings.Repeat(`{"type":"identify","userId":"a"}`+"\n"+`{"type":"delete","userId":"a"}`+"\n", 20))
	var want []string
	for range 20 {
		want = append(want, "upsert a", "delete a")
	}
	assert.Equal(t, want, remote.Log())
	assert.Len(t, told, 40)
	assert.Equal(t, 40, summary.Delivered)
}

// Asynchronous operations are polled until they finish, and later events wait for them.
func TestOperationsArePolled(t *testing.T) {
	remote := sample.NewRemote()
	remote.SetPolls(8) // more often than a failure is tried again
	d, err := sample.Plugin().Load()
	require.NoError(t, err)
	in := config.InstanceOf(event.MustParse(`{"id":"i","settings":{"key":"k"},"subscriptions":[{"action":"importUser","mapping":{"batch_size":2}}]}`))
	made, err := runtime.New(sample.Plugin(), d, in, runtime.Host{Transport: sandbox.Transport(remote)})
	require.NoError(t, err)
	_, summary := run(t, made, `{"type":"track","userId":"a","n":1}`+"\n"+`{"type":"track","userId":"b","n":1}`+"\n"+`{"type":"track","userId":"a","n":2}`)
	assert.Equal(t, []string{"import a 1", "import b 1", "done a 1", "done b 1", "import a 2", "done a 2"}, remote.Log())
	assert.Equal(t, 3, summary.Delivered)
}

func TestCancelDoesNotWaitForTheInput(t *testing.T) {
	p := plan(t, func([]string) (*destination.MultiStatus, error) { return nil, nil }, `type = "a"`)
	input, write := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	told := make(chan struct{})
	runner := stream.New(stream.Config{Plans: []*runtime.Plan{p}, OnEvent: func(stream.Event) error { close(told); return nil }})
	ended := make(chan error)
	go func() { ended <- runner.Run(ctx, input) }()
	_, err := write.Write([]byte("{\"type\":\"x\"}\n{\"type\":"))
	require.NoError(t, err)
	<-told
	cancel()
	assert.ErrorIs(t, <-ended, context.Canceled)
	require.NoError(t, write.Close())
}

func TestCompleteLineDoesNotWaitForTheNext(t *testing.T) {
	p := plan(t, func([]string) (*destination.MultiStatus, error) { return nil, nil }, `type = "a"`)
	input, write := io.Pipe()
	told := make(chan int, 2)
	runner := stream.New(stream.Config{Plans: []*runtime.Plan{p}, OnEvent: func(e stream.Event) error { told <- e.Line; return nil }})
	ended := make(chan error)
	go func() { ended <- runner.Run(context.Background(), input) }()
	_, err := write.Write([]byte("{\"type\":\"x\"}\n{\"type\""))
	require.NoError(t, err)
	assert.Equal(t, 1, <-told)
	_, err = write.Write([]byte(":\"x\"}\n"))
	require.NoError(t, err)
	require.NoError(t, write.Close())
	require.NoError(t, <-ended)
	assert.Equal(t, 2, <-told)
}

func TestTooLongLineIsRefused(t *testing.T) {
	p := plan(t, func([]string) (*destination.MultiStatus, error) { return nil, nil }, `type = "a"`)
	head := `{"type":"a","userId":"1","pad":"`
	line := head + strings.Repeat("x", event.MaxBytes-len(head)-2) + `"}`
	for more, want := range map[string]runtime.Outcome{"": runtime.Delivered, "\r": runtime.Delivered, " ": runtime.Refused, "\r" + strings.Repeat(" ", 20<<20): runtime.Refused} {
		told, _ := run(t, p, line+more+"\n")
		require.Len(t, told, 1)
		assert.Equal(t, want, told[0].Verdicts[0].Outcome, "%d bytes more", len(more))
	}
}

// TestPendingEventsAreLimited sends many pairs of a large event without a subscription and a small event that waits for its batch.
func TestPendingEventsAreLimited(t *testing.T) {
	p := plan(t, func([]string) (*destination.MultiStatus, error) { return nil, nil }, `type = "a"`)
	large := `{"type":"x","pad":"` + strings.Repeat("x", 200<<10) + `"}` + "\n"
	input, write := io.Pipe()
	go func() {
		for i := range 500 { // less than a batch
			_, _ = fmt.Fprintf(write, "%s{\"type\":\"a\",\"userId\":\"%d\"}\n", large, i)
		}
		_ = write.Close()
	}()
	most, told := uint64(0), 0
	each := func(e stream.Event) error {
		if told++; told%100 == 0 {
			goruntime.GC()
			var m goruntime.MemStats
			goruntime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
		return nil
	}
	require.NoError(t, stream.New(stream.Config{Plans: []*runtime.Plan{p}, OnEvent: each}).Run(context.Background(), input))
	assert.Equal(t, 1000, told)
	assert.Less(t, most>>20, uint64(100))
}

// TestVerdictsOfManyEvents takes events of several types through subscriptions of two plans, in batches of many sizes, some of which
// fail for a while or for good: each event is reported once, in order, with the verdicts of its own subscriptions.
func TestVerdictsOfManyEvents(t *testing.T) {
	for seed := range int64(4) {
		r := rand.New(rand.NewSource(seed))
		flaky := newFlaky()
		plans := []*runtime.Plan{
			plan(t, flaky.answer, `userId != null`, `type = "a"`, `type = "b"`),
			plan(t, flaky.answer, `type = "a"`, `type = "b"`, `type = "c"`, `type = "a" or type = "c"`),
		}
		matching := map[string]int{"a": 4, "b": 3, "c": 3, "d": 1, "": 1} // the last one is a line that cannot be read
		types, lines := make([]string, 1000), make([]string, 1000)
		for i := range types {
			types[i] = []string{"a", "b", "c", "d", ""}[r.Intn(5)]
			if lines[i] = "{nope"; types[i] != "" {
				lines[i] = fmt.Sprintf(`{"type":%q,"userId":"%d","size":%d}`, types[i], i, []int{1, 2, 3, 10, 70, 300, 1000}[r.Intn(7)])
			}
		}
		next := 0
		each := func(e stream.Event) error {
			require.Equal(t, next, e.Index)
			require.Equal(t, next+1, e.Line)
			require.Len(t, e.Verdicts, matching[types[next]], "seed %d, event %d", seed, next)
			for _, v := range e.Verdicts {
				if types[next] != "" {
					require.Equal(t, fmt.Sprint(next), v.Sent.Get("id").Str())
					require.Equal(t, flaky.outcome(fmt.Sprint(next)), v.Outcome)
				}
			}
			next++
			return nil
		}
		retry := stream.Retry{Attempts: 4, Backoff: time.Millisecond, MaxWait: 2 * time.Millisecond}
		runner := stream.New(stream.Config{Plans: plans, Retry: retry, OnEvent: each, Parallel: 1 + r.Intn(8)})
		require.NoError(t, runner.Run(context.Background(), iotest.HalfReader(strings.NewReader(strings.Join(lines, "\n")))))
		require.Equal(t, len(lines), next)
	}
}

// flaky responds by the last digit of an id: some fail twice, some always, some are refused or skipped.
type flaky struct {
	mu    sync.Mutex
	tries map[string]int // of a subscription's id
}

func newFlaky() *flaky { return &flaky{tries: map[string]int{}} }

func (f *flaky) answer(ids []string) (*destination.MultiStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ms := destination.NewMultiStatus(len(ids))
	for i, id := range ids {
		f.tries[id]++
		switch id[len(id)-1] {
		case '9':
			ms.Fail(i, fault.FromStatus(503, "never"))
		case '3':
			ms.Fail(i, fault.FromStatus(400, "bad"))
		case '5':
			ms.Skip(i, "nothing to do")
		case '7':
			if f.tries[id] <= 2 {
				ms.Fail(i, fault.FromStatus(503, "down"))
				continue
			}
			ms.Deliver(i)
		default:
			ms.Deliver(i)
		}
	}
	return ms, nil
}

func (f *flaky) outcome(id string) runtime.Outcome {
	switch id[len(id)-1] {
	case '9':
		return runtime.Retry
	case '3':
		return runtime.Refused
	case '5':
		return runtime.Skipped
	}
	return runtime.Delivered
}
