package delivery

import (
	"fmt"
	"time"

	"github.com/landfall-dev/landfall/framework/dispatch"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// isBackground reports whether the task is part of a replay.
func (t *task) isBackground() bool { return t.page.replayed || t.page.holdsLetters && !t.resumed }

// classOf returns the class of the requests for a batch.
func classOf(list []*dispatch.Task[*task]) budget.Class {
	if list[0].Value.isBackground() { // the others are in the same lane
		return budget.Background
	}
	return budget.Live
}

// deferForLocked pauses the instance because a limit let no request of a live event through. Replays wait in their lanes, so that they
// hold up no live event.
func (w *worker) deferForLocked(t *task, v runtime.Verdict) {
	if t.isBackground() || v.RetryAfter <= 0 {
		return
	}
	w.dispatcher.PauseLocked(v.RetryAfter)
	w.deferredUntil = time.Now().Add(v.RetryAfter)
}

// gateFindingsLocked returns the findings about the limits of the instance, and whether they explain its pause.
func (w *worker) gateFindingsLocked(now time.Time) (list []Finding, explained bool) {
	gate := w.instance.Plan.Gate()
	if gate == nil {
		return nil, false
	}
	s, deferred := gate.Status(), now.Before(w.deferredUntil)
	if s.Budget.Failure != "" {
		list = append(list, Finding{Code: CodeBudget, Instance: w.id, Message: "the budget cannot be read or written: " + s.Budget.Failure, Next: "see the log; delivery resumes automatically"})
	}
	if !s.DownSince.IsZero() {
		f := Finding{Code: CodeDown, Instance: w.id, Since: s.DownSince, Message: "the remote is down, and its events wait",
			Next: "one request at a time finds out whether it works again; landfall resume " + w.id + " sends one at once"}
		if s.NextProbe.After(now) {
			f.Until = s.NextProbe
		}
		return append(list, f), deferred
	}
	for _, window := range s.Budget.Windows {
		if window.Left == 0 && deferred && !s.Budget.PausedUntil.After(now) {
			return append(list, Finding{Code: CodeBudget, Instance: w.id, Until: w.deferredUntil,
				Message: fmt.Sprintf("the budget of %d %s in %s is spent, and events wait", window.Limit, window.Unit, budget.PerText(window.Per)),
				Next:    "delivery resumes automatically; if the remote allows more, raise the limit in the config"}), true
		}
	}
	return list, false
}

// progressRate counts finished tasks in the last hour. It has no lock of its own.
type progressRate struct {
	began  time.Time
	minute int64 // the present one, since 1970
	counts [60]int64
}

// advance clears the counts of the minutes that have passed.
func (r *progressRate) advance(now time.Time) {
	minute, size := now.Unix()/60, int64(len(r.counts))
	if r.began.IsZero() {
		r.began, r.minute = now, minute
	}
	for r.minute = max(r.minute, minute-size); r.minute < minute; {
		r.minute++
		r.counts[r.minute%size] = 0
	}
}

// count records a finished task.
func (r *progressRate) count(now time.Time) {
	r.advance(now)
	r.counts[r.minute%int64(len(r.counts))]++
}

// timeFor returns how long a number of tasks will take at the present rate; 0 if it is unknown.
func (r *progressRate) timeFor(tasks int, now time.Time) time.Duration {
	r.advance(now)
	sum := int64(0)
	for _, n := range r.counts {
		sum += n
	}
	elapsed := min(now.Sub(r.began), time.Duration(len(r.counts)-1)*time.Minute)
	if sum == 0 || elapsed < 10*time.Second {
		return 0
	}
	return time.Duration(float64(elapsed) / float64(sum) * float64(tasks))
}

// addLimitsLocked adds what is left of the limits, and when the waiting events will be finished. The worker's mutex is held.
func (s *Status) addLimitsLocked(w *worker, now time.Time) {
	if gate := w.instance.Plan.Gate(); gate != nil {
		limits := gate.Status()
		s.Limits = &limits
	}
	if left := s.Waiting + s.Behind; left > 0 {
		if d := w.progress.timeFor(left, now); d > 0 {
			s.ExpectedEnd = now.Add(d)
			if s.ExpectedEnd.Before(w.deferredUntil) {
				s.ExpectedEnd = w.deferredUntil
			}
		}
	}
}
