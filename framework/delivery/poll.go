package delivery

import (
	"time"

	"github.com/landfall-dev/landfall/framework/runtime"
)

// pollLater schedules the next poll of tasks whose operation is still running on the remote. They are polled together; later
// tasks of their keys wait. A task that has waited longer than RetryFor is parked, and a replay polls it again.
func (w *worker) pollLater(tasks []*task, verdicts []runtime.Verdict) {
	var waiting []*task
	polls := 0
	for i, t := range tasks {
		t.item.Operation = verdicts[i].Operation
		if t.pendingSince.IsZero() {
			t.pendingSince = time.Now()
		}
		t.polls++
		if time.Since(t.pendingSince) > w.runner.settings.RetryFor && !w.runner.isParkingFull() {
			v := verdicts[i]
			v.Reason = "it takes longer than " + w.runner.settings.RetryFor.String() + ": " + v.Reason
			w.parkKey(t, v, kindHeld)
			continue
		}
		polls = max(polls, t.polls)
		t.partition.delayed[t] = true
		waiting = append(waiting, t)
	}
	if len(waiting) == 0 {
		return
	}
	w.runAfter(w.backoffFor(polls, 0), func() {
		var ready []*task
		for _, t := range waiting {
			if t.partition.delayed[t] && !t.partition.closing {
				delete(t.partition.delayed, t)
				ready = append(ready, t)
			}
		}
		if len(ready) > 0 {
			w.enqueueFront(ready)
		}
	})
}

// enqueueFront puts tasks of one lane at the front of its queue in one step, so that they can share a batch.
func (w *worker) enqueueFront(tasks []*task) {
	l := w.laneFor(tasks[0].laneName())
	for _, t := range tasks {
		l.bytes += t.bytes
	}
	l.queue = append(tasks, l.queue...)
	w.scheduleLane(l)
}
