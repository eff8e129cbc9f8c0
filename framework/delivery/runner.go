package delivery

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/internal/storedtime"
)

// Settings configure a Runner. Zero fields have working defaults.
type Settings struct {
	Linger      time.Duration // how long a batch waits for more events: 1 s
	MaxBatches  int           // concurrent batches of an instance: 8
	RetryFor    time.Duration // how long a failing event is retried before its user is parked: 4 h
	MaxAttempts int           // attempts of an event that fails while others of its batch succeed: 10
	MinBackoff  time.Duration // wait after the first failure, doubled after each further one: 250 ms
	MaxBackoff  time.Duration // 1 min
	MaxPause    time.Duration // longest pause that a remote can ask for: 1 h
	MaxInFlight int           // tasks of a partition in memory: 2,000
	EvictAfter  time.Duration // how long failing events may block a full partition before they are evicted: 10 s
	// Lease is how long a partition belongs to a process that does not renew its lease; then another process takes over. A
	// request is limited to the rest of the lease, at least half of it. 45 s.
	Lease        time.Duration
	TrimInterval time.Duration // how often old delivered events are deleted: 1 min
	ScrubDelay   time.Duration // delay of the first check of the embedded log's files: 1 min; then daily

	DeadLetterRetention time.Duration // how long dead letters are kept: 720 h
	MaxDeadLetterBytes  int64         // limit of dead letters, beyond which the oldest are deleted: 1 GB
	MaxParkedBytes      int64         // limit of parked events, at which no more are parked: 1 GB
	StallAfter          time.Duration // how long a partition with events may make no progress: 3 leases, at least 2 min
	Checks              []Check       // further checks of Health

	// MayDeleteByAge reports whether the clock can be trusted with deleting events and dead letters for their age. By default it cannot for an hour
	// after it was set ahead.
	MayDeleteByAge func() bool

	// Suppressed reports whether the user of an event is suppressed, so that the event is skipped unless it deletes the user. It is called
	// for each event that is mapped. nil if no user is.
	Suppressed func(event.Value) bool

	// Erased reports whether an event belongs to a user who is being erased, or was lately: it is skipped, not stored again, and its requests
	// are not recorded. It is called for each event that is mapped or sent. nil if no user is.
	Erased func(event.Value) bool

	// OnVerdict is called with each verdict, in the order of an instance's verdicts. It must return quickly, and must not call the
	// Runner. nil if verdicts are not recorded.
	OnVerdict func(VerdictRecord)

	Metrics *Metrics
	Tracer  trace.Tracer // traces batches; none by default
	Log     *slog.Logger // silent by default

	beforeMapping func(event.Event) // called before an event is mapped; may be nil
}

// Defaults of the limits of dead letters.
const (
	DefaultDeadLetterRetention = 720 * time.Hour
	DefaultMaxDeadLetterBytes  = 1_000_000_000
)

func (s Settings) withDefaults() Settings {
	s.Linger = cmp.Or(s.Linger, time.Second)
	s.MaxBatches = cmp.Or(s.MaxBatches, 8)
	s.RetryFor = cmp.Or(s.RetryFor, 4*time.Hour)
	s.MaxAttempts = cmp.Or(s.MaxAttempts, 10)
	s.MinBackoff = cmp.Or(s.MinBackoff, 250*time.Millisecond)
	s.MaxBackoff = cmp.Or(s.MaxBackoff, time.Minute)
	s.MaxPause = cmp.Or(s.MaxPause, httpx.DefaultMaxPause)
	s.MaxInFlight = cmp.Or(s.MaxInFlight, 2000)
	s.EvictAfter = cmp.Or(s.EvictAfter, 10*time.Second)
	s.Lease = cmp.Or(s.Lease, 45*time.Second)
	s.TrimInterval = cmp.Or(s.TrimInterval, time.Minute)
	s.ScrubDelay = cmp.Or(s.ScrubDelay, time.Minute)
	s.DeadLetterRetention = cmp.Or(s.DeadLetterRetention, DefaultDeadLetterRetention)
	s.MaxDeadLetterBytes = cmp.Or(s.MaxDeadLetterBytes, DefaultMaxDeadLetterBytes)
	s.MaxParkedBytes = cmp.Or(s.MaxParkedBytes, 1_000_000_000)
	s.StallAfter = cmp.Or(s.StallAfter, max(3*s.Lease, 2*time.Minute))
	if s.Metrics == nil {
		s.Metrics = NewMetrics(nil)
	}
	if s.Tracer == nil {
		s.Tracer = noop.NewTracerProvider().Tracer("")
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.MayDeleteByAge == nil {
		s.MayDeleteByAge = storedtime.NewClock(s.Log, time.Time{}).MayDeleteByAge
	}
	return s
}

// Instance is a destination that a Runner delivers to.
type Instance struct {
	Plan    *runtime.Plan
	Sources []string // ids of the sources whose events it gets; none for all
	// Version identifies everything that the plan was made from. SetInstances does not restart an instance whose version is
	// unchanged.
	Version string
}

// Runner delivers the events of a queue to instances. The partitions of each instance are distributed over all processes on the
// queue.
type Runner struct {
	queue    *Queue
	settings Settings
	metrics  *Metrics
	log      *slog.Logger
	leases   *leases
	name     string // of this process among the members

	mappingNotes *mappingNotes
	memory       taskMemory
	verdicts     verdictRing
	limits       limits
	survey       survey
	checkCache   checkCache
	ctx          context.Context
	cancel       context.CancelFunc
	goroutines   sync.WaitGroup

	setMu       sync.Mutex // serializes SetInstances, RenameInstance, ForgetInstance and Stop
	started     bool       // SetInstances has succeeded once; guarded by setMu
	rebalanceMu sync.Mutex // serializes rebalance
	mu          sync.Mutex // guards workers
	workers     map[string]*worker
}

// NewRunner returns a Runner without instances. The caller stops it.
func NewRunner(ctx context.Context, q *Queue, s Settings) (*Runner, error) {
	s = s.withDefaults()
	r := &Runner{queue: q, settings: s, metrics: s.Metrics, log: s.Log, leases: newLeases(q, s.Lease), name: "local", workers: map[string]*worker{}, mappingNotes: openMappingNotes(q.config.Dir, s.Log)}
	if s.Erased != nil {
		q.erased.Store(&s.Erased)
	}
	if q.store.Shared() {
		host, _ := os.Hostname()
		r.name = subjectToken(host) + "-" + rand.Text()[:8]
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.goroutines.Go(func() { r.leases.watchStream(r.ctx) })
	if err := r.joinMembers(ctx); err != nil {
		r.cancel()
		r.goroutines.Wait()
		return nil, fmt.Errorf("starting the delivery: %w", err)
	}
	r.goroutines.Go(r.runMaintenance)
	if q.hasDisk() {
		r.goroutines.Go(r.runScrub)
	}
	r.goroutines.Go(r.watchProgress)
	return r, nil
}

// Settings returns the settings with the defaults filled in.
func (r *Runner) Settings() Settings { return r.settings }

// joinMembers waits until the checkpoints are loaded, and announces this process to the others.
func (r *Runner) joinMembers(ctx context.Context) error {
	select {
	case <-r.leases.ready:
		return r.leases.sendHeartbeat(ctx, r.name, memberAlive)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SetInstances replaces the set of instances. New ones start with the events accepted from now on, known ones continue at their
// checkpoints, and those that are not listed stop. It returns when the changed instances have been stopped and started.
func (r *Runner) SetInstances(ctx context.Context, instances []Instance) error {
	r.setMu.Lock()
	defer r.setMu.Unlock()
	if !r.started {
		if err := r.rejectBadCheckpoints(ctx, instanceIDs(instances)); err != nil {
			return err
		}
	}
	if err := r.createCheckpoints(ctx, instances); err != nil {
		return err
	}
	var stopped []*worker
	r.mu.Lock()
	for id, w := range r.workers {
		same := func(in Instance) bool { return in.Plan.ID() == id && in.Version == w.instance.Version }
		if !slices.ContainsFunc(instances, same) {
			stopped = append(stopped, w)
			delete(r.workers, id)
		}
	}
	r.mu.Unlock()
	r.stopWorkers(ctx, stopped)
	closePlans(ctx, stopped)
	r.mu.Lock()
	for _, in := range instances {
		if id := in.Plan.ID(); r.workers[id] == nil {
			r.workers[id] = newWorker(r, in)
		}
	}
	r.memory.setLimit(r.queue.config.MaxMemory, len(r.workers)*r.queue.partitions)
	r.mu.Unlock()
	r.started = true
	r.rebalance()
	return nil
}

// createCheckpoints creates the missing checkpoints of instances.
func (r *Runner) createCheckpoints(ctx context.Context, instances []Instance) error {
	if err := r.queue.settle(ctx); err != nil {
		r.log.Debug("new instances get events that were accepted before", "error", err)
	}
	info, err := r.queue.store.Info(ctx, eventsStream)
	if err != nil {
		return err
	}
	next := info.LastSeq + 1
	begin := checkpoint{Low: next, Start: next, LogCreated: info.Created.UnixNano()}
	if info.LastSeq > 0 {
		begin.Anchor = &anchor{Seq: info.LastSeq, Time: info.LastTime.UnixNano()}
	}
	for _, in := range instances {
		for n := range r.queue.partitions {
			subject := checkpointSubject(in.Plan.ID(), n)
			if _, ok := r.leases.latestOf(subject); ok {
				continue
			}
			if _, err := r.leases.writeCheckpoint(ctx, "", subject, 0, begin); err != nil && err != errLeaseLost {
				return fmt.Errorf("creating the checkpoint of %s: %w", in.Plan.ID(), err)
			}
		}
	}
	return nil
}

// closeTimeout is how long an instance may take to close what its destination opened.
const closeTimeout = 10 * time.Second

// closePlans closes what the destinations of stopped workers opened.
func closePlans(ctx context.Context, workers []*worker) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	for _, w := range workers {
		_ = w.instance.Plan.Close(ctx) // the plan logs it
	}
}

// Runs reports whether the runner delivers with a plan.
func (r *Runner) Runs(p *runtime.Plan) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.workers[p.ID()]
	return w != nil && w.instance.Plan == p
}

// stopWorkers stops workers: it waits for batches in flight until ctx ends, starts no more, and releases the partitions.
func (r *Runner) stopWorkers(ctx context.Context, workers []*worker) {
	var all sync.WaitGroup
	for _, w := range workers {
		all.Go(func() {
			w.mu.Lock()
			w.stopping = true
			w.dispatcher.StopLocked()
			parts := make([]*partition, 0, len(w.partitions))
			for _, p := range w.partitions {
				parts = append(parts, p)
			}
			w.mu.Unlock()
			var each sync.WaitGroup
			for _, p := range parts {
				each.Go(func() { r.releasePartition(ctx, p) })
			}
			each.Wait()
			w.cancel()
			w.goroutines.Wait()
		})
	}
	all.Wait()
}

// Stop stops the delivery. Requests in flight may finish until ctx ends. The next Runner continues with what is unfinished.
func (r *Runner) Stop(ctx context.Context) {
	r.setMu.Lock()
	defer r.setMu.Unlock()
	r.mu.Lock()
	workers := make([]*worker, 0, len(r.workers))
	for _, w := range r.workers {
		workers = append(workers, w)
	}
	clear(r.workers)
	r.mu.Unlock()
	r.stopWorkers(ctx, workers)
	closePlans(ctx, workers)
	r.cancel()
	r.goroutines.Wait()
	leaveCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := r.leases.sendHeartbeat(leaveCtx, r.name, memberLeft); err != nil {
		r.log.Debug("leaving", "error", err)
	}
}

func instanceIDs(instances []Instance) []string {
	ids := make([]string, len(instances))
	for i, in := range instances {
		ids[i] = in.Plan.ID()
	}
	return ids
}
