package dispatch

import "slices"

// A batch that keeps failing as a whole may hold one task that the remote cannot process, although it answers 500, breaks the
// connection or does not answer. Such a batch is halved: the history of its tasks limits the size of their next batch. Once the
// task is alone, its failures are its own, and the others are delivered.
//
// In an outage every batch fails. Halving costs no additional requests then, because the lane waits for its backoff after each
// failure, whatever the size of the batch. After outageFailures in a row nothing is halved further, and the first success lifts
// the limits of all tasks.
const (
	failuresBeforeHalving            = 3 // failures of a batch before it is halved if nothing else in the lane succeeds
	failuresBeforeHalvingAmidSuccess = 2 // the same if something else succeeds
	outageFailures                   = 8
)

// isWholeFailure reports whether a batch failed as a whole: some tasks can be retried, and the remote has decided or accepted
// none.
func isWholeFailure(results []Result) bool {
	retry := false
	for _, r := range results {
		switch r.Outcome {
		case Retry:
			retry = true
		case Done, Pending:
			return false
		}
	}
	return retry
}

// noteSuccess records that a lane works, if a result says so. If that ends an outage, the earlier failures say nothing about the
// tasks.
func (d *Dispatcher[T]) noteSuccess(l *lane[T], results []Result) {
	if !slices.ContainsFunc(results, func(r Result) bool { return r.Outcome != Retry && r.Outcome != NotSent }) {
		return
	}
	if l.failures >= outageFailures {
		l.endHalving()
	}
	l.failures, l.lastSuccess = 0, d.config.Clock.Now()
	d.lastSuccess = l.lastSuccess
}

// endHalving lets all tasks of a lane share batches again.
func (l *lane[T]) endHalving() {
	for _, g := range l.groups {
		for g.halved.len() > 0 {
			t := g.halved.pop()
			t.history.maxBatch, t.history.wholes = 0, 0
			g.fresh.push(t)
		}
	}
}

// isOwnFailure reports whether a failure is the task's own: the remote accepted other tasks of its batch, or the task was alone
// and the remote has accepted others of its lane since its first failure. Later failures of such a task are its own, too.
func (t *Task[T]) isOwnFailure(l *lane[T], size int, whole bool) bool {
	past := t.past()
	return !whole || size == 1 && (past.failures > 0 || !past.firstFailed.IsZero() && l.lastSuccess.After(past.firstFailed))
}

// noteBatchFailure counts a failure of the whole batch for its tasks, and halves the batch if one of them may be the cause. The
// lane's failures include this one.
func (l *lane[T]) noteBatchFailure(tasks []*Task[T], results []Result) {
	if len(tasks) == 1 || !dependsOnContent(results) {
		return
	}
	oldest := tasks[0].history
	for _, t := range tasks {
		t.history.wholes++
		if t.history.firstFailed.Before(oldest.firstFailed) {
			oldest = t.history
		}
	}
	first := tasks[0].history
	amidSuccess := l.lastSuccess.After(oldest.firstFailed) && first.wholes >= failuresBeforeHalvingAmidSuccess
	if amidSuccess || l.failures < outageFailures && (first.wholes >= failuresBeforeHalving || first.maxBatch > 0) {
		for _, t := range tasks {
			t.history.maxBatch, t.history.wholes = (len(tasks)+1)/2, 0
		}
	}
}

// dependsOnContent reports whether the failures may be caused by the content of the batch.
func dependsOnContent(results []Result) bool {
	for _, r := range results {
		if r.Outcome == Retry && (r.Unrelated || r.RetryAfter > 0) {
			return false
		}
	}
	return true
}
