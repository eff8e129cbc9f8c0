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
)

// Settings say how a Runner delivers. Zero fields have working defaults.
type Settings struct {
	Linger      time.Duration // how long a batch waits for more: 1 s
	MaxBatches  int           // batches of an instance under way at once: 8
	RetryFor    time.Duration // how long what may pass is tried again, before its user is parked: 4 h
	MaxAttempts int           // how often an event is tried that fails while others of its batch do not: 10
	MinBackoff  time.Duration // the wait after a first failure, doubled each time: 250 ms
	MaxBackoff  time.Duration // 1 min
	MaxPause    time.Duration // the longest pause that a remote can ask for: 1 h
	MaxInFlight int           // items of a partition that are held in memory: 2,000
	EvictAfter  time.Duration // how long what goes well waits for what fails: 10 s
	// Lease is for how long a partition is a process's without a sign of life; requests have half of it at least. Others take
	// over when it has passed: 45 s.
	Lease        time.Duration
	TrimInterval time.Duration // how often what is delivered and old is deleted: 1 min
	ScrubDelay   time.Duration // how long after the start the files of a log on this machine are first checked: 1 min; then every day

	DeadLetterRetention time.Duration // how long dead letters are kept: 720 h
	MaxDeadLetterBytes  int64         // bytes of dead letters; beyond it the oldest are deleted: 1 GB
	MaxParkedBytes      int64         // bytes of parked events; beyond it no more are parked: 1 GB
	StallAfter          time.Duration // how long a partition with events may make no progress: 3 leases, 2 min at least
	Checks              []Check       // further ones of Health

	Metrics *Metrics
	Tracer  trace.Tracer // of the batches; none by default
	Log     *slog.Logger // silent by default

	beforeMapping func(event.Event) // called before an event is mapped; nil for none
}

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
	s.DeadLetterRetention = cmp.Or(s.DeadLetterRetention, 720*time.Hour)
	s.MaxDeadLetterBytes = cmp.Or(s.MaxDeadLetterBytes, 1_000_000_000)
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
	return s
}

// Instance is what a Runner delivers to.
type Instance struct {
	Plan    *runtime.Plan
	Sources []string // the ids of the sources whose events it gets; none for all
	// Version changes with everything that the plan was made of; an instance whose version stays is left alone.
	Version string
}

// Runner delivers the events of a queue to instances. Partitions of instances are divided among all processes on the queue.
type Runner struct {
	queue    *Queue
	settings Settings
	metrics  *Metrics
	log      *slog.Logger
	leases   *leases
	name     string // of this process

	mappingNotes *mappingNotes
	verdicts     verdictRing
	limits       limits
	survey       survey
	checkCache   checkCache
	ctx          context.Context
	cancel       context.CancelFunc
	goroutines   sync.WaitGroup

	setMu       sync.Mutex // one Set or Stop at a time
	started     bool       // instances have been set; guarded by setting
	rebalanceMu sync.Mutex // one look at the partitions at a time
	mu          sync.Mutex
	workers     map[string]*worker
}

// NewRunner makes a Runner without instances. The caller stops it.
func NewRunner(ctx context.Context, q *Queue, s Settings) (*Runner, error) {
	s = s.withDefaults()
	r := &Runner{queue: q, settings: s, metrics: s.Metrics, log: s.Log, leases: newLeases(q), name: "local", workers: map[string]*worker{}, mappingNotes: openMappingNotes(q.config.Dir, s.Log)}
	if q.embedded == nil {
		host, _ := os.Hostname()
		r.name = subjectToken(host) + "-" + rand.Text()[:8]
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.goroutines.Go(func() { r.leases.watch(r.ctx) })
	if err := r.joinMembers(ctx); err != nil {
		r.cancel()
		r.goroutines.Wait()
		return nil, fmt.Errorf("starting the delivery: %w", err)
	}
	r.goroutines.Go(r.maintain)
	if q.isEmbedded() {
		r.goroutines.Go(r.runScrub)
	}
	r.goroutines.Go(r.watchProgress)
	return r, nil
}

// Settings are what the Runner works with, defaults included.
func (r *Runner) Settings() Settings { return r.settings }

// joinMembers waits until the books are known, and says that this process is here.
func (r *Runner) joinMembers(ctx context.Context) error {
	select {
	case <-r.leases.ready:
		return r.leases.heartbeat(ctx, r.name, "here")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SetInstances makes instances be what is delivered to: new ones begin with what is accepted from now on, those that were there before
// where they stopped, and those that are not named stop. It returns when what was changed has been stopped and begun.
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
	r.mu.Lock()
	for _, in := range instances {
		if id := in.Plan.ID(); r.workers[id] == nil {
			r.workers[id] = newWorker(r, in)
		}
	}
	r.mu.Unlock()
	r.started = true
	r.rebalance()
	return nil
}

// createCheckpoints begins the books that there are none of.
func (r *Runner) createCheckpoints(ctx context.Context, instances []Instance) error {
	info, err := r.queue.streams[eventsStream].Info(ctx)
	if err != nil {
		return err
	}
	next := info.State.LastSeq + 1
	begin := checkpoint{Low: next, Start: next, LogCreated: info.Created.UnixNano()}
	if info.State.LastSeq > 0 {
		begin.Anchor = &anchor{Seq: info.State.LastSeq, Time: info.State.LastTime.UnixNano()}
	}
	for _, in := range instances {
		for n := range r.queue.partitions {
			subject := checkpointSubject(in.Plan.ID(), n)
			if _, ok := r.leases.lookup(subject); ok {
				continue
			}
			if _, err := r.leases.writeCheckpoint(ctx, "", subject, 0, begin); err != nil && err != errLeaseLost {
				return fmt.Errorf("beginning the book of %s: %w", in.Plan.ID(), err)
			}
		}
	}
	return nil
}

// stopWorkers brings workers to their end: what is under way ends, nothing else begins, and their partitions are free.
func (r *Runner) stopWorkers(ctx context.Context, workers []*worker) {
	var all sync.WaitGroup
	for _, w := range workers {
		all.Go(func() {
			w.mu.Lock()
			w.stopping = true
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

// Stop ends the delivery: requests under way have until ctx ends. What is not finished goes on with the next Runner.
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
	r.cancel()
	r.goroutines.Wait()
	farewell, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := r.leases.heartbeat(farewell, r.name, "gone"); err != nil {
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
