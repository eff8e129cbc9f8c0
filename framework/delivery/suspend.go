package delivery

import (
	"time"

	"github.com/landfall-dev/landfall/internal/pause"
)

// suspendInstanceLocked stops sending to an instance whose remote issues no access token. Its events wait and no attempt is counted. Sending
// resumes when an operator has logged in, which is checked every second.
func (w *worker) suspendInstanceLocked(reason string) {
	if w.suspendReason != "" {
		w.suspendReason = reason
		return
	}
	w.suspendReason = reason
	w.dispatcher.SuspendLocked()
	w.runner.log.Error("the instance is suspended, and its events wait", "instance", w.id, "reason", reason)
	w.goroutines.Go(func() {
		for pause.For(w.ctx, time.Second) == nil {
			err := w.instance.Plan.CheckLogin(w.ctx)
			w.mu.Lock()
			if err == nil {
				w.suspendReason = ""
				w.dispatcher.UnsuspendLocked()
				w.runner.log.Info("the instance resumes", "instance", w.id)
				w.mu.Unlock()
				return
			}
			w.mu.Unlock()
		}
	})
}
