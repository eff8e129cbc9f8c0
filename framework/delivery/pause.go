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

// Resume ends the pause and the retry waits of an instance of this process. If the remote asks again, the instance pauses again.
func (r *Runner) Resume(instance string) error {
	r.mu.Lock()
	w := r.workers[instance]
	r.mu.Unlock()
	if w == nil {
		return fmt.Errorf("%w: %q", ErrUnknownInstance, instance)
	}
	w.instance.Plan.Resume()
	w.dispatcher.Resume()
	r.log.Info("an operator has ended the pauses of an instance", "instance", instance)
	return nil
}
