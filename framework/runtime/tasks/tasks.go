// Package tasks converts the items and verdicts of a plan to tasks and results of package dispatch, for hosts that deliver events
// with both.
//
//	item, verdict := plan.Prepare(subscription, event, 0)
//	...
//	t := &dispatch.Task[runtime.Item]{Value: item, Key: tasks.KeyOf(item)}
//	tasks.Describe(t, plan, item)
//	dispatcher.Add(t)
//
// The handler's Send delivers the items of a batch with [runtime.Plan.Deliver], keeps the Operation of pending ones, and reports
// the verdicts with [ResultOf].
package tasks

import (
	"net/http"
	"time"

	"github.com/landfall-dev/landfall/framework/dispatch"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// KeyOf returns the key within which an item is delivered in order: that of its event, which is its user if it has one. Independent
// items, such as changes of an audience, are ordered within their lane only.
func KeyOf(item runtime.Item) string {
	if item.Independent {
		return event.OrderingKeyIn(item.Lane, item.Event.Value())
	}
	return event.OrderingKey(item.Event.Value())
}

// Describe sets what an item says about its task: lane, group, size and limits of its batch, and whether tasks of one key may share
// a request. The Scope of the lane is the plan, so the tasks of a batch have one plan. Bytes is the size of the payload if the action limits the
// size of batches, otherwise 0: a host that bounds the memory of tasks sets it, such as to the length of the event. The host also sets Key, and
// Owner if it has owners.
func Describe[T any](t *dispatch.Task[T], plan *runtime.Plan, item runtime.Item) {
	t.Lane = dispatch.Lane{Scope: plan, Name: item.Lane}
	t.Group = dispatch.Group{Scope: item.Subscription, Key: item.BatchKey}
	t.MaxBatch, t.MaxBytes, t.Together = item.BatchSize, item.BatchBytes, item.Independent
	if item.BatchBytes > 0 {
		t.Bytes = item.Payload.Size()
	}
}

// ResultOf returns the result of a task with a verdict. If the remote issues no access token, that is NotSent; if a limit of the instance
// asks to wait, NotSent with the time to wait.
func ResultOf(v *runtime.Verdict) dispatch.Result {
	switch v.Outcome {
	case runtime.Delivered:
		return dispatch.Result{Outcome: dispatch.Done}
	case runtime.Refused:
		if v.Reporter == fault.ReporterDestination {
			return dispatch.Result{Outcome: dispatch.Done}
		}
		return dispatch.Result{Outcome: dispatch.Dropped}
	case runtime.Skipped:
		return dispatch.Result{Outcome: dispatch.Dropped}
	case runtime.Pending:
		return dispatch.Result{Outcome: dispatch.Pending}
	}
	switch v.Code {
	case fault.CodeLogin:
		return dispatch.Result{Outcome: dispatch.NotSent}
	case fault.CodeDeferred:
		return dispatch.Result{Outcome: dispatch.NotSent, RetryAfter: max(v.RetryAfter, time.Millisecond)}
	}
	unrelated := v.Status == http.StatusTooManyRequests || v.Status == http.StatusLocked || v.Code == fault.CodeState
	return dispatch.Result{Outcome: dispatch.Retry, RetryAfter: v.RetryAfter, Unrelated: unrelated}
}
