package delivery

import (
	"net/http"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// A batch that keeps failing as a whole may hold one event that the remote cannot process, although it answers 500, breaks the
// connection or does not answer. Such a batch is halved: maxBatch of its tasks limits the size of their next batch. Once the
// event is alone, its failures are its own, and the others are delivered.
//
// In an outage every batch fails. Halving costs no additional requests then, because the lane waits for its backoff after each
// failure, whatever the size of the batch. After outageFailures in a row nothing is halved further, and the first success resets
// maxBatch of all tasks.
const (
	failuresBeforeHalving            = 3 // failures of a batch before it is halved if nothing else in the lane succeeds
	failuresBeforeHalvingAmidSuccess = 2 // the same if something else succeeds
	outageFailures                   = 8
)

// isWholeFailure reports whether a batch failed as a whole: some items can be retried, and the remote has accepted or refused
// none. Items refused by this process do not count.
func isWholeFailure(verdicts []runtime.Verdict) bool {
	retry := false
	for i := range verdicts {
		switch v := &verdicts[i]; v.Outcome {
		case runtime.Retry:
			retry = true
		case runtime.Delivered, runtime.Pending:
			return false
		case runtime.Refused:
			if v.Reporter == fault.ReporterDestination {
				return false
			}
		}
	}
	return retry
}

// noteSuccess records that the remote has accepted something from a lane. If that ends an outage, the earlier failures say
// nothing about the tasks.
func (w *worker) noteSuccess(l *lane) {
	if l.failures >= outageFailures {
		for _, t := range l.queue {
			t.maxBatch, t.batchFailures = 0, 0
		}
	}
	l.failures, l.lastSuccess = 0, time.Now()
	w.lastSuccess = l.lastSuccess
}

// canJoin reports whether a task can be added to a batch. Tasks of halved batches are batched with each other only.
func (t *task) canJoin(batch []*task) bool {
	if len(batch) == 0 {
		return true
	}
	span := batch[0].maxBatch
	return (t.maxBatch > 0) == (span > 0) && (span == 0 || len(batch) < min(span, t.maxBatch))
}

// isOwnFailure reports whether a failure is the task's own: the remote accepted other events of its batch, or the task was alone
// and the remote has accepted others of its lane since its first failure. Later failures of such a task are its own, too.
func (t *task) isOwnFailure(l *lane, batch []*task, whole bool) bool {
	return !whole || len(batch) == 1 && (t.ownFailures > 0 || !t.firstFailed.IsZero() && l.lastSuccess.After(t.firstFailed))
}

// noteBatchFailure counts a failure of the whole batch for its tasks, and halves the batch if one of them may be the cause. The
// lane's failures include this one.
func (l *lane) noteBatchFailure(tasks []*task, verdicts []runtime.Verdict) {
	if len(tasks) == 1 || !dependsOnContent(verdicts) {
		return
	}
	first := tasks[0].firstFailed
	for _, t := range tasks {
		t.batchFailures++
		if t.firstFailed.Before(first) {
			first = t.firstFailed
		}
	}
	wholes := tasks[0].batchFailures
	if l.lastSuccess.After(first) && wholes >= failuresBeforeHalvingAmidSuccess || wholes >= failuresBeforeHalving && l.failures < outageFailures ||
		tasks[0].maxBatch > 0 && l.failures < outageFailures {
		for _, t := range tasks {
			t.maxBatch, t.batchFailures = (len(tasks)+1)/2, 0
		}
	}
}

// dependsOnContent reports whether the failures may be caused by the content of the batch: server errors, timeouts and broken
// connections, but not rate limits, locks or errors of this process.
func dependsOnContent(verdicts []runtime.Verdict) bool {
	for i := range verdicts {
		v := &verdicts[i]
		if v.Outcome != runtime.Retry {
			continue
		}
		if v.Status == http.StatusTooManyRequests || v.Status == http.StatusLocked || v.RetryAfter > 0 || v.Code == fault.CodeState || v.Code == fault.CodeLogin {
			return false
		}
	}
	return true
}
