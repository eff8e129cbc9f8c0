package delivery

import (
	"errors"
	"fmt"
	"time"
)

// minLoggedPause is the shortest pause that is logged.
const minLoggedPause = 30 * time.Second

// pauseForLocked pauses sending for as long as the remote asks, at most Settings.MaxPause.
func (w *worker) pauseForLocked(asked time.Duration) {
	wait := min(asked, w.runner.settings.MaxPause)
	if _, begins := w.dispatcher.PauseLocked(asked); begins && wait >= minLoggedPause {
		w.runner.log.Warn("the remote asks to wait, so the instance pauses: landfall resume ends that", "instance", w.id,
			"asked", asked.Round(time.Second), "until", time.Now().Add(wait).UTC().Format(time.RFC3339))
	}
}

// ErrUnknownInstance is wrapped by errors about an instance that the Runner does not have.
var ErrUnknownInstance = errors.New("there is no such instance")

// Resume ends the pause and the retry waits of an instance of this process. If the remote asks again, the instance pauses again. waited
// reports whether there was anything to end.
func (r *Runner) Resume(instance string) (waited bool, err error) {
	r.mu.Lock()
	w := r.workers[instance]
	r.mu.Unlock()
	if w == nil {
		return false, fmt.Errorf("%w: %q", ErrUnknownInstance, instance)
	}
	waited = w.waits()
	w.instance.Plan.Resume()
	w.dispatcher.Resume()
	if waited {
		r.log.Info("an operator has ended the pauses of an instance", "instance", instance)
	}
	return waited, nil
}

// waits reports whether a pause, a failure or a remote that is down delays the requests of the instance.
func (w *worker) waits() bool {
	now, stats := time.Now(), w.dispatcher.Stats()
	if now.Before(stats.PausedUntil) || stats.Retrying > 0 || stats.Failing {
		return true
	}
	gate := w.instance.Plan.Gate()
	if gate == nil {
		return false
	}
	s := gate.Status()
	return s.Budget.PausedUntil.After(now) || !s.DownSince.IsZero()
}
