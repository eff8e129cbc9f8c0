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

// worker delivers the tasks of one instance. Each lane collects tasks and has at most one batch in flight; several lanes run at
// once. The mutex guards the lanes and the state of the worker's partitions.
type worker struct {
	runner   *Runner
	id       string
	instance Instance
	actions  map[string]string // action keys by subscription
	ctx      context.Context   // canceled to abort requests in flight
	cancel   context.CancelFunc

	mu              sync.Mutex
	partitions      map[int]*partition
	lanes           map[string]*lane
	readyLanes      []*lane // lanes with a batch to start, first come first served
	batchesInFlight int
	pausedUntil     time.Time
	wakeTimer       *time.Timer
	lastSuccess     time.Time // when the remote last accepted something
	suspendReason   string    // why nothing is sent until an operator logs in; "" if not suspended
	stopping        bool
	retries         int64
	changed         *sync.Cond // signaled when a batch, task or write ends, and when the worker stops
	goroutines      sync.WaitGroup
}

// lane is a queue of tasks whose batches are sent one after the other. It holds at most one task of each key.
type lane struct {
	name        string
	queue       []*task
	bytes       int
	busy, ready bool
	wakeTimer   *time.Timer
	pausedUntil time.Time
	failures    int       // batches that failed as a whole in a row
	lastSuccess time.Time // when the remote last accepted something from this lane
}

func newWorker(r *Runner, in Instance) *worker {
	w := &worker{runner: r, id: in.Plan.ID(), instance: in, actions: map[string]string{}, partitions: map[int]*partition{}, lanes: map[string]*lane{}}
	for _, s := range in.Plan.Subscriptions() {
		w.actions[s.Name()] = s.Action().Key
	}
	w.actions[runtime.OnDelete] = runtime.OnDelete
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.changed = sync.NewCond(&w.mu)
	return w
}

// runAfter runs f with the mutex held after d, unless the worker is stopping then.
func (w *worker) runAfter(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.stopping {
			f()
		}
	})
}

// startTask adds a new task. The first task of a key is enqueued and later ones wait behind it. If the key is parked, the task is
// parked too; if the task was refused by the mapping, it becomes a dead letter.
func (w *worker) startTask(t *task) {
	p := t.partition
	p.taskCount++
	p.taskBytes += t.bytes
	if kind := p.parkedKeys[shortHash(t.key)]; kind != "" && !(t.resumed && t.letter.generation == p.generations[shortHash(t.key)]) {
		verdict := parkedBehind
		if _, ok := p.spilledKeys[shortHash(t.key)]; ok {
			verdict = spilledBehind
		}
		w.storeDeadLetter(t, t.newDeadLetter(verdict, true, time.Now()), kind)
		return
	}
	switch {
	case t.refusal == nil:
	case t.refusal.Outcome == runtime.Skipped:
		w.finishTask(t, countSkipped, t.refusal.Cause, t.refusal.Reason)
		return
	default:
		w.storeDeadLetter(t, t.newDeadLetter(*t.refusal, false, time.Now()), "")
		return
	}
	if p.appendToChain(t) {
		w.enqueue(t, false)
	}
}

// enqueue adds a task, the first of its key, to its lane.
func (w *worker) enqueue(t *task, front bool) {
	l := w.laneFor(t.laneName())
	if front {
		l.queue = slices.Insert(l.queue, 0, t)
	} else {
		l.queue = append(l.queue, t)
	}
	l.bytes += t.bytes
	w.scheduleLane(l)
}

// laneFor returns the lane of a name, creating it if needed.
func (w *worker) laneFor(name string) *lane {
	l := w.lanes[name]
	if l == nil {
		l = &lane{name: name}
		w.lanes[name] = l
	}
	return l
}

// scheduleLane marks a lane as ready if its next batch is due. Otherwise it sets a timer for when it is.
func (w *worker) scheduleLane(l *lane) {
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
	due := first.arrived.Add(w.runner.settings.Linger)
	if len(l.queue) >= first.item.BatchSize || first.item.BatchBytes > 0 && l.bytes >= first.item.BatchBytes || first.attempts > 0 {
		due = now
	}
	if due.Before(l.pausedUntil) {
		due = l.pausedUntil
	}
	if due.After(now) {
		if l.wakeTimer == nil {
			l.wakeTimer = w.runAfter(due.Sub(now), func() { l.wakeTimer = nil; w.scheduleLane(l) })
		}
		return
	}
	if l.wakeTimer != nil {
		l.wakeTimer.Stop()
		l.wakeTimer = nil
	}
	l.ready = true
	w.readyLanes = append(w.readyLanes, l)
	w.startBatches()
}

// dropIdleLanes deletes lanes whose failures are old and whose queue is empty.
func (w *worker) dropIdleLanes() {
	before := time.Now().Add(-w.runner.settings.MaxBackoff)
	for name, l := range w.lanes {
		if len(l.queue) == 0 && !l.busy && !l.ready && l.pausedUntil.Before(before) {
			delete(w.lanes, name)
		}
	}
}

// startBatches starts batches of ready lanes, up to the limit of batches in flight.
func (w *worker) startBatches() {
	for len(w.readyLanes) > 0 && w.batchesInFlight < w.runner.settings.MaxBatches && !w.stopping && w.suspendReason == "" {
		if wait := time.Until(w.pausedUntil); wait > 0 {
			if w.wakeTimer == nil {
				w.wakeTimer = w.runAfter(wait, func() { w.wakeTimer = nil; w.startBatches() })
			}
			return
		}
		l := w.readyLanes[0]
		w.readyLanes = w.readyLanes[1:]
		l.ready = false
		batch := w.nextBatch(l)
		if len(batch) > 0 {
			l.busy = true
			w.batchesInFlight++
			extendRuns(batch)
			limit := w.runner.settings.Lease
			for _, t := range batch {
				t.partition.inFlight++
				limit = min(limit, t.partition.leaseRemaining())
			}
			w.goroutines.Go(func() { w.deliverBatch(l, batch, limit-w.runner.settings.Lease/10) })
			continue
		}
		if len(l.queue) > 0 { // the leases of its partitions are about to end
			l.pausedUntil = time.Now().Add(w.runner.settings.Lease / 20)
		}
		w.scheduleLane(l)
	}
}

// nextBatch removes the next batch from a lane: tasks with the same subscription and batch key, from partitions whose lease
// outlasts a request.
func (w *worker) nextBatch(l *lane) []*task {
	var batch, rest []*task
	bytes := 0
	for _, t := range l.queue {
		if t.partition.closing {
			l.bytes -= t.bytes
			continue
		}
		fits := len(batch) == 0 || t.item.Subscription == batch[0].item.Subscription && t.item.BatchKey == batch[0].item.BatchKey &&
			len(batch) < batch[0].item.BatchSize && (batch[0].item.BatchBytes == 0 || bytes+t.bytes <= batch[0].item.BatchBytes) &&
			t.canJoin(batch)
		if !fits || t.partition.leaseRemaining() < w.runner.settings.Lease/2 {
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

// deliverBatch sends a batch, within limit, and applies its verdicts.
func (w *worker) deliverBatch(l *lane, batch []*task, limit time.Duration) {
	sent := expandRuns(batch)
	items := make([]runtime.Item, len(sent))
	for i, t := range sent {
		items[i] = t.item
	}
	ctx, cancel := context.WithTimeout(w.ctx, limit)
	defer cancel()
	ctx, span := w.runner.settings.Tracer.Start(ctx, "deliver", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("landfall.instance", w.id), attribute.String("landfall.subscription", items[0].Subscription.Name()), attribute.Int("landfall.events", len(items))))
	defer span.End()
	began := time.Now()
	verdicts := w.instance.Plan.Deliver(httpx.KeepExchanges(ctx), items)
	w.runner.metrics.observeBatch(w.id, batch[0], time.Since(began))
	requests := exchangesOf(verdicts)
	if i := slices.IndexFunc(requests, func(x *Exchange) bool { return x != nil }); i >= 0 {
		span.SetStatus(codes.Error, cmp.Or(requests[i].Error, http.StatusText(requests[i].Status)))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.batchesInFlight--
	l.busy = false
	for i, t := range sent {
		t.lastExchange, t.inRequest = requests[i], false
	}
	for _, t := range batch {
		t.partition.inFlight--
	}
	if w.ctx.Err() == nil {
		whole := isWholeFailure(verdicts)
		batch, verdicts = w.settleRuns(batch, verdicts)
		w.applyVerdicts(l, batch, verdicts, whole)
	}
	w.changed.Broadcast()
	w.scheduleLane(l)
	w.startBatches()
}

// applyVerdicts applies verdicts to the tasks of a batch, each the first of its key. whole is true if the batch failed as a
// whole.
func (w *worker) applyVerdicts(l *lane, batch []*task, verdicts []runtime.Verdict, whole bool) {
	wait := time.Duration(0)
	for _, v := range verdicts {
		wait = max(wait, v.RetryAfter)
		if v.Status == 429 && v.RetryAfter > 0 {
			w.pauseFor(v.RetryAfter)
		}
	}
	if !whole {
		w.noteSuccess(l)
	}
	var retries, unsent, pending []*task
	var operations []runtime.Verdict
	for i, t := range batch {
		v := verdicts[i]
		if v.Code == fault.CodeLogin {
			w.suspendInstance(v.Reason)
			unsent = append(unsent, t)
			continue
		}
		if v.Outcome == runtime.Pending {
			if !t.partition.abandoned && !t.partition.closing { // otherwise it is read again
				pending, operations = append(pending, t), append(operations, v)
			}
			continue
		}
		t.attempts++
		own := v.Outcome == runtime.Retry && t.isOwnFailure(l, batch, whole)
		switch {
		case t.partition.abandoned:
		case v.Outcome != runtime.Retry:
			w.settleHead(t, v)
		case t.partition.closing: // it is read again
		case w.retriesExhausted(t, own) && !w.runner.isParkingFull():
			w.parkKey(t, v, kindHeld)
		case own || len(batch) == 1 && len(l.queue) > 0 && l.failures == 0 && t.maxBatch == 0:
			w.delayRetry(t, w.backoffFor(t.attempts, v.RetryAfter))
		default:
			retries = append(retries, t)
		}
	}
	w.pollLater(pending, operations)
	for _, t := range unsent {
		l.bytes += t.bytes
	}
	l.queue = append(unsent, l.queue...)
	if len(retries) == 0 {
		return
	}
	l.failures++
	l.noteBatchFailure(retries, verdicts)
	w.countRetries(retries...)
	l.pausedUntil = time.Now().Add(w.backoffFor(l.failures, wait))
	for _, t := range retries {
		l.bytes += t.bytes
	}
	l.queue = append(l.queue, retries...) // tasks that have not failed go first; a key has one task in the lane
}
