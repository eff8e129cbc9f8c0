package delivery

import (
	"time"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
)

// halt stops an instance whose remote gives no token any more. Its events stay where they are, as if they had not been tried, and
// it goes on when somebody has logged in.
func (w *worker) halt(reason string) {
	if w.stopped != "" {
		w.stopped = reason
		return
	}
	w.stopped = reason
	w.runner.log.Error("the instance has stopped, and its events wait", "instance", w.id, "reason", reason)
	w.background.Go(func() {
		for w.sleep(time.Second) {
			err := w.instance.Plan.Authorized(w.ctx)
			w.mu.Lock()
			if err == nil {
				w.stopped = ""
				w.runner.log.Info("the instance goes on", "instance", w.id)
				w.pump()
				w.mu.Unlock()
				return
			}
			w.mu.Unlock()
		}
	})
}

// sleep waits, and tells whether the worker goes on.
func (w *worker) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return w.ctx.Err() == nil
	case <-w.ctx.Done():
		return false
	}
}

// hold keeps a task back for a time, and with it what waits behind it.
func (w *worker) hold(t *task, d time.Duration) {
	w.retry(t)
	t.part.held[t] = true
	w.later(d, func() {
		if t.part.held[t] && !t.part.closing {
			delete(t.part.held, t)
			w.enqueue(t, true)
		}
	})
}

// retry counts tasks that are tried once more.
func (w *worker) retry(tasks ...*task) {
	w.retried += int64(len(tasks))
	w.runner.metrics.retried(w.id, tasks...)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// exhausted reports whether a failure that may pass was the last one: the event has failed for too long, or by itself too often. A
// failure of the whole batch is not the event's own, and only time ends it.
func (w *worker) exhausted(t *task, own bool) bool {
	if t.failed.IsZero() {
		t.failed = time.Now()
	}
	if own {
		t.alone++
	}
	return time.Since(t.failed) > w.runner.config.RetryFor || t.alone >= w.runner.config.Attempts
}

// backoff is how long to wait after a number of failures: as long as the remote asks, or a jittered, doubled time.
func (w *worker) backoff(failures int, asked time.Duration) time.Duration {
	c := &w.runner.config
	return max(httpx.Backoff(c.Backoff, c.MaxBackoff, failures), min(asked, c.RetryFor, c.MaxPause))
}
