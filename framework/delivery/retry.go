package delivery

import (
	"time"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
)

// suspendInstance stops sending to an instance whose remote issues no access token. Its events wait and no attempt is counted. Sending
// resumes when an operator has logged in, which is checked every second.
func (w *worker) suspendInstance(reason string) {
	if w.suspendReason != "" {
		w.suspendReason = reason
		return
	}
	w.suspendReason = reason
	w.runner.log.Error("the instance is suspended, and its events wait", "instance", w.id, "reason", reason)
	w.goroutines.Go(func() {
		for w.sleepFor(time.Second) {
			err := w.instance.Plan.CheckLogin(w.ctx)
			w.mu.Lock()
			if err == nil {
				w.suspendReason = ""
				w.runner.log.Info("the instance resumes", "instance", w.id)
				w.startBatches()
				w.mu.Unlock()
				return
			}
			w.mu.Unlock()
		}
	})
}

// sleepFor waits for d. It reports whether the worker is still running.
func (w *worker) sleepFor(d time.Duration) bool {
	select {
	case <-time.After(d):
		return w.ctx.Err() == nil
	case <-w.ctx.Done():
		return false
	}
}

// delayRetry retries a task after d. The later tasks of its key wait behind it.
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

// countRetries counts tasks that are retried.
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

// retriesExhausted reports whether a retryable failure was the task's last one: it has failed for longer than RetryFor, or its
// own failures have reached MaxAttempts. own is false for a failure of the whole batch.
func (w *worker) retriesExhausted(t *task, own bool) bool {
	if t.firstFailed.IsZero() {
		t.firstFailed = time.Now()
	}
	if own {
		t.ownFailures++
	}
	return time.Since(t.firstFailed) > w.runner.settings.RetryFor || t.ownFailures >= w.runner.settings.MaxAttempts
}

// backoffFor returns the wait after a number of failures: what the remote asked for, or a jittered exponential backoff if that is
// longer.
func (w *worker) backoffFor(failures int, asked time.Duration) time.Duration {
	c := &w.runner.settings
	return max(httpx.Backoff(c.MinBackoff, c.MaxBackoff, failures), min(asked, c.RetryFor, c.MaxPause))
}
