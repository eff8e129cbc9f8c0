package delivery

import (
	"net/http"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// A batch that keeps failing as a whole may hold one event that the remote cannot take, although it answers 500, breaks the
// connection or does not answer. Such a batch is halved: its items get a span, the most items that their next batch may have. Once
// the event is alone, it counts its own failures, and the others are delivered.
//
// In an outage every batch fails. Halving costs no requests then: after each failure the lane waits for its backoff, whatever the
// size of the batch. After outageFailures in a row nothing is halved further, and the first success lifts all spans.
const (
	failuresBeforeHalving            = 3 // failures of a span before it is halved, while nothing else of the lane succeeds
	failuresBeforeHalvingAmidSuccess = 2 // the same, while something else does
	outageFailures                   = 8
)

// isWholeFailure reports whether a batch failed as a whole: some items may be tried again and the remote has decided none. Items that
// were decided on this side say nothing about it.
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

// noteSuccess notes that the remote has taken something of a lane. If it was down before, the failures say nothing about the items.
func (w *worker) noteSuccess(l *lane) {
	if l.failures >= outageFailures {
		for _, t := range l.queue {
			t.maxBatch, t.batchFailures = 0, 0
		}
	}
	l.failures, l.lastSuccess = 0, time.Now()
	w.lastSuccess = l.lastSuccess
}

// canJoin reports whether a task may be part of a batch. Suspects are sent with suspects only.
func (t *task) canJoin(batch []*task) bool {
	if len(batch) == 0 {
		return true
	}
	span := batch[0].maxBatch
	return (t.maxBatch > 0) == (span > 0) && (span == 0 || len(batch) < min(span, t.maxBatch))
}

// isOwnFailure reports whether a failure is the task's own: the remote took others of its batch, or it was alone and the remote has
// taken others of its lane since it first failed. That holds for its later failures too.
func (t *task) isOwnFailure(l *lane, batch []*task, whole bool) bool {
	return !whole || len(batch) == 1 && (t.ownFailures > 0 || !t.firstFailed.IsZero() && l.lastSuccess.After(t.firstFailed))
}

// noteBatchFailure counts a failure of the whole batch for its items, and halves their span if it may be one of them that the remote cannot
// take. The lane's failures include this one.
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

// dependsOnContent reports whether failures may come from what the batch holds: errors of the server, timeouts and broken
// connections, but neither limits and locks nor what this side could not do.
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
