package stream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/stream"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/internal/author/sample"
)

// attempts runs one event whose attempts fail with errors in turn, the last of which repeats, and returns the waits before each further
// attempt and the verdict. Half of a wait that the destination does not ask for is random: such waits are rounded up to their limit.
func attempts(t *testing.T, retry stream.Retry, failures ...error) (waits []time.Duration, verdict runtime.Verdict) {
	synctest.Test(t, func(t *testing.T) {
		var before time.Time
		n := 0
		p := plan(t, func([]string) (*destination.MultiStatus, error) {
			if n > 0 {
				waits = append(waits, time.Since(before))
			}
			before = time.Now()
			n++
			return nil, failures[min(n, len(failures))-1]
		}, `type = "a"`)
		runner := stream.New(stream.Config{Plans: []*runtime.Plan{p}, Retry: retry, OnEvent: func(e stream.Event) error { verdict = e.Verdicts[0]; return nil }})
		require.NoError(t, runner.Run(t.Context(), strings.NewReader(`{"type":"a","userId":"u"}`)))
	})
	return waits, verdict
}

func asking(status int, wait time.Duration) error {
	e := fault.FromStatus(status, "later")
	e.RetryAfter = wait
	return e
}

// TestAttemptsAndWaits checks how often a failing batch is tried and how long it waits in between.
func TestAttemptsAndWaits(t *testing.T) {
	waits, verdict := attempts(t, stream.Retry{}, fault.FromStatus(503, "down"))
	assert.Equal(t, runtime.Retry, verdict.Outcome)
	require.Len(t, waits, 5, "six attempts by default")
	for i, most := range []time.Duration{250, 500, 1000, 2000, 4000} {
		assert.LessOrEqual(t, waits[i], most*time.Millisecond)
		assert.GreaterOrEqual(t, waits[i], most*time.Millisecond/2)
	}
	waits, _ = attempts(t, stream.Retry{Attempts: 4, Backoff: time.Second, MaxWait: 2 * time.Second}, fault.FromStatus(503, "down"))
	require.Len(t, waits, 3)
	for i, most := range []time.Duration{1, 2, 2} {
		assert.LessOrEqual(t, waits[i], most*time.Second)
		assert.GreaterOrEqual(t, waits[i], most*time.Second/2)
	}
	waits, _ = attempts(t, stream.Retry{Attempts: 2}, asking(429, 7*time.Second))
	require.Len(t, waits, 1)
	assert.InDelta(t, 7, waits[0].Seconds(), 1, "the destination says how long")
	waits, _ = attempts(t, stream.Retry{Attempts: 2}, asking(429, time.Hour))
	require.Len(t, waits, 1)
	assert.InDelta(t, 30, waits[0].Seconds(), 4, "at most half a minute by default")
	waits, verdict = attempts(t, stream.Retry{Attempts: 1}, fault.FromStatus(503, "down"))
	assert.Empty(t, waits)
	assert.Equal(t, "down", verdict.Reason)
	waits, verdict = attempts(t, stream.Retry{}, fault.FromStatus(503, "down"), nil)
	assert.Len(t, waits, 1)
	assert.Equal(t, runtime.Delivered, verdict.Outcome)
	waits, verdict = attempts(t, stream.Retry{}, fault.FromStatus(400, "bad"))
	assert.Empty(t, waits, "a refusal is final")
	assert.Equal(t, runtime.Refused, verdict.Outcome)
	waits, verdict = attempts(t, stream.Retry{}, &fault.Error{Code: fault.CodeLogin, Status: 401, Retry: true, Message: "log in first"})
	assert.Empty(t, waits, "no login can happen while a file is delivered")
	assert.Equal(t, []any{runtime.Retry, "log in first"}, []any{verdict.Outcome, verdict.Reason})
}

// TestOperationsThatDoNotFinish checks that an asynchronous operation is given up after the time for it, as a failure that says so.
func TestOperationsThatDoNotFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		remote := sample.NewRemote()
		remote.SetPolls(1 << 30)
		d, err := sample.Plugin().Load()
		require.NoError(t, err)
		in := config.InstanceOf(event.MustParse(`{"id":"i","settings":{"key":"k"},"subscriptions":[{"action":"importUser","mapping":{"batch_size":2}}]}`))
		made, err := runtime.New(sample.Plugin(), d, in, runtime.Host{Transport: sandbox.Transport(remote)})
		require.NoError(t, err)
		var verdicts []runtime.Verdict
		runner := stream.New(stream.Config{Plans: []*runtime.Plan{made}, Retry: stream.Retry{PollFor: time.Minute}, OnEvent: func(e stream.Event) error {
			verdicts = append(verdicts, e.Verdicts...)
			return nil
		}})
		began := time.Now()
		require.NoError(t, runner.Run(t.Context(), strings.NewReader(`{"type":"track","userId":"a","n":1}`)))
		require.Len(t, verdicts, 1)
		assert.Equal(t, runtime.Retry, verdicts[0].Outcome)
		assert.True(t, strings.HasPrefix(verdicts[0].Reason, "not finished in time: "), verdicts[0].Reason)
		assert.InDelta(t, 60, time.Since(began).Seconds(), 35)
	})
}

// TestEndsOfARun checks errors that end a run early: of the caller, of the input, and of the context.
func TestEndsOfARun(t *testing.T) {
	sent := 0
	p := plan(t, func(ids []string) (*destination.MultiStatus, error) { sent += len(ids); return nil, nil }, `type = "a"`)
	lines := strings.Repeat(`{"type":"a","userId":"u","size":1}`+"\n", 3)
	told, stop := 0, errors.New("enough")
	runner := stream.New(stream.Config{Plans: []*runtime.Plan{p}, OnEvent: func(stream.Event) error { told++; return stop }})
	assert.ErrorIs(t, runner.Run(t.Context(), strings.NewReader(lines)), stop)
	assert.Equal(t, 1, told)

	broken := errors.New("the disk is gone")
	runner = stream.New(stream.Config{Plans: []*runtime.Plan{p}})
	err := runner.Run(t.Context(), io.MultiReader(strings.NewReader(lines), iotest.ErrReader(broken)))
	assert.ErrorIs(t, err, broken)
	assert.ErrorContains(t, err, "reading the events: ")

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	sent = 0
	runner = stream.New(stream.Config{Plans: []*runtime.Plan{p}})
	assert.ErrorIs(t, runner.Run(ended, strings.NewReader(lines)), context.Canceled)
	assert.Zero(t, sent)
}

// TestEventsAreCompletedFirst checks that missing fields are added before an event is matched and sent.
func TestEventsAreCompletedFirst(t *testing.T) {
	var sent []string
	p := plan(t, func(ids []string) (*destination.MultiStatus, error) { sent = append(sent, ids...); return nil, nil }, `type = "a"`)
	complete := func(event.Event) event.Event {
		e, err := event.Parse([]byte(`{"type":"a","userId":"completed"}`))
		require.NoError(t, err)
		return e
	}
	runner := stream.New(stream.Config{Plans: []*runtime.Plan{p}, Complete: complete})
	require.NoError(t, runner.Run(t.Context(), strings.NewReader("{}\n")))
	assert.Equal(t, []string{"completed"}, sent)
}

// TestTheOnlySubscriptionIsNamed checks the verdict of an event that matches nothing: it names the subscription if there is only one.
func TestTheOnlySubscriptionIsNamed(t *testing.T) {
	answer := func([]string) (*destination.MultiStatus, error) { return nil, nil }
	told, _ := run(t, plan(t, answer, `type = "a"`), `{"type":"x"}`)
	assert.Equal(t, []string{"i", "s0", fault.CauseNotSubscribed.Text()}, []string{told[0].Verdicts[0].Instance, told[0].Verdicts[0].Subscription, told[0].Verdicts[0].Reason})
	told, _ = run(t, plan(t, answer, `type = "a"`, `type = "b"`), `{"type":"x"}`)
	assert.Equal(t, []string{"", "", "the event matches no subscription"}, []string{told[0].Verdicts[0].Instance, told[0].Verdicts[0].Subscription, told[0].Verdicts[0].Reason})
}

// TestDeliverDecidesEveryItem checks Retry.Deliver: all items in one batch, each decided once, and ctx's error if it ends before.
func TestDeliverDecidesEveryItem(t *testing.T) {
	var sizes []int
	p := plan(t, func(ids []string) (*destination.MultiStatus, error) {
		sizes = append(sizes, len(ids))
		ms := destination.NewMultiStatus(len(ids))
		for i, id := range ids {
			if id == "bad" {
				ms.Fail(i, fault.FromStatus(400, "bad"))
			} else {
				ms.Deliver(i)
			}
		}
		return ms, nil
	}, `type = "a"`)
	var items []runtime.Item
	for i, id := range []string{"a", "bad", "c"} {
		e, err := event.Parse(fmt.Appendf(nil, `{"type":"a","userId":%q}`, id))
		require.NoError(t, err)
		item, verdict := p.Prepare(p.Subscriptions()[0], e, i)
		require.Nil(t, verdict)
		items = append(items, item)
	}
	decided := map[int]runtime.Outcome{}
	require.NoError(t, stream.Retry{}.Deliver(t.Context(), p, items, func(item runtime.Item, v runtime.Verdict) { decided[item.Index] = v.Outcome }))
	assert.Equal(t, map[int]runtime.Outcome{0: runtime.Delivered, 1: runtime.Refused, 2: runtime.Delivered}, decided)
	assert.Equal(t, []int{3}, sizes)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, stream.Retry{}.Deliver(ended, p, items, func(runtime.Item, runtime.Verdict) {}), context.Canceled)
	assert.Len(t, sizes, 1, "nothing is sent")
}

// TestBatchesAreLimitedInBytes checks that a batch is sent when the next payload would make it too large.
func TestBatchesAreLimitedInBytes(t *testing.T) {
	var sent []string
	p := plan(t, func(ids []string) (*destination.MultiStatus, error) {
		sent = append(sent, strings.Join(ids, ","))
		return nil, nil
	}, `userId != null`)
	lines := ""
	for _, id := range []string{"a", "b", "c"} {
		lines += fmt.Sprintf(`{"userId":%q,"size":10,"bytes":100}`, strings.Repeat(id, 30)) + "\n"
	}
	_, summary := run(t, p, lines)
	assert.Equal(t, 3, summary.Delivered)
	assert.Equal(t, []string{strings.Repeat("a", 30), strings.Repeat("b", 30), strings.Repeat("c", 30)}, sent)
	sent = nil
	_, _ = run(t, p, strings.ReplaceAll(lines, `"bytes":100`, `"bytes":100000`))
	assert.Len(t, sent, 1)
}

// TestASlowRemoteStopsReading checks that the input is not read far ahead of a remote that does not answer.
func TestASlowRemoteStopsReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := plan(t, func([]string) (*destination.MultiStatus, error) { <-release; return nil, nil }, `type = "a"`)
		read, told := 0, 0
		runner := stream.New(stream.Config{
			Plans: []*runtime.Plan{p}, Complete: func(e event.Event) event.Event { read++; return e }, OnEvent: func(stream.Event) error { told++; return nil },
		})
		ended := make(chan error)
		var lines strings.Builder
		for i := range 5000 {
			fmt.Fprintf(&lines, `{"type":"a","userId":"u%d","size":1}`+"\n", i)
		}
		go func() { ended <- runner.Run(t.Context(), strings.NewReader(lines.String())) }()
		synctest.Wait()
		assert.Less(t, read, 1000)
		assert.Zero(t, told)
		close(release)
		require.NoError(t, <-ended)
		assert.Equal(t, []int{5000, 5000}, []int{read, told})
	})
}

// TestVerdictsOfSeveralSubscriptions checks an event that one subscription delivers and another refuses before it is sent: it has a verdict
// of each.
func TestVerdictsOfSeveralSubscriptions(t *testing.T) {
	p := plan(t, func([]string) (*destination.MultiStatus, error) { return nil, nil }, `type = "a"`)
	q := strictPlan(t)
	var told []stream.Event
	runner := stream.New(stream.Config{Plans: []*runtime.Plan{p, q}, OnEvent: func(e stream.Event) error { told = append(told, e); return nil }})
	require.NoError(t, runner.Run(t.Context(), strings.NewReader(`{"type":"a","userId":"u"}`)))
	require.Len(t, told, 1)
	assert.True(t, told[0].Matched)
	outcomes := map[runtime.Outcome]int{}
	for _, v := range told[0].Verdicts {
		outcomes[v.Outcome]++
	}
	assert.Equal(t, map[runtime.Outcome]int{runtime.Delivered: 1, runtime.Refused: 1}, outcomes)
}

// strictPlan returns a plan that refuses every event of type a, as its mapping has no value for a required field.
func strictPlan(t *testing.T) *runtime.Plan {
	in := config.InstanceOf(event.MustParse(`{"id":"strict","settings":{"key":"k"},"subscriptions":[{"action":"importUser","subscribe":"type = \"a\"","mapping":{"id":{"@path":"$.none"}}}]}`))
	d, err := sample.Plugin().Load()
	require.NoError(t, err)
	made, err := runtime.New(sample.Plugin(), d, in, runtime.Host{Transport: sandbox.Transport(sample.NewRemote())})
	require.NoError(t, err)
	return made
}

// A call is made again after errors that may pass. Its error is that of the last attempt, or the first that does not pass.
func TestCallsAreMadeAgain(t *testing.T) {
	busy, wrong := fault.FromStatus(503, "busy"), fault.FromStatus(400, "wrong")
	for name, c := range map[string]struct {
		answers []error
		calls   int
		want    error
	}{
		"no error":                   {[]error{nil}, 1, nil},
		"an error that passes":       {[]error{busy, busy, nil}, 3, nil},
		"an error that stays":        {[]error{wrong, nil}, 1, wrong},
		"one of each":                {[]error{busy, wrong, nil}, 2, wrong},
		"as many errors as attempts": {[]error{busy, busy, busy, nil}, 3, busy},
	} {
		calls := 0
		err := stream.Retry{Attempts: 3, Backoff: time.Microsecond}.Call(t.Context(), func() error {
			calls++
			return c.answers[calls-1]
		})
		assert.Equal(t, c.want, err, name)
		assert.Equal(t, c.calls, calls, name)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, stream.Retry{}.Call(ended, func() error { return busy }), context.Canceled)
}
