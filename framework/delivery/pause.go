package delivery

import (
	"errors"
	"fmt"
	"time"
)

// minLoggedPause is the shortest pause that is logged.
const minLoggedPause = 30 * time.Second

// pauseFor pauses sending for as long as the remote asks, at most Settings.MaxPause. The mutex is held.
func (w *worker) pauseFor(asked time.Duration) {
	now, wait := time.Now(), min(asked, w.runner.settings.MaxPause)
	if wait >= minLoggedPause && w.pausedUntil.Before(now) {
		w.runner.log.Warn("the remote asks to wait, so the instance pauses: landfall resume ends that", "instance", w.id,
			"asked", asked.Round(time.Second), "until", now.Add(wait).UTC().Format(time.RFC3339))
	}
	w.pausedUntil = laterOf(w.pausedUntil, now.Add(wait))
}

// nextRetry returns when the first lane that waits after a failure continues, and how many lanes and tasks wait. The mutex is
// held.
func (w *worker) nextRetry(now time.Time) (first time.Time, waiting int) {
	for _, l := range w.lanes {
		if l.failures == 0 || len(l.queue) == 0 || !l.pausedUntil.After(now) {
			continue
		}
		waiting++
		if first.IsZero() || l.pausedUntil.Before(first) {
			first = l.pausedUntil
		}
	}
	for _, p := range w.partitions {
		waiting += len(p.delayed)
	}
	return first, waiting
}

// endPauses ends the remote's pause and all retry waits. The mutex is held.
func (w *worker) endPauses() {
	w.instance.Plan.Resume()
	w.pausedUntil = time.Time{}
	if w.wakeTimer != nil {
		w.wakeTimer.Stop()
		w.wakeTimer = nil
	}
	for _, p := range w.partitions {
		for t := range p.delayed {
			if !p.closing {
				delete(p.delayed, t)
				w.enqueue(t, true)
			}
		}
	}
	for _, l := range w.lanes {
		l.pausedUntil = time.Time{}
		if l.wakeTimer != nil {
			l.wakeTimer.Stop()
			l.wakeTimer = nil
		}
		w.scheduleLane(l)
	}
	w.startBatches()
}

// ErrUnknownInstance is wrapped by errors about an instance that the Runner does not have.
var ErrUnknownInstance = errors.New("there is no such instance")

// Resume ends the pause and the retry waits of an instance of this process. If the remote asks again, the instance pauses again.
func (r *Runner) Resume(instance string) error {
	r.mu.Lock()
	w := r.workers[instance]
	r.mu.Unlock()
	if w == nil {
		return fmt.Errorf("%w: %q", ErrUnknownInstance, instance)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endPauses()
	r.log.Info("an operator has ended the pauses of an instance", "instance", instance)
	return nil
}
