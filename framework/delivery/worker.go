package delivery

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/dispatch"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/tasks"
)

// worker delivers the tasks of one instance. The dispatcher decides when which tasks are sent together. Its lock also guards the
// worker and its partitions: methods whose names end in Locked need it held. The methods of dispatch.Handler, which the dispatcher
// calls with the lock held, have the names of the interface.
type worker struct {
	runner     *Runner
	id         string
	instance   Instance
	sources    map[string]bool   // whose events it gets; nil for all
	actions    map[string]string // action keys by subscription
	ctx        context.Context   // canceled to abort requests in flight
	cancel     context.CancelFunc
	dispatcher *dispatch.Dispatcher[*task]
	recorded   recordLimit
	changed    *sync.Cond // signaled when a batch, task or write ends, and when the worker stops
	goroutines sync.WaitGroup

	mu            sync.Locker // the dispatcher; guards the fields below and the partitions
	partitions    map[int]*partition
	progress      progressRate
	deferredUntil time.Time // until when a limit of the instance asks to wait
	suspendReason string    // why nothing is sent until an operator logs in; "" if not suspended
	stopping      bool
	retries       int64
	counters      map[verdictKind]prometheus.Counter // of verdicts that occurred
	skipped       map[skipKind]prometheus.Counter    // likewise, of skipped events
	sending       map[*dispatch.Batch[*task]]struct{}
	batchEnd      time.Time // when the batch ended whose results are being applied; zero at other times
}

func newWorker(r *Runner, in Instance) *worker {
	w := &worker{runner: r, id: in.Plan.ID(), instance: in, actions: map[string]string{}, partitions: map[int]*partition{}, sending: map[*dispatch.Batch[*task]]struct{}{}, counters: map[verdictKind]prometheus.Counter{}, skipped: map[skipKind]prometheus.Counter{}}
	for _, id := range in.Sources {
		if w.sources == nil {
			w.sources = map[string]bool{}
		}
		w.sources[id] = true
	}
	for _, s := range in.Plan.Subscriptions() {
		w.actions[s.Name()] = s.Action().Key
	}
	w.actions[runtime.OnDelete] = runtime.OnDelete
	w.ctx, w.cancel = context.WithCancel(context.Background())
	s := &r.settings
	w.dispatcher = dispatch.New(dispatch.Config{
		Linger: s.Linger, MaxBatches: s.MaxBatches, MinBackoff: s.MinBackoff, MaxBackoff: s.MaxBackoff, MaxPause: s.MaxPause,
		RetryFor: s.RetryFor, MaxAttempts: s.MaxAttempts, Recheck: s.Lease / 20,
	}, w)
	w.mu = w.dispatcher
	w.progress.advance(time.Now())
	w.changed = sync.NewCond(w.mu)
	return w
}

// startTaskLocked adds a new task. If its key is parked, the task is parked too; if the task was refused by the mapping, it becomes a dead letter.
func (w *worker) startTaskLocked(t *task) {
	p := t.partition
	p.taskCount++
	p.countTaskBytesLocked(t.bytes)
	if key, ok := p.parked.blockingKey(t); ok {
		verdict := parkedBehind
		if p.parked.isSpilled(key) {
			verdict = spilledBehind
		}
		w.storeDeadLetterLocked(t, t.newDeadLetter(verdict, true, time.Now()), p.parked.kind(key))
		return
	}
	switch {
	case t.refusal == nil:
	case t.refusal.Outcome == runtime.Skipped:
		w.finishTaskLocked(t, countSkipped, t.refusal.Cause, t.refusal.Reason)
		return
	default:
		w.storeDeadLetterLocked(t, t.newDeadLetter(*t.refusal, false, time.Now()), "")
		return
	}
	tasks.Describe(&t.Task, w.instance.Plan, t.item)
	if t.isBackground() { // its batches may have to wait for the budget when those of live events do not
		t.Lane.Name += "\x00background"
	}
	t.Value, t.Owner, t.Key, t.Bytes = t, p.owner, cmp.Or(t.key, "\x00"), t.bytes
	if t.item.BatchSize <= 1 && !t.item.Independent { // it is sent in a request of its own, and waits for its key only
		t.Lane.Name += "\x00" + t.key
	}
	w.dispatcher.AddLocked(&t.Task)
}

// Send implements dispatch.Handler. The limit of the batch counts from now on, however late the goroutine runs: the leases of its tasks end then.
func (w *worker) Send(b *dispatch.Batch[*task]) {
	deadline := time.Now().Add(b.Limit)
	w.goroutines.Go(func() { w.deliverBatch(b, deadline) })
}

// failureStatus says why a request failed without its URL and texts of the remote, which may name users.
func failureStatus(x *httpx.Exchange) string {
	if x.Err != nil {
		return cmp.Or(fault.NetworkReason(x.Err), "the request failed")
	}
	return http.StatusText(x.Status)
}

// deliverBatch sends a batch until a deadline, and reports its results.
func (w *worker) deliverBatch(b *dispatch.Batch[*task], deadline time.Time) {
	w.mu.Lock()
	w.sending[b] = struct{}{}
	w.mu.Unlock()
	ctx, cancel := context.WithDeadline(w.ctx, deadline)
	defer cancel()
	ctx, span := w.runner.settings.Tracer.Start(ctx, "deliver", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("landfall.instance", w.id), attribute.String("landfall.subscription", b.Tasks[0].Value.item.Subscription.Name()), attribute.Int("landfall.events", len(b.Tasks))))
	defer span.End()
	began := time.Now()
	ctx = budget.WithClass(ctx, classOf(b.Tasks))
	ctx, record := w.recordBatch(httpx.WithShownBytes(httpx.KeepExchanges(ctx), maxBodyShown*utf8.UTFMax), len(b.Tasks))
	verdicts := w.deliverTasks(ctx, b.Tasks)
	took := time.Since(began)
	w.runner.metrics.observeBatch(w.id, b.Tasks[0].Value, took)
	w.runner.metrics.observeWaits(w.id, b.Tasks, began, took)
	if record != nil {
		record.Duration = took
	}
	requests := exchangesOf(verdicts)
	if w.hasErased(b.Tasks) { // what was sent names a user who is to be erased meanwhile
		clear(requests)
		if record != nil {
			record.Requests, record.Partial = nil, true
		}
	}
	if i := slices.IndexFunc(requests, func(x *Exchange) bool { return x != nil }); i >= 0 {
		span.SetStatus(codes.Error, failureStatus(verdicts[i].Request))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.sending, b)
	results := make([]dispatch.Result, len(verdicts))
	for i, t := range b.Tasks {
		t.Value.lastExchange, t.Value.batch = requests[i], record
		results[i] = w.takeVerdictLocked(t.Value, &verdicts[i])
	}
	w.batchEnd = time.Now()
	b.DoneLocked(results)
	w.batchEnd = time.Time{}
	w.changed.Broadcast()
}

// nowLocked returns the time: while the results of a batch are applied, when the batch ended, because asking for the time for each of its
// tasks costs more.
func (w *worker) nowLocked() time.Time {
	if w.batchEnd.IsZero() {
		return time.Now()
	}
	return w.batchEnd
}

// takeVerdictLocked records the verdict of a task and returns its result. It pauses or suspends the instance if the verdict says so.
func (w *worker) takeVerdictLocked(t *task, v *runtime.Verdict) dispatch.Result {
	result := tasks.ResultOf(v)
	if t.verdict = v; result.Outcome != dispatch.Done && result.Outcome != dispatch.Dropped {
		kept := *v // a task that waits for its next request must not keep the verdicts of its batch in memory
		t.verdict = &kept
	}
	switch {
	case v.Code == fault.CodeDeferred:
		w.deferForLocked(t, *v)
	case v.Status == http.StatusTooManyRequests && v.RetryAfter > 0:
		w.pauseForLocked(v.RetryAfter)
	case v.Code == fault.CodeLogin && w.ctx.Err() == nil:
		w.suspendInstanceLocked(v.Reason)
	case v.Outcome == runtime.Pending:
		t.item.Operation = v.Operation
	}
	return result
}

// Finished implements dispatch.Handler.
func (w *worker) Finished(t *dispatch.Task[*task], _ dispatch.Result) {
	t.Value.partition.requestPortionLocked(t.Value.key)
	w.progress.count(w.nowLocked())
	w.settleTaskLocked(t.Value, *t.Value.verdict)
}

// Exhausted implements dispatch.Handler. It parks the key, unless no more can be parked.
func (w *worker) Exhausted(tasks []*dispatch.Task[*task], r dispatch.Result) (taken int) {
	if w.runner.isParkingFull() {
		return 0
	}
	v := *tasks[0].Value.verdict
	if r.Outcome == dispatch.Pending {
		v.Reason = "it takes longer than " + w.runner.settings.RetryFor.String() + ": " + v.Reason
	}
	w.parkTasksLocked(tasks, v, kindHeld)
	return len(tasks)
}

// Retried implements dispatch.Handler.
func (w *worker) Retried(t *dispatch.Task[*task], _ dispatch.Result) {
	w.retries++
	w.runner.metrics.countRetry(w.id, t.Value)
}
