package dispatch

import (
	"cmp"
	"context"
	"hash/maphash"
	"sync"
	"time"
)

// Config configures a Dispatcher. Zero fields have working defaults.
type Config struct {
	Linger      time.Duration // how long an incomplete batch waits for more tasks: 1 s. Negative: until Flush.
	MaxBatches  int           // batches in flight: 8
	MinBackoff  time.Duration // wait after the first failure, doubled after each further one: 250 ms
	MaxBackoff  time.Duration // 1 min
	MaxPause    time.Duration // longest wait that a remote can ask for: 1 h
	RetryFor    time.Duration // how long a failing task is retried: 4 h
	MaxAttempts int           // failures of its own after which a task is exhausted: 10
	PollFor     time.Duration // how long a pending operation is polled: RetryFor
	Recheck     time.Duration // wait before an Owner that allows no request is asked again: 1 s
	InPlace     bool          // lanes wait for each of their tasks that is retried; each failure is the task's own, and nothing is halved
	Clock       Clock         // the system's clock
}

func (c Config) withDefaults() Config {
	c.Linger = cmp.Or(c.Linger, time.Second)
	c.MaxBatches = cmp.Or(c.MaxBatches, 8)
	c.MinBackoff = cmp.Or(c.MinBackoff, 250*time.Millisecond)
	c.MaxBackoff = cmp.Or(c.MaxBackoff, time.Minute)
	c.MaxPause = cmp.Or(c.MaxPause, time.Hour)
	c.RetryFor = cmp.Or(c.RetryFor, 4*time.Hour)
	c.MaxAttempts = cmp.Or(c.MaxAttempts, 10)
	c.PollFor = cmp.Or(c.PollFor, c.RetryFor)
	c.Recheck = cmp.Or(c.Recheck, time.Second)
	if c.Clock == nil {
		c.Clock = systemClock{}
	}
	return c
}

// Handler is the host of a Dispatcher. Its methods are called with the dispatcher's lock held: they must return soon, must not
// block, and may call only methods whose name ends in Locked.
type Handler[T any] interface {
	// Send starts to deliver a batch, usually in a goroutine, and returns at once. The host calls Done on the batch later, without
	// the lock.
	Send(b *Batch[T])
	// Finished reports the result of a task that needs no more attempts. The dispatcher does not use the task afterwards.
	Finished(t *Task[T], r Result)
	// Exhausted reports that the first of the tasks has failed too often or for too long. The others are the tasks of its key that
	// wait behind it, in order. It returns how many of them the host has taken, from the first on: the dispatcher forgets those, and
	// continues with the next. If it is 0, the first task is retried.
	Exhausted(tasks []*Task[T], r Result) (taken int)
	// Retried reports that a task has failed and is retried later.
	Retried(t *Task[T], r Result)
}

// Dispatcher decides when which tasks are sent together. It is safe for concurrent use; see the package documentation for its
// lock.
type Dispatcher[T any] struct {
	config  Config
	handler Handler[T]
	began   time.Time
	home    *Owner[T]               // owner of the tasks without one
	hash    func(key string) uint64 // of keys

	mu          sync.Mutex
	changed     *sync.Cond // signaled when fewer tasks are held or queued
	owners      map[*Owner[T]]bool
	lanes       map[Lane]*lane[T]
	ready       []*lane[T]  // lanes with a batch to start, first come first served
	inFlight    int         // batches
	applying    bool        // the results of a batch are being applied
	ending      []*Owner[T] // that were drained meanwhile
	held        int         // tasks that have no outcome
	heldBytes   int
	added       uint64 // tasks so far
	enqueued    uint64 // how often a task was enqueued
	flushed     uint64 // tasks up to this one wait for no others
	pausedUntil time.Time
	pauseTimer  *timer
	suspended   bool
	stopped     bool
	lastSuccess time.Time       // when the remote last accepted or refused something
	timers      map[*timer]bool // running timers
}

// New returns a Dispatcher. The caller stops it.
func New[T any](c Config, h Handler[T]) *Dispatcher[T] {
	seed := maphash.MakeSeed()
	d := &Dispatcher[T]{
		config: c.withDefaults(), handler: h, hash: func(key string) uint64 { return maphash.String(seed, key) },
		owners: map[*Owner[T]]bool{}, lanes: map[Lane]*lane[T]{}, timers: map[*timer]bool{},
	}
	d.began = d.config.Clock.Now()
	d.changed = sync.NewCond(&d.mu)
	d.home = d.NewOwner(nil)
	return d
}

// Lock locks the dispatcher. A host may guard state of its own with this lock, so that its decisions and those of the dispatcher
// are one step.
func (d *Dispatcher[T]) Lock() { d.mu.Lock() }

// Unlock unlocks the dispatcher.
func (d *Dispatcher[T]) Unlock() { d.mu.Unlock() }

// Add adds a task behind the tasks of its key. It reports whether the lane is crowded: it has a batch that is due and cannot be
// sent yet. It ignores tasks of an owner that is draining or closed.
func (d *Dispatcher[T]) Add(t *Task[T]) (crowded bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.AddLocked(t)
}

// AddLocked is Add for callers that have locked the dispatcher.
func (d *Dispatcher[T]) AddLocked(t *Task[T]) (crowded bool) {
	if t.Owner == nil {
		t.Owner = d.home
	}
	if t.Owner.draining || d.stopped {
		return false
	}
	d.added++
	t.seq = d.added
	now := d.config.Clock.Now()
	if d.config.Linger >= 0 {
		t.arrived = now.Sub(d.began)
	}
	d.held++
	d.heldBytes += t.Bytes
	if t.Key == "" || t.Owner.appendToChain(t) {
		return d.isCrowded(d.enqueueLast(t), now)
	}
	return d.isCrowded(d.lanes[t.Lane], now)
}

// isCrowded reports whether a lane has a batch that is due and cannot be sent yet. l may be nil.
func (d *Dispatcher[T]) isCrowded(l *lane[T], now time.Time) bool {
	if l == nil || l.queued == 0 {
		return false
	}
	due, _, _ := d.nextQueue(l, now)
	return due != nil
}

// Flush lets no task that was added before wait for more tasks for its batch.
func (d *Dispatcher[T]) Flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flushed = d.added
	d.scheduleAll()
}

// uncount subtracts a task of a size from the counts of held tasks.
func (d *Dispatcher[T]) uncount(bytes int) {
	d.held--
	d.heldBytes -= bytes
	d.changed.Broadcast()
}

// Wait waits until done, which gets the number and the size of the tasks that have no outcome, returns true. It returns the error
// of ctx if that ends before.
func (d *Dispatcher[T]) Wait(ctx context.Context, done func(held, bytes int) bool) error {
	return d.waitUntil(ctx, func() bool { return done(d.held, d.heldBytes) })
}

// WaitLane waits until a lane is not crowded. It returns the error of ctx if that ends before.
func (d *Dispatcher[T]) WaitLane(ctx context.Context, id Lane) error {
	return d.waitUntil(ctx, func() bool { return !d.isCrowded(d.lanes[id], d.config.Clock.Now()) })
}

func (d *Dispatcher[T]) waitUntil(ctx context.Context, done func() bool) error {
	stop := context.AfterFunc(ctx, func() {
		d.mu.Lock() // a waiter that checked ctx before is in Wait by now
		defer d.mu.Unlock()
		d.changed.Broadcast()
	})
	defer stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	for !done() {
		if err := ctx.Err(); err != nil {
			return err
		}
		d.changed.Wait()
	}
	return nil
}

// Stop ends all timers. No more batches are started; those in flight may still report their results.
func (d *Dispatcher[T]) Stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.StopLocked()
}

// StopLocked is Stop for callers that have locked the dispatcher.
func (d *Dispatcher[T]) StopLocked() {
	d.stopped = true
	for t := range d.timers {
		t.Stop()
	}
	clear(d.timers)
	d.changed.Broadcast()
}

// Stats describes a Dispatcher at one moment.
type Stats struct {
	Held, HeldBytes int       // tasks that have no outcome, and their size
	InFlight        int       // batches
	Retrying        int       // lanes and single tasks that wait after a failure
	NextRetry       time.Time // when the first of the lanes continues; zero if none waits
	Failing         bool      // the last batch of a lane failed as a whole, and it waits or is sent again
	PausedUntil     time.Time // end of the last pause
	Suspended       bool
	LastSuccess     time.Time // when the remote last accepted or refused something
}

// Stats returns the present numbers.
func (d *Dispatcher[T]) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.StatsLocked()
}

// StatsLocked is Stats for callers that have locked the dispatcher.
func (d *Dispatcher[T]) StatsLocked() Stats {
	s := Stats{Held: d.held, HeldBytes: d.heldBytes, InFlight: d.inFlight, PausedUntil: d.pausedUntil, Suspended: d.suspended, LastSuccess: d.lastSuccess}
	now := d.config.Clock.Now()
	for _, l := range d.lanes {
		if l.failures == 0 {
			continue
		}
		s.Failing = s.Failing || l.queued > 0 || l.busy || l.pausedUntil.After(now)
		if l.queued == 0 || !l.pausedUntil.After(now) {
			continue
		}
		s.Retrying++
		if s.NextRetry.IsZero() || l.pausedUntil.Before(s.NextRetry) {
			s.NextRetry = l.pausedUntil
		}
	}
	for o := range d.owners {
		s.Retrying += len(o.delayed)
	}
	return s
}
