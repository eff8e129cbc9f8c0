package delivery

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// worker delivers the items of one instance: lanes gather them, one batch is under way for a lane, several lanes go at once.
// Its mutex guards its lanes and the windows of its partitions.
type worker struct {
	runner   *Runner
	id       string
	instance Instance
	actions  map[string]string // their keys by subscription
	ctx      context.Context   // ends what is under way
	cancel   context.CancelFunc

	mu          sync.Mutex
	parts       map[int]*partition
	lanes       map[string]*lane
	ready       []*lane // that may start, in the order they became so
	busy        int     // batches under way
	pausedUntil time.Time
	wake        *time.Timer
	succeeded   time.Time // when a remote last took something
	stopped     string    // why nothing is begun until somebody has logged in; "" where all is well
	stopping    bool
	retried     int64
	idle        *sync.Cond // busy or a partition's tasks became fewer
	background  sync.WaitGroup
}

// lane is items that go one batch after the other. A key has one item in it at most.
type lane struct {
	name        string
	queue       []*task
	bytes       int
	busy, ready bool
	wake        *time.Timer
	pausedUntil time.Time
	failures    int       // batches that failed as a whole, one after the other
	succeeded   time.Time // when the remote last took something of it
}

func newWorker(r *Runner, in Instance) *worker {
	w := &worker{runner: r, id: in.Plan.ID(), instance: in, actions: map[string]string{}, parts: map[int]*partition{}, lanes: map[string]*lane{}}
	for _, s := range in.Plan.Subscriptions() {
		w.actions[s.Name()] = s.Action().Key
	}
	w.actions[runtime.OnDelete] = runtime.OnDelete
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.idle = sync.NewCond(&w.mu)
	return w
}

// later runs f under the mutex after a time, unless the worker stops before.
func (w *worker) later(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.stopping {
			f()
		}
	})
}

// begin takes a task on: behind the others of its key, or aside where that is parked or it cannot be mapped.
func (w *worker) begin(t *task) {
	p := t.part
	p.tasks++
	p.bytes += t.bytes
	if kind := p.parked[short(t.key)]; kind != "" && !(t.resumed && t.letter.cut == p.cuts[short(t.key)]) {
		why := behind
		if _, ok := p.spilled[short(t.key)]; ok {
			why = spilled
		}
		w.setAside(t, t.letterOf(why, true, time.Now()), kind)
		return
	}
	switch {
	case t.refused == nil:
	case t.refused.Outcome == runtime.Skipped:
		w.end(t, countSkipped, t.refused.Reason)
		return
	default:
		w.setAside(t, t.letterOf(*t.refused, false, time.Now()), "")
		return
	}
	if p.follow(t) {
		w.enqueue(t, false)
	}
}

// enqueue puts a task that is the first of its key into its lane.
func (w *worker) enqueue(t *task, front bool) {
	l := w.laneNamed(t.laneOf())
	if front {
		l.queue = slices.Insert(l.queue, 0, t)
	} else {
		l.queue = append(l.queue, t)
	}
	l.bytes += t.bytes
	w.consider(l)
}

// laneNamed is the lane with a name, a new one where there is none.
func (w *worker) laneNamed(name string) *lane {
	l := w.lanes[name]
	if l == nil {
		l = &lane{name: name}
		w.lanes[name] = l
	}
	return l
}

// consider starts a lane where it is time, or sees to it that somebody looks again when it is.
func (w *worker) consider(l *lane) {
	if l.busy || l.ready || w.stopping {
		return
	}
	if len(l.queue) == 0 {
		if l.failures == 0 {
			delete(w.lanes, l.name)
		}
		return
	}
	first, now := l.queue[0], time.Now()
	due := first.arrived.Add(w.runner.config.Linger)
	if len(l.queue) >= first.item.BatchSize || first.item.BatchBytes > 0 && l.bytes >= first.item.BatchBytes || first.attempts > 0 {
		due = now
	}
	if due.Before(l.pausedUntil) {
		due = l.pausedUntil
	}
	if due.After(now) {
		if l.wake == nil {
			l.wake = w.later(due.Sub(now), func() { l.wake = nil; w.consider(l) })
		}
		return
	}
	if l.wake != nil {
		l.wake.Stop()
		l.wake = nil
	}
	l.ready = true
	w.ready = append(w.ready, l)
	w.pump()
}

// forget drops lanes that failed and have been empty for long.
func (w *worker) forget() {
	before := time.Now().Add(-w.runner.config.MaxBackoff)
	for name, l := range w.lanes {
		if len(l.queue) == 0 && !l.busy && !l.ready && l.pausedUntil.Before(before) {
			delete(w.lanes, name)
		}
	}
}

// pump starts what may start.
func (w *worker) pump() {
	for len(w.ready) > 0 && w.busy < w.runner.config.Parallel && !w.stopping && w.stopped == "" {
		if wait := time.Until(w.pausedUntil); wait > 0 {
			if w.wake == nil {
				w.wake = w.later(wait, func() { w.wake = nil; w.pump() })
			}
			return
		}
		l := w.ready[0]
		w.ready = w.ready[1:]
		l.ready = false
		batch := w.take(l)
		if len(batch) > 0 {
			l.busy = true
			w.busy++
			extendRuns(batch)
			limit := w.runner.config.Lease
			for _, t := range batch {
				t.part.flying++
				limit = min(limit, t.part.validFor())
			}
			w.background.Go(func() { w.deliver(l, batch, limit-w.runner.config.Lease/10) })
			continue
		}
		if len(l.queue) > 0 { // its partitions' leases are about to end
			l.pausedUntil = time.Now().Add(w.runner.config.Lease / 20)
		}
		w.consider(l)
	}
}

// take takes the next batch of a lane: tasks that share their subscription and batch key, of partitions that are safely this
// process's for longer than a request takes.
func (w *worker) take(l *lane) []*task {
	var batch, rest []*task
	bytes := 0
	for _, t := range l.queue {
		if t.part.closing {
			l.bytes -= t.bytes
			continue
		}
		fits := len(batch) == 0 || t.item.Subscription == batch[0].item.Subscription && t.item.BatchKey == batch[0].item.BatchKey &&
			len(batch) < batch[0].item.BatchSize && (batch[0].item.BatchBytes == 0 || bytes+t.bytes <= batch[0].item.BatchBytes) &&
			t.mayJoin(batch)
		if !fits || t.part.validFor() < w.runner.config.Lease/2 {
			rest = append(rest, t)
			continue
		}
		batch = append(batch, t)
		bytes += t.bytes
	}
	l.queue = rest
	l.bytes -= bytes
	return batch
}

// deliver makes the requests of a batch within a time, and settles what became of it.
func (w *worker) deliver(l *lane, batch []*task, limit time.Duration) {
	sent := sentWith(batch)
	items := make([]runtime.Item, len(sent))
	for i, t := range sent {
		items[i] = t.item
	}
	ctx, cancel := context.WithTimeout(w.ctx, limit)
	defer cancel()
	ctx, span := w.runner.config.Tracer.Start(ctx, "deliver", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("landfall.instance", w.id), attribute.String("landfall.subscription", items[0].Subscription.Name()), attribute.Int("landfall.events", len(items))))
	defer span.End()
	began := time.Now()
	verdicts := w.instance.Plan.Deliver(httpx.KeepExchanges(ctx), items)
	w.runner.metrics.request(w.id, batch[0], time.Since(began))
	requests := exchangesOf(verdicts)
	if i := slices.IndexFunc(requests, func(x *Exchange) bool { return x != nil }); i >= 0 {
		span.SetStatus(codes.Error, cmp.Or(requests[i].Error, http.StatusText(requests[i].Status)))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy--
	l.busy = false
	for i, t := range sent {
		t.last, t.sent = requests[i], false
	}
	for _, t := range batch {
		t.part.flying--
	}
	if w.ctx.Err() == nil {
		whole := wholeFailure(verdicts)
		batch, verdicts = w.settleRuns(batch, verdicts)
		w.settle(l, batch, verdicts, whole)
	}
	w.idle.Broadcast()
	w.consider(l)
	w.pump()
}

// settle applies the verdicts of the first tasks of keys. whole reports whether the batch failed as a whole.
func (w *worker) settle(l *lane, batch []*task, verdicts []runtime.Verdict, whole bool) {
	wait := time.Duration(0)
	for _, v := range verdicts {
		wait = max(wait, v.RetryAfter)
		if v.Status == 429 && v.RetryAfter > 0 {
			w.pause(v.RetryAfter)
		}
	}
	if !whole {
		w.passed(l)
	}
	var again, kept, pending []*task
	var operations []runtime.Verdict
	for i, t := range batch {
		v := verdicts[i]
		if v.Code == fault.CodeLogin {
			w.halt(v.Reason)
			kept = append(kept, t)
			continue
		}
		if v.Outcome == runtime.Pending {
			if !t.part.lost && !t.part.closing { // otherwise it is read again
				pending, operations = append(pending, t), append(operations, v)
			}
			continue
		}
		t.attempts++
		own := v.Outcome == runtime.Retry && t.failedAlone(l, batch, whole)
		switch {
		case t.part.lost:
		case v.Outcome != runtime.Retry:
			w.decide(t, v)
		case t.part.closing: // it is read again
		case w.exhausted(t, own) && !w.runner.parkingFull():
			w.park(t, v, held)
		case own || len(batch) == 1 && len(l.queue) > 0 && l.failures == 0 && t.span == 0:
			w.hold(t, w.backoff(t.attempts, v.RetryAfter))
		default:
			again = append(again, t)
		}
	}
	w.await(pending, operations)
	for _, t := range kept {
		l.bytes += t.bytes
	}
	l.queue = append(kept, l.queue...)
	if len(again) == 0 {
		return
	}
	l.failures++
	l.suspect(again, verdicts)
	w.retry(again...)
	l.pausedUntil = time.Now().Add(w.backoff(l.failures, wait))
	for _, t := range again {
		l.bytes += t.bytes
	}
	l.queue = append(l.queue, again...) // what has not failed goes first; a key has one item in the lane
}
