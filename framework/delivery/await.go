package delivery

import (
	"time"

	"github.com/landfall-dev/landfall/framework/runtime"
)

// await keeps tasks back that the remote works on, and with each what waits behind it, and asks for all of them together later.
// One that takes for too long is parked: a replay asks for it again.
func (w *worker) await(tasks []*task, verdicts []runtime.Verdict) {
	var waiting []*task
	polls := 0
	for i, t := range tasks {
		t.item.Operation = verdicts[i].Operation
		if t.pending.IsZero() {
			t.pending = time.Now()
		}
		t.polls++
		if time.Since(t.pending) > w.runner.config.RetryFor && !w.runner.parkingFull() {
			v := verdicts[i]
			v.Reason = "it takes longer than " + w.runner.config.RetryFor.String() + ": " + v.Reason
			w.park(t, v, held)
			continue
		}
		polls = max(polls, t.polls)
		t.part.held[t] = true
		waiting = append(waiting, t)
	}
	if len(waiting) == 0 {
		return
	}
	w.later(w.backoff(polls, 0), func() {
		var ready []*task
		for _, t := range waiting {
			if t.part.held[t] && !t.part.closing {
				delete(t.part.held, t)
				ready = append(ready, t)
			}
		}
		if len(ready) > 0 {
			w.enqueueAll(ready)
		}
	})
}

// enqueueAll puts tasks of one lane to its front, and then looks whether it can start: they go together where they may.
func (w *worker) enqueueAll(tasks []*task) {
	l := w.laneNamed(tasks[0].laneOf())
	for _, t := range tasks {
		l.bytes += t.bytes
	}
	l.queue = append(tasks, l.queue...)
	w.consider(l)
}
