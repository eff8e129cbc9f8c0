package delivery

import (
	"encoding/json"
	"time"

	"github.com/landfall-dev/landfall/framework/dispatch"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/internal/pause"
)

// parkedBehind is the verdict of an event that is parked because an earlier event of the same key is.
var parkedBehind = runtime.NotDelivered(runtime.Retry, fault.CauseBehindParked)

// evictedVerdict is the verdict of an event that is parked to let others pass.
var evictedVerdict = runtime.Verdict{Outcome: runtime.Retry, Status: 503, Cause: fault.CauseEvicted, Reason: fault.CauseEvicted.Text()}

// settleTaskLocked applies a final verdict to a task that is in no chain.
func (w *worker) settleTaskLocked(t *task, v runtime.Verdict) {
	if v.Outcome == runtime.Refused {
		w.storeDeadLetterLocked(t, t.newDeadLetter(v, false, time.Now()), "")
		return
	}
	outcome := countDelivered
	if v.Outcome == runtime.Skipped {
		outcome = countSkipped
	}
	w.finishTaskLocked(t, outcome, v.Cause, v.Reason)
}

// parkTasksLocked parks a task and those that wait behind it, which the dispatcher has given up. Later events of the key are parked when
// they are read.
func (w *worker) parkTasksLocked(list []*dispatch.Task[*task], v runtime.Verdict, kind string) {
	if list = w.withoutErasedLocked(list); len(list) == 0 {
		return
	}
	p, key, now := list[0].Value.partition, shortHash(list[0].Value.key), time.Now()
	p.parked.park(key, kind)
	for _, t := range list {
		w.storeDeadLetterLocked(t.Value, t.Value.newDeadLetter(v, true, now), kind)
		v = parkedBehind
	}
}

// storeDeadLetterLocked stores a dead letter and then finishes its task. If the event may have a stored one already, the two are merged.
func (w *worker) storeDeadLetterLocked(t *task, l *DeadLetter, kind string) {
	if w.skipErasedLocked(t) {
		return
	}
	if t.letterLoaded || t.letter == nil && t.origin.seq == 0 {
		w.writeDeadLetterLocked(t, l, kind)
		return
	}
	w.withStoredLetterLocked(t, func() {
		l.inheritFrom(t)
		w.writeDeadLetterLocked(t, l, kind)
	})
}

// writeDeadLetterLocked writes a dead letter and then finishes its task. It retries until the partition is released or abandoned.
func (w *worker) writeDeadLetterLocked(t *task, l *DeadLetter, kind string) {
	line, err := json.Marshal(l)
	if err != nil {
		panic(err) // cannot happen: every field can be marshaled, and the event is JSON
	}
	p, to, subject := t.partition, w.runner.queue.dead, l.subjectFor(kind)
	if l.Parked {
		to = w.runner.queue.parked
	}
	p.pendingWrites++
	var write func()
	write = func() {
		to.submit([]record{{subject, line}}, func(err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if err != nil && !p.closing {
				w.runner.log.Warn("storing a dead letter", "instance", w.id, "error", err)
				time.AfterFunc(time.Second, write)
				return
			}
			p.pendingWrites--
			w.changed.Broadcast()
			if p.abandoned || err != nil { // it is read again
				t.releaseStoredLetterLocked()
				return
			}
			outcome := countDead
			if l.Parked {
				outcome = countParked
			}
			if t.letter != nil && t.letter.storedSubject == subject {
				t.letter.replaced = true
			}
			t.writtenVerdicts = max(l.Verdicts, 1)
			w.finishTaskLocked(t, outcome, l.Cause, l.Reason)
		})
	}
	write()
}

// finishTaskLocked ends a task with an outcome. It deletes the dead letter that the task comes from.
func (w *worker) finishTaskLocked(t *task, outcome string, cause fault.Cause, reason string) {
	p := t.partition
	if !t.letterLoaded && t.letter == nil && t.origin.seq > 0 && p.counts[countDead]+p.counts[countParked] > 0 {
		w.withStoredLetterLocked(t, func() { w.finishTaskLocked(t, outcome, cause, reason) })
		return
	}
	w.rememberVerdictLocked(t, outcome, cause, reason)
	if t.letter == nil {
		t.releaseStoredLetterLocked()
		p.countVerdictLocked(outcome, t.item.Subscription.Name(), cause, reason)
		w.removeTaskLocked(t, outcome)
		return
	}
	p.pendingWrites++
	w.goroutines.Go(func() {
		for !t.letter.replaced && w.ctx.Err() == nil {
			if err := w.runner.queue.deleteLetter(w.ctx, t.letter); err == nil {
				break
			}
			_ = pause.For(p.ctx, time.Second)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		p.pendingWrites--
		w.changed.Broadcast()
		if w.ctx.Err() == nil && !p.abandoned {
			p.countLetterLocked(t, outcome)
		}
		t.releaseStoredLetterLocked()
		if w.ctx.Err() != nil || p.abandoned {
			return
		}
		p.letters.endTask(t.taskOf)
		p.countVerdictLocked(outcome, t.item.Subscription.Name(), cause, reason)
		w.removeTaskLocked(t, outcome)
	})
}

// countLetterLocked takes the dead letter of a finished task out of the counts, unless another task was finished with the same one before. It
// adds what the dead letter that the task has written stands for. recordOutcomeLocked adds the task's own verdict.
func (p *partition) countLetterLocked(t *task, outcome string) {
	l := t.letter
	if !p.letters.settle(l.storedSubject, l.storedSeq) {
		if t.writtenVerdicts > 0 {
			p.counts[outcome] += int64(t.writtenVerdicts - 1)
		} else {
			p.counts[outcome] -= int64(t.ownVerdictCount())
		}
		return
	}
	was := countDead
	if l.Parked {
		was = countParked
	}
	p.counts[was] -= int64(l.verdictCount)
	p.counts[outcome] += int64(l.verdictCount - t.ownVerdictCount())
}

// removeTaskLocked frees the memory of a finished task and records its outcome.
func (w *worker) removeTaskLocked(t *task, outcome string) {
	p := t.partition
	if p.abandoned {
		return
	}
	p.taskCount--
	p.countTaskBytesLocked(-t.bytes)
	p.recordOutcomeLocked(t.page, t.eventIndex, outcome)
	w.changed.Broadcast()
}

// evictFailingLocked parks the failing tasks that block a full partition, so that others can be read. It reports whether there were
// any.
func (p *partition) evictFailingLocked() bool {
	w := p.worker
	if w.suspendReason != "" || w.runner.isParkingFull() || !p.shouldEvictLocked() {
		return false
	}
	blocked := p.owner.TakeFailingLocked()
	p.unparkBatch = 0
	for _, list := range blocked {
		w.parkTasksLocked(list, evictedVerdict, kindEvicted)
	}
	return len(blocked) > 0
}

// shouldEvictLocked reports whether parking failing keys may unblock others, that is, whether the remote has accepted something
// recently. Without a recent success it allows an eviction with exponential backoff, because only events that are not read yet
// can tell whether the remote accepts others.
func (p *partition) shouldEvictLocked() bool {
	w := p.worker
	wait := max(12*w.runner.settings.EvictAfter, time.Second)
	if time.Since(w.dispatcher.StatsLocked().LastSuccess) <= wait {
		p.evictCheckedAt, p.evictBackoffs = time.Now(), 0
		return true
	}
	if time.Since(p.evictCheckedAt) < wait<<p.evictBackoffs {
		return false
	}
	p.evictCheckedAt, p.evictBackoffs = time.Now(), min(p.evictBackoffs+1, 8)
	return true
}

// keysToUnparkLocked returns evicted keys to resume if the partition has capacity and no lane is failing. It starts with one key and
// doubles the number each time.
func (p *partition) keysToUnparkLocked() []string {
	if p.taskCount > p.worker.runner.settings.MaxInFlight/2 || len(p.openPages) > maxOpenPages/2 || time.Since(p.unparkedAt) < p.worker.runner.settings.EvictAfter {
		return nil
	}
	if p.worker.dispatcher.StatsLocked().Failing {
		return nil
	}
	keys := p.parked.evicted(max(p.unparkBatch, 1))
	if len(keys) > 0 {
		p.unparkedAt, p.unparkBatch = time.Now(), min(max(2*p.unparkBatch, 2), maxCommandItems)
	}
	return keys
}
