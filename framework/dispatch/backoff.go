package dispatch

import (
	"time"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
)

// backoff returns the wait after a number of failures: what the remote asked for, or a jittered exponential backoff if that is
// longer.
func (d *Dispatcher[T]) backoff(failures int, asked time.Duration) time.Duration {
	c := &d.config
	return max(httpx.Backoff(c.MinBackoff, c.MaxBackoff, failures), min(asked, c.RetryFor, c.MaxPause))
}

// retriesInPlace reports whether the lane of a task waits while it is retried.
func (d *Dispatcher[T]) retriesInPlace(t *Task[T]) bool { return d.config.InPlace || t.Key == "" }

// delay enqueues tasks of one group after a wait, in one step so that they can share a batch. The tasks of their keys behind them
// wait, and no others.
func (d *Dispatcher[T]) delay(wait time.Duration, tasks ...*Task[T]) {
	var timer *timer
	timer = d.callAt(d.config.Clock.Now().Add(wait), func() {
		var due []*Task[T]
		for _, t := range tasks {
			if t.Owner.delayed[t] == timer {
				delete(t.Owner.delayed, t)
				due = append(due, t)
			}
		}
		d.enqueue(true, due...)
	})
	for _, t := range tasks {
		t.Owner.delayed[t] = timer
	}
}

// pollLater polls tasks whose operation is still running on the remote together, after a backoff.
func (d *Dispatcher[T]) pollLater(tasks []*Task[T]) {
	if len(tasks) == 0 {
		return
	}
	polls := 0
	for _, t := range tasks {
		polls = max(polls, t.past().polls)
	}
	d.delay(d.backoff(polls, 0), tasks...)
}

// Pause sends nothing for as long as the remote asks, at most Config.MaxPause. It returns when the pause ends, and whether the
// dispatcher was not paused before.
func (d *Dispatcher[T]) Pause(asked time.Duration) (until time.Time, begins bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.PauseLocked(asked)
}

// PauseLocked is Pause for callers that have locked the dispatcher.
func (d *Dispatcher[T]) PauseLocked(asked time.Duration) (until time.Time, begins bool) {
	now := d.config.Clock.Now()
	begins = d.pausedUntil.Before(now)
	d.pausedUntil = laterOf(d.pausedUntil, now.Add(min(asked, d.config.MaxPause)))
	return d.pausedUntil, begins
}

// Resume ends a pause and all waits for retries and polls.
func (d *Dispatcher[T]) Resume() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ResumeLocked()
}

// ResumeLocked is Resume for callers that have locked the dispatcher.
func (d *Dispatcher[T]) ResumeLocked() {
	d.pausedUntil = time.Time{}
	d.cancelTimer(d.pauseTimer)
	d.pauseTimer = nil
	var tasks []*Task[T]
	for o := range d.owners {
		for t, timer := range o.delayed {
			d.cancelTimer(timer)
			tasks = append(tasks, t)
		}
		clear(o.delayed)
	}
	d.enqueue(true, tasks...)
	for _, l := range d.lanes {
		l.pausedUntil = time.Time{}
		d.schedule(l)
	}
	d.startBatches()
}

// Suspend sends nothing until Unsuspend.
func (d *Dispatcher[T]) Suspend() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.SuspendLocked()
}

// SuspendLocked is Suspend for callers that have locked the dispatcher.
func (d *Dispatcher[T]) SuspendLocked() { d.suspended = true }

// Unsuspend ends the effect of Suspend, or of a result with the outcome NotSent.
func (d *Dispatcher[T]) Unsuspend() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.UnsuspendLocked()
}

// UnsuspendLocked is Unsuspend for callers that have locked the dispatcher.
func (d *Dispatcher[T]) UnsuspendLocked() {
	d.suspended = false
	d.startBatches()
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
