// Package audienceruns runs the queries of audienceSyncs in the config on their schedules, and keeps a record of each run.
//
// All servers that share a state run the same schedule. A run holds a lease in the ledger of its instance, so that there is one run of a
// sync and an instance at a time. A server that dies leaves a lease that others take over once they have not seen it change for a while;
// they compare no clocks.
package audienceruns

import (
	"cmp"
	"context"
	"crypto/rand"
	"hash/fnv"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/landfall-dev/landfall/framework/event/identifier"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/state"
)

// Config configures a Scheduler.
type Config struct {
	Store     *state.Store
	Syncs     func() []config.AudienceSync // of the config in effect
	Instances func() []instances.Instance  // that run
	// Suppressed returns the users whose entries are left out; may be nil.
	Suppressed func() *identifier.Set
	Log        *slog.Logger
	Metrics    prometheus.Registerer
	Now        func() time.Time // time.Now by default
	Lease      time.Duration    // how long a run keeps its lease without renewing it; 30 seconds by default
	poll       time.Duration    // between two looks at what is due; a tenth of Lease by default

	MayDeleteByAge func() bool // reports whether the clock can be trusted with that; nil if always
}

// defaultLease is how long a run keeps its lease without renewing it.
const defaultLease = 30 * time.Second

// runIDFormat makes the id of a run from the time when it began.
const runIDFormat = "20060102T150405.000Z"

// maxRunning is the number of runs at a time in one process.
const maxRunning = 2

// Scheduler runs audience syncs. It is safe for concurrent use.
type Scheduler struct {
	Config
	owner   string // identifies this process in leases
	metrics *runMetrics
	wake    chan struct{}
	cancel  context.CancelFunc
	done    sync.WaitGroup
	results sharedResults

	mu      sync.Mutex
	running map[string]bool     // by job key
	seen    map[string]sighting // leases of other processes, by job key
}

// sighting is the last known sign of life of a run in another process.
type sighting struct {
	holder string
	beat   uint64
	since  time.Time
}

// job is a sync of one instance.
type job struct {
	sync     config.AudienceSync
	instance instances.Instance
}

func (j *job) id() string { return j.instance.Plan.ID() }

// key identifies the job among all.
func (j *job) key() string { return j.id() + "\x00" + j.sync.ID }

// stateKey is the key of the job's document in the ledger of its instance.
func (j *job) stateKey() string { return stateKey(j.sync.ID) }

func stateKey(sync string) string { return "audienceSync/" + sync }

// New starts a Scheduler. The caller closes it.
func New(c Config) *Scheduler {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MayDeleteByAge == nil {
		c.MayDeleteByAge = func() bool { return true }
	}
	if c.Lease == 0 {
		c.Lease = defaultLease
	}
	s := &Scheduler{Config: c, owner: rand.Text(), metrics: newRunMetrics(c.Metrics), wake: make(chan struct{}, 1), running: map[string]bool{}, seen: map[string]sighting{}, results: sharedResults{byKey: map[string]*sharedResult{}}}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.done.Go(func() { s.loop(ctx) })
	return s
}

// Close interrupts the runs of this process, which the next start runs again, and waits for them.
func (s *Scheduler) Close() {
	s.cancel()
	s.done.Wait()
	s.results.drop(time.Now())
}

// loop starts the runs that are due.
func (s *Scheduler) loop(ctx context.Context) {
	ticker := time.NewTicker(cmp.Or(s.poll, s.Lease/10))
	defer ticker.Stop()
	for {
		s.results.drop(time.Now().Add(-keepResult))
		for _, j := range s.jobs() {
			if err := s.startIfDue(ctx, j); err != nil && ctx.Err() == nil {
				s.Log.Warn("cannot find out whether an audience sync is due", "sync", j.sync.ID, "instance", j.id(), "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.wake:
		}
	}
}

// jobs returns the enabled syncs of all their instances.
func (s *Scheduler) jobs() (list []job) {
	for _, sync := range s.Syncs() {
		for _, in := range s.Instances() {
			if sync.Enabled && in.Plugin.Audiences != nil && in.Ledger != nil && sync.UsesInstance(in.Plan.ID()) {
				list = append(list, job{sync, in})
			}
		}
	}
	return list
}

// startIfDue starts a run in a goroutine if it is due and no process runs it.
func (s *Scheduler) startIfDue(ctx context.Context, j job) error {
	s.mu.Lock()
	full := s.running[j.key()] || len(s.running) >= maxRunning
	s.mu.Unlock()
	if full {
		return nil
	}
	l, err := s.acquire(ctx, j)
	if err != nil || l == nil {
		return err
	}
	s.mu.Lock()
	s.running[j.key()] = true
	s.mu.Unlock()
	s.done.Go(func() {
		s.runJob(ctx, j, l)
		s.mu.Lock()
		delete(s.running, j.key())
		s.mu.Unlock()
		s.wakeUp()
	})
	return nil
}

// wakeUp makes the loop look for runs that are due.
func (s *Scheduler) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// dueBy says why a run is due, "" if it is not. A schedule whose times have passed while no server ran is due once.
func (s *Scheduler) dueBy(j job, d *document, now time.Time) string {
	switch {
	case d.Approved != nil:
		return d.Approved.By
	case d.Requested != "":
		return d.Requested
	case j.sync.Schedule == nil:
		return ""
	}
	if now.Before(j.dueAfter(d.Slot)) {
		return ""
	}
	if now.Sub(j.sync.Schedule.Next(d.Slot)) > lateness {
		return byMissed
	}
	return bySchedule
}

// lateness is how late a run begins that has not missed its time.
const lateness = 2 * time.Minute

// dueAfter returns when the schedule starts the first run after a time.
func (j *job) dueAfter(slot time.Time) time.Time {
	next := j.sync.Schedule.Next(slot)
	return next.Add(jitter(*j, next))
}

// dueTime returns the time of the schedule for what starts a run; zero if that is not the schedule.
func (j *job) dueTime(by string, slot time.Time) time.Time {
	if by != bySchedule && by != byMissed {
		return time.Time{}
	}
	return j.dueAfter(slot)
}

// What starts a run, other than a person.
const (
	bySchedule    = "schedule"
	byMissed      = "schedule, after its time"
	byInterrupted = "restart after an interruption"
)

// jitter spreads the runs of a time of the schedule, at most over a minute. It is the same in all processes, and for jobs that share a result.
func jitter(j job, next time.Time) time.Duration {
	most := min(j.sync.Schedule.Next(next).Sub(next)/10, time.Minute)
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(cmp.Or(j.shareKey(), j.key())))
	return time.Duration(hash.Sum64() % uint64(max(most, 1)))
}
