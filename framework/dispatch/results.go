package dispatch

import "time"

// settleRuns finishes the decided tasks of each run in a batch. It returns the other tasks with their results, each the first of its key:
// tasks without a run, and the first undecided task of each run.
func (d *Dispatcher[T]) settleRuns(b *Batch[T], results []Result) (rest []*Task[T], restResults []Result) {
	if len(b.heads) == len(b.Tasks) {
		return b.heads, results
	}
	rest, restResults = b.heads[:0], make([]Result, 0, len(b.heads))
	at := 0
	for _, t := range b.heads {
		run, own, first := b.Tasks[at:at+1+t.run], results[at:at+1+t.run], 0
		at += len(run)
		if len(run) > 1 {
			first = d.settleRun(run, own)
		}
		if first >= 0 {
			rest, restResults = append(rest, run[first]), append(restResults, own[first])
		}
	}
	return rest, restResults
}

// settleRun finishes the decided tasks of one run and relinks the others. It returns the index of the first of these, or -1.
func (d *Dispatcher[T]) settleRun(run []*Task[T], results []Result) (first int) {
	head, tail := run[0], run[len(run)-1].next
	o, c := head.Owner, head.chain
	head.run = 0
	if o.closed {
		o.takeKey(head)
		return -1
	}
	var kept []*Task[T]
	first = -1
	for i, t := range run {
		if results[i].isFinal() {
			c.n--
			c.bytes -= t.Bytes
			continue
		}
		if first < 0 {
			first = i
		} else if results[i].Outcome == Retry {
			t.attempts++
		}
		kept = append(kept, t)
	}
	if len(kept) > 0 {
		noteCarried(run, results, first)
	}
	next := o.relink(head, c, kept, tail)
	for i, t := range run {
		if results[i].isFinal() {
			t.next = nil
			d.finish(t, results[i])
		}
	}
	if len(kept) == 0 && next != nil {
		d.enqueueLast(next)
	}
	return first
}

// noteCarried notes how many of the undecided tasks of a run the remote may have applied, beside the first of them: all, or, if that was not sent,
// those that were in an earlier failed request.
func noteCarried[T any](run []*Task[T], results []Result, first int) {
	end, carried := len(run), 0
	if results[first].Outcome == NotSent {
		end = min(end, 1+run[0].past().carried)
	}
	for i := first + 1; i < end; i++ {
		if !results[i].isFinal() {
			carried++
		}
	}
	if run[first].past().carried != carried {
		run[first].record().carried = carried
	}
}

// finish reports the result of a task that is in no chain and no queue, unless its owner is closed.
func (d *Dispatcher[T]) finish(t *Task[T], r Result) {
	t.attempts++
	bytes := t.Bytes
	if !t.Owner.closed {
		d.handler.Finished(t, r)
	}
	d.uncount(bytes)
}

// finishHead reports the result of the first task of a key, and enqueues the next one.
func (d *Dispatcher[T]) finishHead(t *Task[T], r Result) {
	var next *Task[T]
	if t.Key != "" {
		next = t.Owner.popFromChain(t)
	}
	d.finish(t, r)
	if next != nil {
		d.enqueueLast(next)
	}
}

// retries collects the tasks of a batch that are sent again.
type retries[T any] struct {
	batch   []*Task[T] // keep their lane waiting, and go behind the others
	inPlace []*Task[T] // keep their lane waiting, and go first
	polls   []*Task[T]
	unsent  []*Task[T]
}

// applyResults applies results to the tasks of a batch, each the first of its key. whole is true if the batch failed as a whole.
func (d *Dispatcher[T]) applyResults(l *lane[T], heads []*Task[T], results []Result, whole bool) {
	var again retries[T]
	wait := time.Duration(0)
	for i, t := range heads {
		r, o := results[i], t.Owner
		wait = max(wait, r.RetryAfter)
		switch {
		case r.isFinal() && !o.closed:
			d.finishHead(t, r)
		case o.draining:
			o.takeKey(t)
		case r.Outcome == NotSent:
			again.unsent = append(again.unsent, t)
		case r.Outcome == Pending:
			d.applyPending(t, r, &again)
		default:
			d.applyFailure(l, t, r, len(heads), whole, &again)
		}
	}
	d.pollLater(again.polls)
	if len(again.unsent) > 0 && wait > 0 {
		l.pausedUntil = laterOf(l.pausedUntil, d.config.Clock.Now().Add(min(wait, d.config.MaxPause)))
	}
	d.enqueue(true, again.unsent...)
	if len(again.inPlace) > 0 {
		tries := 0
		for _, t := range again.inPlace {
			tries = max(tries, t.tries())
		}
		l.pausedUntil = laterOf(l.pausedUntil, d.config.Clock.Now().Add(d.backoff(tries, wait)))
		d.enqueue(true, again.inPlace...)
	}
	if len(again.batch) > 0 {
		l.failures++
		l.noteBatchFailure(again.batch, results)
		l.pausedUntil = laterOf(l.pausedUntil, d.config.Clock.Now().Add(d.backoff(l.failures, wait)))
		d.enqueue(false, again.batch...) // tasks that have not failed go first
	}
}

// applyPending lets a task wait for its next poll.
func (d *Dispatcher[T]) applyPending(t *Task[T], r Result, again *retries[T]) {
	past, now := t.record(), d.config.Clock.Now()
	if past.pendingSince.IsZero() {
		past.pendingSince = now
	}
	past.polls++
	switch {
	case now.Sub(past.pendingSince) > d.config.PollFor && d.exhaust(t, r):
	case d.retriesInPlace(t):
		again.inPlace = append(again.inPlace, t)
	default:
		again.polls = append(again.polls, t)
	}
}

// applyFailure decides how a failed task is retried.
func (d *Dispatcher[T]) applyFailure(l *lane[T], t *Task[T], r Result, size int, whole bool, again *retries[T]) {
	past, now := t.record(), d.config.Clock.Now()
	t.attempts++
	own := d.retriesInPlace(t) || t.isOwnFailure(l, size, whole)
	if past.firstFailed.IsZero() {
		past.firstFailed = now
	}
	if own {
		past.failures++
	}
	if (now.Sub(past.firstFailed) > d.config.RetryFor || past.failures >= d.config.MaxAttempts) && d.exhaust(t, r) {
		return
	}
	d.handler.Retried(t, r)
	switch {
	case d.retriesInPlace(t):
		again.inPlace = append(again.inPlace, t)
	case own || size == 1 && l.queued > 0 && l.failures == 0 && past.maxBatch == 0:
		d.delay(d.backoff(t.attempts, r.RetryAfter), t)
	default:
		again.batch = append(again.batch, t)
	}
}

// exhaust offers a task and those behind it to the host. It reports whether the host took them.
func (d *Dispatcher[T]) exhaust(t *Task[T], r Result) bool {
	tasks := []*Task[T]{t}
	if t.Key != "" {
		for f := t.next; f != nil; f = f.next {
			tasks = append(tasks, f)
		}
	}
	taken := d.handler.Exhausted(tasks, r)
	switch {
	case taken == 0:
		return false
	case taken == len(tasks):
		t.Owner.takeKey(t)
		return true
	}
	next := t
	for range taken {
		next = t.Owner.popFromChain(next)
	}
	if left := t.past().carried - taken; left > 0 {
		next.record().carried = left
	}
	t.Owner.forgetAll(tasks[:taken])
	d.enqueueLast(next)
	return true
}
