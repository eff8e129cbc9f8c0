package stream

import (
	"cmp"
	"context"
	"math"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/dispatch"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/tasks"
	"github.com/landfall-dev/landfall/internal/pause"
	"github.com/landfall-dev/landfall/internal/pool"
)

// Retry configures how the failed items of a batch are retried, while later batches of the lane wait, and later items of the same
// users. Zero fields have working defaults.
type Retry struct {
	Attempts int           // maximum number of attempts; default 6
	Backoff  time.Duration // wait before the second attempt, doubled each time; default 250 ms
	MaxWait  time.Duration // upper limit of a wait, also if the destination asks for more; default 30 s
	PollFor  time.Duration // how long to poll an asynchronous operation; default 10 minutes
}

// The defaults of a Retry.
const (
	defaultAttempts = 6
	defaultBackoff  = 250 * time.Millisecond
	defaultWait     = 30 * time.Second
)

// Deliver delivers a batch with retries. It calls decide with each finished item and its verdict, from another goroutine. The error
// is ctx's; items that were not passed to decide are then unfinished. If ctx has ended already, nothing is sent.
func (r Retry) Deliver(ctx context.Context, plan *runtime.Plan, items []runtime.Item, decide func(runtime.Item, runtime.Verdict)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := newSender(ctx, r, 1, func(t *task) { decide(t.Value.item, t.Value.verdicts[0]) })
	defer s.close()
	for _, item := range items {
		t := s.newTask(plan, item)
		t.MaxBatch, t.MaxBytes = len(items), 0
		s.dispatcher.Add(t)
	}
	return s.flush()
}

// Call calls f until it returns no error that is retryable. The error is that of the last attempt, or ctx's.
func (r Retry) Call(ctx context.Context, f func() error) error {
	for failures := 1; ; failures++ {
		err := f()
		if err == nil {
			return nil
		}
		e := fault.As(err)
		if !e.Retry || failures == cmp.Or(r.Attempts, defaultAttempts) {
			return err
		}
		longest := cmp.Or(r.MaxWait, defaultWait)
		wait := max(httpx.Backoff(cmp.Or(r.Backoff, defaultBackoff), longest, failures), min(e.RetryAfter, longest))
		if ended := pause.For(ctx, wait); ended != nil {
			return ended
		}
	}
}

type task = dispatch.Task[delivery]

// delivery is an item and, when it is decided, a slice with its verdict, which shares memory with those of its batch.
type delivery struct {
	item     runtime.Item
	verdicts []runtime.Verdict
}

// sender delivers the batches of a dispatcher, which keeps the order of each user within a plan. The dispatcher's lock guards it.
type sender struct {
	ctx        context.Context
	dispatcher *dispatch.Dispatcher[delivery]
	owners     map[*runtime.Plan]*dispatch.Owner[delivery] // a user's items are ordered within a plan; used by the goroutine that adds tasks
	decide     func(*task)                                 // called with the lock held
	finished   []*task                                     // empty
	free       []*task                                     // finished tasks to reuse; not guarded, but used by the goroutine that adds tasks
	goroutines sync.WaitGroup
}

func newSender(ctx context.Context, r Retry, parallel int, decide func(*task)) *sender {
	s := &sender{ctx: ctx, decide: decide, owners: map[*runtime.Plan]*dispatch.Owner[delivery]{}}
	wait := cmp.Or(r.MaxWait, defaultWait)
	s.dispatcher = dispatch.New(dispatch.Config{
		Linger: -1, MaxBatches: parallel, MinBackoff: cmp.Or(r.Backoff, defaultBackoff), MaxBackoff: wait, MaxPause: wait,
		RetryFor: math.MaxInt64, InPlace: true, MaxAttempts: cmp.Or(r.Attempts, defaultAttempts), PollFor: cmp.Or(r.PollFor, 10*time.Minute),
	}, s)
	return s
}

// close waits for the batches in flight. No others are sent.
func (s *sender) close() {
	s.dispatcher.Stop()
	s.goroutines.Wait()
}

// flush delivers all tasks, also incomplete batches.
func (s *sender) flush() error {
	s.dispatcher.Flush()
	return s.dispatcher.Wait(s.ctx, func(held, _ int) bool { return held == 0 })
}

// newTask returns a task for an item. It is called by one goroutine.
func (s *sender) newTask(plan *runtime.Plan, item runtime.Item) *task {
	var t *task
	if n := len(s.free); n > 0 {
		t, s.free = s.free[n-1], s.free[:n-1]
	} else {
		t = &task{}
	}
	owner := s.owners[plan]
	if owner == nil {
		owner = s.dispatcher.NewOwner(nil)
		s.owners[plan] = owner
	}
	t.Value.item, t.Owner, t.Key = item, owner, tasks.KeyOf(item)
	tasks.Describe(t, plan, item)
	return t
}

// Send implements dispatch.Handler.
func (s *sender) Send(b *dispatch.Batch[delivery]) { s.goroutines.Go(func() { s.deliverBatch(b) }) }

// Pools of the slices that a batch needs.
var (
	itemPool   pool.Slice[runtime.Item]
	resultPool pool.Slice[dispatch.Result]
)

func (s *sender) deliverBatch(b *dispatch.Batch[delivery]) {
	items, results := itemPool.Get(len(b.Tasks)), resultPool.Get(len(b.Tasks))
	defer itemPool.Put(items)
	defer resultPool.Put(results)
	for i, t := range b.Tasks {
		items[i] = t.Value.item
	}
	verdicts := b.Tasks[0].Lane.Scope.(*runtime.Plan).Deliver(s.ctx, items)
	for i, t := range b.Tasks {
		v := &verdicts[i]
		t.Value.verdicts = verdicts[i : i+1 : i+1]
		if v.Outcome == runtime.Pending {
			t.Value.item.Operation = v.Operation
		}
		if results[i] = tasks.ResultOf(v); v.Code == fault.CodeLogin {
			results[i] = dispatch.Result{Outcome: dispatch.Dropped} // it is not retried
		}
	}
	b.Done(results)
}

// Finished implements dispatch.Handler.
func (s *sender) Finished(t *task, _ dispatch.Result) {
	s.decide(t)
	*t = task{} // it holds no event
	s.finished = append(s.finished, t)
}

// recycleLocked makes finished tasks available to newTask. The caller has locked the dispatcher.
func (s *sender) recycleLocked() {
	if len(s.free) == 0 {
		s.free, s.finished = s.finished, s.free
	}
}

// Exhausted implements dispatch.Handler. Later items of the same user are tried all the same.
func (s *sender) Exhausted(tasks []*task, r dispatch.Result) (taken int) {
	if v := &tasks[0].Value.verdicts[0]; r.Outcome == dispatch.Pending {
		v.Outcome, v.Reason = runtime.Retry, "not finished in time: "+v.Reason
	}
	s.decide(tasks[0])
	return 1
}

// Retried implements dispatch.Handler.
func (s *sender) Retried(*task, dispatch.Result) {}
