package dispatch

import (
	"slices"
	"time"
)

// Owner is on whose behalf tasks are delivered, such as a partition with a lease. Tasks of different owners can share a batch.
type Owner[T any] struct {
	dispatcher *Dispatcher[T]
	allowance  func() time.Duration
	chains     chainTable[T]       // tasks by key
	delayed    map[*Task[T]]*timer // tasks that wait for a retry of their own
	inFlight   int                 // tasks in batches in flight
	draining   bool                // no more tasks are sent
	closed     bool                // no more outcomes are reported
}

// NewOwner returns an Owner. allowance is called with the lock held before its tasks are sent. It returns how long a request that
// starts now may take: no task is sent if that is not positive. It may be nil.
func (d *Dispatcher[T]) NewOwner(allowance func() time.Duration) *Owner[T] {
	o := &Owner[T]{dispatcher: d, allowance: allowance, chains: chainTable[T]{hash: d.hash}, delayed: map[*Task[T]]*timer{}}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.owners[o] = true
	return o
}

// Drain sends no more tasks of the owner. Tasks in flight may still finish; all others, also those that would be retried, are
// forgotten without an outcome.
func (o *Owner[T]) Drain() {
	o.dispatcher.mu.Lock()
	defer o.dispatcher.mu.Unlock()
	o.DrainLocked()
}

// DrainLocked is Drain for callers that have locked the dispatcher. If a method of the handler calls it while the results of a batch are applied,
// the tasks are forgotten after that.
func (o *Owner[T]) DrainLocked() {
	if o.draining {
		return
	}
	o.draining = true
	if d := o.dispatcher; d.applying {
		d.ending = append(d.ending, o)
		return
	}
	o.forgetWaiting()
}

// forgetWaiting forgets the tasks that are not in flight.
func (o *Owner[T]) forgetWaiting() {
	d := o.dispatcher
	var dropped []*Task[T]
	belongs := func(t *Task[T]) bool { return t.Owner == o }
	for _, l := range d.lanes {
		for _, t := range l.removeTasks(belongs) {
			if t.Key == "" {
				dropped = append(dropped, t)
			}
		}
	}
	for _, first := range slices.Collect(o.chains.all()) {
		dropped = append(dropped, o.cutChain(first, first.inRequest)...)
	}
	clear(o.delayed)
	o.forgetAll(dropped)
}

// Close ends the owner. Nothing more is reported about its tasks.
func (o *Owner[T]) Close() {
	o.dispatcher.mu.Lock()
	defer o.dispatcher.mu.Unlock()
	o.CloseLocked()
}

// CloseLocked is Close for callers that have locked the dispatcher.
func (o *Owner[T]) CloseLocked() {
	o.DrainLocked()
	o.closed = true
	delete(o.dispatcher.owners, o)
}

// InFlightLocked returns how many of its tasks are in batches in flight. The caller has locked the dispatcher.
func (o *Owner[T]) InFlightLocked() int { return o.inFlight }

// RetryingLocked returns how many of its tasks wait for a retry or a poll of their own. The caller has locked the dispatcher.
func (o *Owner[T]) RetryingLocked() int { return len(o.delayed) }

// WaitingLocked returns how many tasks of a key have no outcome. The caller has locked the dispatcher.
func (o *Owner[T]) WaitingLocked(key string) int {
	if first := o.chains.find(key, o.chains.hash(key)); first != nil {
		return first.chain.n
	}
	return 0
}

// TakeBehindLocked takes the tasks that wait behind the first ones of keys which choose selects: the host keeps them elsewhere,
// and the dispatcher forgets them. The first task of each key stays, with the tasks that are or were sent along with it. It returns
// the tasks of each selected key in order. The caller has locked the dispatcher.
func (o *Owner[T]) TakeBehindLocked(choose func(Chain[T]) bool) (taken [][]*Task[T]) {
	for first := range o.chains.all() {
		c := &first.chain
		if c.n == 1 || !choose(Chain[T]{first, c.n, c.bytes}) {
			continue
		}
		rest := o.cutChain(first, true)
		if len(rest) > 0 {
			taken = append(taken, rest)
		}
		o.forgetAll(rest)
	}
	return taken
}

// TakeFailingLocked takes the tasks that wait for a retry, each with those of its key behind it, so that others have space. It
// leaves lanes alone that have a batch in flight. The caller has locked the dispatcher.
func (o *Owner[T]) TakeFailingLocked() (taken [][]*Task[T]) {
	d := o.dispatcher
	var failing []*Task[T]
	for t := range o.delayed {
		failing = append(failing, t)
	}
	for _, l := range d.lanes {
		if l.failures > 0 && !l.busy {
			failing = append(failing, l.removeTasks(func(t *Task[T]) bool { return t.Owner == o && t.Key != "" })...)
		}
	}
	for _, t := range failing {
		taken = append(taken, o.takeKey(t))
	}
	return taken
}

// takeKey takes a task, the first of its key and in no queue, and those behind it.
func (o *Owner[T]) takeKey(t *Task[T]) []*Task[T] {
	delete(o.delayed, t)
	tasks := []*Task[T]{t}
	if first := o.chains.find(t.Key, t.hash); t.Key != "" && first != nil {
		tasks = o.cutChain(first, false)
	}
	o.forgetAll(tasks)
	return tasks
}

// forgetAll ends tasks without a report.
func (o *Owner[T]) forgetAll(tasks []*Task[T]) {
	for _, t := range tasks {
		o.dispatcher.uncount(t.Bytes)
	}
}
