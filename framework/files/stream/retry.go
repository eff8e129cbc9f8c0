package stream

import (
	"cmp"
	"context"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// Retry configures how a batch is retried, while later batches of its lane wait. Zero fields have working defaults.
type Retry struct {
	Attempts int           // maximum number of attempts; default 6
	Backoff  time.Duration // wait before the second attempt, doubled each time; default 250 ms
	MaxWait  time.Duration // upper limit of a wait, also if the destination asks for more; default 30 s
	PollFor  time.Duration // how long to poll an asynchronous operation; default 10 minutes
}

// Deliver delivers a batch with retries. It calls decide with finished items and their verdicts, index by index, and exactly once for
// each item. It modifies items. The error is ctx's; items that were not passed to decide are then unfinished.
func (r Retry) Deliver(ctx context.Context, plan *runtime.Plan, items []runtime.Item, decide func([]runtime.Item, []runtime.Verdict)) error {
	attempts, start := cmp.Or(r.Attempts, 6), time.Now()
	for round, attempt := 1, 1; len(items) > 0; round++ {
		var remaining []runtime.Item
		var wait time.Duration
		failed, done := false, 0
		verdicts := plan.Deliver(ctx, items)
		for i := range verdicts {
			v := &verdicts[i]
			if v.Outcome == runtime.Pending {
				if time.Since(start) < cmp.Or(r.PollFor, 10*time.Minute) {
					items[i].Operation = v.Operation
					remaining = append(remaining, items[i])
					continue
				}
				v.Outcome, v.Reason = runtime.Retry, "not finished in time: "+v.Reason
			}
			if v.Outcome == runtime.Retry && v.Code != fault.CodeLogin && attempt < attempts {
				remaining, failed = append(remaining, items[i]), true
				wait = max(wait, v.RetryAfter)
				continue
			}
			if done < i {
				items[done], verdicts[done] = items[i], verdicts[i]
			}
			done++
		}
		decide(items[:done], verdicts[:done])
		items = remaining
		if failed {
			attempt++
		}
		if len(items) > 0 {
			if err := r.waitToRetry(ctx, round, wait); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// waitToRetry waits as long as the destination asks, or for an exponential backoff with jitter, whichever is longer.
func (r Retry) waitToRetry(ctx context.Context, attempt int, asked time.Duration) error {
	limit := cmp.Or(r.MaxWait, 30*time.Second)
	timer := time.NewTimer(min(max(httpx.Backoff(cmp.Or(r.Backoff, 250*time.Millisecond), limit, attempt), asked), limit))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
