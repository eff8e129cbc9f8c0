package dispatch

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// lane is a sequence of batches, of which at most one is in flight. It holds at most one task of each key.
type lane[T any] struct {
	id          Lane
	groups      []*group[T]
	queued      int  // tasks in all groups
	busy        bool // a batch is in flight
	ready       bool // in the dispatcher's list of lanes with a batch to start
	pausedUntil time.Time
	wake        *timer
	failures    int       // batches that failed as a whole in a row
	lastSuccess time.Time // when the remote last accepted or refused something from this lane
}

// group is the tasks of a lane that may share a batch.
type group[T any] struct {
	id     Group
	fresh  queue[T]
	halved queue[T] // tasks of halved batches, which share batches with each other only
}

// maxIdleGroups is the number of groups that a lane keeps although they are empty.
const maxIdleGroups = 8

// enqueueLast adds a task, the first of its key, behind those of its lane. It returns the lane.
func (d *Dispatcher[T]) enqueueLast(t *Task[T]) *lane[T] {
	l := d.push(t)
	d.schedule(l)
	return l
}

// enqueue adds tasks, each the first of its key, to their lanes: behind the tasks there, or before them.
func (d *Dispatcher[T]) enqueue(front bool, tasks ...*Task[T]) {
	for i := range tasks {
		if front {
			d.pushFront(tasks[len(tasks)-1-i])
		} else {
			d.push(tasks[i])
		}
	}
	var last *lane[T]
	for _, t := range tasks {
		if l := d.lanes[t.Lane]; l != nil && l != last { // tasks of one lane are adjacent
			last = l
			d.schedule(l)
		}
	}
}

// push adds a task behind those of its lane, and returns the lane.
func (d *Dispatcher[T]) push(t *Task[T]) *lane[T] {
	l := d.laneFor(t.Lane)
	l.queued++
	d.enqueued++
	t.order = d.enqueued
	l.groupFor(t.Group).queueFor(t).push(t)
	return l
}

// pushFront adds a task before those of its lane.
func (d *Dispatcher[T]) pushFront(t *Task[T]) {
	l := d.laneFor(t.Lane)
	l.queued++
	t.order = 0
	l.groupFor(t.Group).queueFor(t).pushFront(t)
}

// laneFor returns a lane and creates it if needed.
func (d *Dispatcher[T]) laneFor(id Lane) *lane[T] {
	l := d.lanes[id]
	if l == nil {
		l = &lane[T]{id: id}
		d.lanes[id] = l
	}
	return l
}

// groupFor returns a group of the lane and creates it if needed.
func (l *lane[T]) groupFor(id Group) *group[T] {
	for _, g := range l.groups {
		if g.id == id {
			return g
		}
	}
	g := &group[T]{id: id}
	l.groups = append(l.groups, g)
	return g
}

func (g *group[T]) queueFor(t *Task[T]) *queue[T] {
	if t.past().maxBatch > 0 {
		return &g.halved
	}
	return &g.fresh
}

func (g *group[T]) isEmpty() bool { return g.fresh.len()+g.halved.len() == 0 }

// dropIdleGroups removes empty groups if there are many.
func (l *lane[T]) dropIdleGroups() {
	if len(l.groups) <= maxIdleGroups {
		return
	}
	kept := l.groups[:0]
	for _, g := range l.groups {
		if !g.isEmpty() {
			kept = append(kept, g)
		}
	}
	clear(l.groups[len(kept):])
	l.groups = kept
}

// removeTasks removes the tasks that match from all queues, and returns them.
func (l *lane[T]) removeTasks(match func(*Task[T]) bool) (removed []*Task[T]) {
	for _, g := range l.groups {
		removed = append(append(removed, g.fresh.remove(match)...), g.halved.remove(match)...)
	}
	l.queued -= len(removed)
	return removed
}

// dueAt returns when the next batch of a queue is due.
func (d *Dispatcher[T]) dueAt(q *queue[T], now time.Time) (at time.Time, ever bool) {
	t := q.first()
	if q.len() >= q.limit || t.MaxBytes > 0 && q.bytes >= t.MaxBytes || t.wasTried() || t.seq <= d.flushed {
		return now, true
	}
	return d.began.Add(t.arrived + d.config.Linger), d.config.Linger >= 0
}

// nextQueue returns the queue whose batch is due and has waited longest. If none is due, it returns when the
// first one will be, if ever.
func (d *Dispatcher[T]) nextQueue(l *lane[T], now time.Time) (next *queue[T], at time.Time, ever bool) {
	for _, g := range l.groups {
		for _, q := range [...]*queue[T]{&g.fresh, &g.halved} {
			if q.len() == 0 {
				continue
			}
			due, known := d.dueAt(q, now)
			switch {
			case !known:
			case !due.After(now):
				if next == nil || q.first().order < next.first().order {
					next = q
				}
			case !ever || due.Before(at):
				at, ever = due, true
			}
		}
	}
	return next, at, ever
}

// schedule marks a lane as ready if its next batch is due. Otherwise it sets a timer for when it is.
func (d *Dispatcher[T]) schedule(l *lane[T]) {
	if l.busy || l.ready || d.stopped {
		return
	}
	now := d.config.Clock.Now()
	if l.queued == 0 {
		d.dropIdleLane(l, now)
		return
	}
	next, due, ever := d.nextQueue(l, now)
	if next != nil {
		due, ever = now, true
	}
	if due.Before(l.pausedUntil) {
		due = l.pausedUntil
	}
	if !ever {
		return
	}
	if due.After(now) {
		d.wakeLane(l, due)
		return
	}
	d.cancelTimer(l.wake)
	l.wake = nil
	l.ready = true
	d.ready = append(d.ready, l)
	d.startBatches()
}

// wakeLane schedules a lane at a time, or earlier.
func (d *Dispatcher[T]) wakeLane(l *lane[T], at time.Time) {
	if l.wake != nil && !l.wake.at.After(at) {
		return
	}
	d.cancelTimer(l.wake)
	l.wake = d.callAt(at, func() { l.wake = nil; d.schedule(l) })
}

// dropIdleLane removes a lane without tasks. If its last batch failed, it is kept for as long as that may matter.
func (d *Dispatcher[T]) dropIdleLane(l *lane[T], now time.Time) {
	if keep := l.pausedUntil.Add(d.config.MaxBackoff); l.failures > 0 && keep.After(now) {
		d.wakeLane(l, keep)
		return
	}
	d.cancelTimer(l.wake)
	if d.lanes[l.id] == l {
		delete(d.lanes, l.id)
	}
}

// scheduleAll schedules the lanes in the order of their first tasks, so that lanes that become due together start in that order.
func (d *Dispatcher[T]) scheduleAll() {
	lanes := make([]*lane[T], 0, len(d.lanes))
	for _, l := range d.lanes {
		lanes = append(lanes, l)
	}
	slices.SortFunc(lanes, func(a, b *lane[T]) int { return cmp.Compare(a.firstOrder(), b.firstOrder()) })
	for _, l := range lanes {
		d.schedule(l)
	}
}

// firstOrder returns the order of the lane's first task.
func (l *lane[T]) firstOrder() uint64 {
	first := uint64(math.MaxUint64)
	for _, g := range l.groups {
		for _, q := range [...]*queue[T]{&g.fresh, &g.halved} {
			if q.len() > 0 {
				first = min(first, q.first().order)
			}
		}
	}
	return first
}

// startBatches starts batches of ready lanes, up to the limit of batches in flight.
func (d *Dispatcher[T]) startBatches() {
	for len(d.ready) > 0 && d.inFlight < d.config.MaxBatches && !d.stopped && !d.suspended {
		now := d.config.Clock.Now()
		if d.pausedUntil.After(now) {
			if d.pauseTimer == nil {
				d.pauseTimer = d.callAt(d.pausedUntil, func() { d.pauseTimer = nil; d.startBatches() })
			}
			return
		}
		l := d.ready[0]
		d.ready[0] = nil
		d.ready = d.ready[1:]
		l.ready = false
		if b := d.nextBatch(l, now); b != nil {
			d.handler.Send(b)
			continue
		}
		d.schedule(l)
	}
}

// queue is a sequence of tasks.
type queue[T any] struct {
	tasks   []*Task[T] // those before head are nil
	head    int
	bytes   int
	limit   int // the least MaxBatch of its tasks
	atLimit int // tasks with that MaxBatch
}

func (q *queue[T]) len() int { return len(q.tasks) - q.head }

// first returns the first task of a queue that is not empty.
func (q *queue[T]) first() *Task[T] { return q.tasks[q.head] }

func (q *queue[T]) push(t *Task[T]) {
	if q.head > 0 && q.head == len(q.tasks) {
		q.tasks, q.head = q.tasks[:0], 0
	}
	if q.head > len(q.tasks)/2 && len(q.tasks) == cap(q.tasks) {
		n := copy(q.tasks, q.tasks[q.head:])
		clear(q.tasks[n:])
		q.tasks, q.head = q.tasks[:n], 0
	}
	q.tasks = append(q.tasks, t)
	q.count(t)
}

// count adds a task to the sums of the queue.
func (q *queue[T]) count(t *Task[T]) {
	q.bytes += t.Bytes
	q.countLimit(t, q.len() == 1)
}

// countLimit takes the MaxBatch of a task into account. first says that there was none before.
func (q *queue[T]) countLimit(t *Task[T], first bool) {
	switch {
	case first || t.MaxBatch < q.limit:
		q.limit, q.atLimit = t.MaxBatch, 1
	case t.MaxBatch == q.limit:
		q.atLimit++
	}
}

// uncount subtracts a removed task from the sums of the queue. updateLimit must follow.
func (q *queue[T]) uncount(t *Task[T]) {
	q.bytes -= t.Bytes
	if t.MaxBatch == q.limit {
		q.atLimit--
	}
}

// updateLimit computes the limit after tasks were removed. It looks at the tasks only if none with the limit is left.
func (q *queue[T]) updateLimit() {
	if q.atLimit > 0 {
		return
	}
	q.limit = 0
	for i, t := range q.tasks[q.head:] {
		q.countLimit(t, i == 0)
	}
}

func (q *queue[T]) pushFront(t *Task[T]) {
	if q.head == 0 { // make space for as many as there are, so that many tasks cost little each
		space := max(len(q.tasks), 8)
		q.tasks = append(make([]*Task[T], space, space+len(q.tasks)), q.tasks...)
		q.head = space
	}
	q.head--
	q.tasks[q.head] = t
	q.count(t)
}

func (q *queue[T]) pop() *Task[T] {
	t := q.tasks[q.head]
	q.tasks[q.head] = nil
	q.head++
	q.uncount(t)
	return t
}

// remove removes the tasks that match and returns them.
func (q *queue[T]) remove(match func(*Task[T]) bool) (removed []*Task[T]) {
	kept := q.tasks[:q.head]
	for _, t := range q.tasks[q.head:] {
		if match(t) {
			removed = append(removed, t)
			q.uncount(t)
		} else {
			kept = append(kept, t)
		}
	}
	clear(q.tasks[len(kept):])
	q.tasks = kept
	q.updateLimit()
	return removed
}
