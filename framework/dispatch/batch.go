package dispatch

import (
	"math"
	"slices"
	"time"
)

// Batch is tasks that are sent together.
type Batch[T any] struct {
	Tasks []*Task[T] // of one lane and group, in order
	// Limit is how long the request may take from Send on, at most, because of the owners of its tasks; 0 for no limit.
	Limit time.Duration

	dispatcher *Dispatcher[T]
	lane       *lane[T]
	heads      []*Task[T] // the tasks without their runs
}

// nextBatch removes the next batch from a lane. It returns nil if none is due, or if no owner allows a request.
func (d *Dispatcher[T]) nextBatch(l *lane[T], now time.Time) *Batch[T] {
	q, _, _ := d.nextQueue(l, now)
	if q == nil {
		return nil
	}
	heads, limit := d.takeHeads(q)
	l.queued -= len(heads)
	if len(heads) == 0 {
		l.pausedUntil = now.Add(d.config.Recheck)
		return nil
	}
	tasks := withRuns(heads)
	for _, t := range tasks {
		t.Owner.inFlight++
	}
	l.busy = true
	d.inFlight++
	d.changed.Broadcast()
	return &Batch[T]{Tasks: tasks, Limit: limit, dispatcher: d, lane: l, heads: heads}
}

// takeHeads removes the first tasks of a queue that fit into one batch and whose owners allow a request. limit is the least that
// an owner allows.
func (d *Dispatcher[T]) takeHeads(q *queue[T]) (heads []*Task[T], limit time.Duration) {
	var skipped []*Task[T]
	bytes, most := 0, math.MaxInt
	for q.len() > 0 {
		t := q.first()
		if len(heads) > 0 && (len(heads) >= min(most, t.MaxBatch) || !d.fits(t, heads, bytes)) {
			break
		}
		q.pop()
		if t.Owner.allowance != nil {
			allowed := t.Owner.allowance()
			if allowed <= 0 {
				skipped = append(skipped, t)
				continue
			}
			if limit == 0 || allowed < limit {
				limit = allowed
			}
		}
		if heads == nil {
			heads = make([]*Task[T], 0, min(q.len()+1, max(t.MaxBatch, 1)))
		}
		heads = append(heads, t)
		bytes += t.Bytes
		most = min(most, t.MaxBatch)
	}
	q.updateLimit()
	for i := len(skipped) - 1; i >= 0; i-- {
		q.pushFront(skipped[i])
	}
	return heads, limit
}

// fits reports whether a task of the same queue can be added to a batch that is not full.
func (d *Dispatcher[T]) fits(t *Task[T], heads []*Task[T], bytes int) bool {
	first := heads[0]
	if first.MaxBytes > 0 && bytes+t.Bytes > first.MaxBytes {
		return false
	}
	if d.retriesInPlace(first) && first.wasTried() != t.wasTried() { // a batch that is retried in its place stays as it is
		return false
	}
	most := first.past().maxBatch
	return most == 0 || len(heads) < min(most, t.past().maxBatch)
}

// Tasks of one key that may share a request are sent as a run: the tasks that wait behind the first one are sent along with it, so
// that a hot key needs one request for many tasks. Other tasks of a key are sent one after the other: if the first of two in a
// request failed, the second would overtake it.

// withRuns returns the tasks of a batch, each followed by its run: the tasks behind it that may be sent along and fit.
func withRuns[T any](heads []*Task[T]) []*Task[T] {
	first := heads[0]
	n, bytes, more := len(heads), 0, 0
	for _, t := range heads {
		t.inRequest, t.run = true, 0
		bytes += t.Bytes
	}
	for _, t := range heads {
		if !t.Together {
			continue
		}
		// The part of the run that was in a failed request is sent again whatever the limits are: the remote may have applied its
		// newest task, and an older one alone would undo that.
		past := t.past()
		for f := t.next; f != nil && f.Together && f.Lane == first.Lane && f.Group == first.Group; f = f.next {
			carried := t.run < past.carried
			full := past.maxBatch > 0 || n >= first.MaxBatch || first.MaxBytes > 0 && bytes+f.Bytes > first.MaxBytes || f.wasTried()
			if !carried && full {
				break
			}
			f.inRequest = true
			t.run++
			n++
			bytes += f.Bytes
			more++
		}
	}
	if more == 0 {
		return heads
	}
	tasks := make([]*Task[T], 0, len(heads)+more)
	for _, t := range heads {
		tasks = append(tasks, t)
		for f, left := t.next, t.run; left > 0; f, left = f.next, left-1 {
			tasks = append(tasks, f)
		}
	}
	return tasks
}

// Done reports the results of a batch, one for each of its tasks, in their order. It is called once, without the lock.
func (b *Batch[T]) Done(results []Result) {
	d := b.dispatcher
	d.mu.Lock()
	defer d.mu.Unlock()
	b.DoneLocked(results)
}

// DoneLocked is Done for callers that have locked the dispatcher.
func (b *Batch[T]) DoneLocked(results []Result) {
	d, l := b.dispatcher, b.lane
	d.inFlight--
	for _, t := range b.Tasks {
		t.inRequest = false
		t.Owner.inFlight--
	}
	whole := isWholeFailure(results)
	if !whole {
		d.noteSuccess(l, results)
	}
	stopsAll := func(r Result) bool { return r.Outcome == NotSent && r.RetryAfter <= 0 } // also if its task was dropped
	d.suspended = d.suspended || slices.ContainsFunc(results, stopsAll)
	d.applying = true
	heads, results := d.settleRuns(b, results)
	d.applyResults(l, heads, results, whole)
	d.applying = false
	for _, o := range d.ending {
		o.forgetWaiting()
	}
	d.ending = nil
	l.busy = false
	l.dropIdleGroups()
	d.schedule(l)
	d.startBatches()
}
