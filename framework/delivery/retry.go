package delivery

import (
	"time"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
)

// suspend stops an instance whose remote gives no token any more. Its events stay where they are, as if they had not been tried, and
// it goes on when somebody has logged in.
func (w *worker) suspend(reason string) {
	if w.suspendReason != "" {
		w.suspendReason = reason
		return
	}
	w.suspendReason = reason
	w.runner.log.Error("the instance has stopped, and its events wait", "instance", w.id, "reason", reason)
	w.goroutines.Go(func() {
		for w.sleepFor(time.Second) {
			err := w.instance.Plan.Authorized(w.ctx)
			w.mu.Lock()
			if err == nil {
				w.suspendReason = ""
				w.runner.log.Info("the instance goes on", "instance", w.id)
				w.startBatches()
				w.mu.Unlock()
				return
			}
			w.mu.Unlock()
		}
	})
}

// sleepFor waits, and tells whether the worker goes on.
func (w *worker) sleepFor(d time.Duration) bool {
	select {
	case <-time.After(d):
		return w.ctx.Err() == nil
	case <-w.ctx.Done():
		return false
	}
}

// delayRetry keeps a task back for a time, and with it what waits behind it.
func (w *worker) delayRetry(t *task, d time.Duration) {
	w.countRetries(t)
	t.partition.delayed[t] = true
	w.runAfter(d, func() {
		if t.partition.delayed[t] && !t.partition.closing {
			delete(t.partition.delayed, t)
			w.enqueue(t, true)
		}
	})
}

// countRetries counts tasks that are tried once more.
func (w *worker) countRetries(tasks ...*task) {
	w.retries += int64(len(tasks))
	w.runner.metrics.countRetries(w.id, tasks...)
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// retriesExhausted reports whether a failure that may pass was the last one: the event has failed for too long, or by itself too often. A
// failure of the whole batch is not the event's own, and only time ends it.
func (w *worker) retriesExhausted(t *task, own bool) bool {
	if t.firstFailed.IsZero() {
		t.firstFailed = time.Now()
	}
	if own {
		t.ownFailures++
	}
	return time.Since(t.firstFailed) > w.runner.settings.RetryFor || t.ownFailures >= w.runner.settings.MaxAttempts
}

// backoffFor is how long to wait after a number of failures: as long as the remote asks, or a jittered, doubled time.
func (w *worker) backoffFor(failures int, asked time.Duration) time.Duration {
	c := &w.runner.settings
	return max(httpx.Backoff(c.MinBackoff, c.MaxBackoff, failures), min(asked, c.RetryFor, c.MaxPause))
}
