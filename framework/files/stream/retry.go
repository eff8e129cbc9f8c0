package stream

import (
	"cmp"
	"context"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// Retry is how a batch is tried again in place, with everything behind it waiting. Zero fields have working defaults.
type Retry struct {
	Attempts int           // how often a batch is tried: 6
	Backoff  time.Duration // the wait before the second try, doubled each time: 250 ms
	MaxWait  time.Duration // the most that a remote may ask for: 30 s
	PollFor  time.Duration // how long a remote may work on what it has taken: 10 minutes
}

// Deliver brings a batch to its end, and tells decide of each item once: whenever some have come to their end, of those with their
// verdicts, index by index. It changes items. The error is that of ctx; items that decide was not told of are open then.
func (r Retry) Deliver(ctx context.Context, plan *runtime.Plan, items []runtime.Item, decide func([]runtime.Item, []runtime.Verdict)) error {
	attempts, began := cmp.Or(r.Attempts, 6), time.Now()
	for round, attempt := 1, 1; len(items) > 0; round++ {
		var again []runtime.Item
		var wait time.Duration
		failed, done := false, 0
		verdicts := plan.Deliver(ctx, items)
		for i := range verdicts {
			v := &verdicts[i]
			if v.Outcome == runtime.Pending {
				if time.Since(began) < cmp.Or(r.PollFor, 10*time.Minute) {
					items[i].Operation = v.Operation
					again = append(again, items[i])
					continue
				}
				v.Outcome, v.Reason = runtime.Retry, "it takes too long: "+v.Reason
			}
			if v.Outcome == runtime.Retry && v.Code != fault.CodeLogin && attempt < attempts {
				again, failed = append(again, items[i]), true
				wait = max(wait, v.RetryAfter)
				continue
			}
			if done < i {
				items[done], verdicts[done] = items[i], verdicts[i]
			}
			done++
		}
		decide(items[:done], verdicts[:done])
		items = again
		if failed {
			attempt++
		}
		if len(items) > 0 {
			if err := r.pause(ctx, round, wait); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// pause waits as long as the remote asks, or a jittered, doubled backoff.
func (r Retry) pause(ctx context.Context, attempt int, asked time.Duration) error {
	most := cmp.Or(r.MaxWait, 30*time.Second)
	timer := time.NewTimer(min(max(httpx.Backoff(cmp.Or(r.Backoff, 250*time.Millisecond), most, attempt), asked), most))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
