package tasks_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/dispatch"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/tasks"
)

func TestResultOf(t *testing.T) {
	for name, c := range map[string]struct {
		verdict runtime.Verdict
		want    dispatch.Result
	}{
		"delivered":             {runtime.Verdict{Outcome: runtime.Delivered}, dispatch.Result{Outcome: dispatch.Done}},
		"refused by the remote": {runtime.Verdict{Outcome: runtime.Refused, Reporter: fault.ReporterDestination}, dispatch.Result{Outcome: dispatch.Done}},
		"refused here":          {runtime.Verdict{Outcome: runtime.Refused, Reporter: fault.ReporterIntegrations}, dispatch.Result{Outcome: dispatch.Dropped}},
		"skipped":               {runtime.Verdict{Outcome: runtime.Skipped}, dispatch.Result{Outcome: dispatch.Dropped}},
		"pending":               {runtime.Verdict{Outcome: runtime.Pending}, dispatch.Result{Outcome: dispatch.Pending}},
		"no login":              {runtime.Verdict{Outcome: runtime.Retry, Code: fault.CodeLogin}, dispatch.Result{Outcome: dispatch.NotSent}},
		"a limit":               {runtime.Verdict{Outcome: runtime.Retry, Code: fault.CodeDeferred, RetryAfter: time.Minute}, dispatch.Result{Outcome: dispatch.NotSent, RetryAfter: time.Minute}},
		"a limit that ends":     {runtime.Verdict{Outcome: runtime.Retry, Code: fault.CodeDeferred}, dispatch.Result{Outcome: dispatch.NotSent, RetryAfter: time.Millisecond}},
		"server error":          {runtime.Verdict{Outcome: runtime.Retry, Status: 500}, dispatch.Result{Outcome: dispatch.Retry}},
		"rate limit":            {runtime.Verdict{Outcome: runtime.Retry, Status: 429, RetryAfter: time.Second}, dispatch.Result{Outcome: dispatch.Retry, RetryAfter: time.Second, Unrelated: true}},
		"locked":                {runtime.Verdict{Outcome: runtime.Retry, Status: 423}, dispatch.Result{Outcome: dispatch.Retry, Unrelated: true}},
		"state":                 {runtime.Verdict{Outcome: runtime.Retry, Code: fault.CodeState}, dispatch.Result{Outcome: dispatch.Retry, Unrelated: true}},
	} {
		assert.Equal(t, c.want, tasks.ResultOf(&c.verdict), name)
	}
}

// TestTasksOfItems checks that a task has the lane, the group and the limits of its item.
func TestTasksOfItems(t *testing.T) {
	e, err := event.Parse([]byte(`{"type":"track","userId":"u1"}`))
	require.NoError(t, err)
	plan, subscription := &runtime.Plan{}, &runtime.Subscription{}
	item := runtime.Item{
		Subscription: subscription, Event: e, Payload: event.MustParse(`{"id":"u1"}`), BatchKey: "eu", BatchSize: 100, BatchBytes: 1000, Lane: "lists", Independent: true,
	}
	one := &dispatch.Task[runtime.Item]{Value: item, Key: tasks.KeyOf(item), Bytes: 7}
	assert.Equal(t, "lists u:u1", one.Key)
	tasks.Describe(one, plan, item)
	assert.Equal(t, dispatch.Lane{Scope: plan, Name: "lists"}, one.Lane)
	assert.Equal(t, dispatch.Group{Scope: subscription, Key: "eu"}, one.Group)
	assert.Equal(t, []any{100, 1000, true, item.Payload.Size()}, []any{one.MaxBatch, one.MaxBytes, one.Together, one.Bytes})

	item.Independent, item.BatchBytes = false, 0
	two := &dispatch.Task[runtime.Item]{Value: item, Bytes: 7}
	assert.Equal(t, "u:u1", tasks.KeyOf(item))
	tasks.Describe(two, plan, item)
	assert.Equal(t, []any{false, 0, 7}, []any{two.Together, two.MaxBytes, two.Bytes}, "the host bounds the memory")
	anonymous, err := event.Parse([]byte(`{"type":"track"}`))
	require.NoError(t, err)
	assert.Empty(t, tasks.KeyOf(runtime.Item{Event: anonymous, Lane: "lists", Independent: true}), "no order is needed")
}
