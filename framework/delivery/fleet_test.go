package delivery_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/internal/pause"
)

// fleet is many processes on one log in memory. It observes who owns which partition.
type fleet struct {
	t          *testing.T
	store      *memlog.Store
	partitions int
	lease      time.Duration
	remote     *remote
	producer   *delivery.Queue
	earlier    bool // processes that start behave like those of earlier versions

	mu        sync.Mutex // guards what follows
	random    *rand.Rand
	processes map[string]*fleetProcess // alive, by name
	observed  []observedPartition
	moves     int           // how often a partition got another owner
	changedAt time.Time     // when a partition last got an owner
	longest   time.Duration // longest time for which a partition had no live owner
}

// observedPartition is what the fleet knows about one partition.
type observedPartition struct {
	owner     string    // of the checkpoint; "" for none
	last      string    // the last owner
	idleSince time.Time // since when it has no live owner; zero if it has one
}

// fleetProcess is a process of a fleet. It is also its connection to the log.
type fleetProcess struct {
	eventlog.Log
	fleet  *fleet
	queue  *delivery.Queue
	runner *delivery.Runner

	earlier bool
	frozen  atomic.Pointer[chan struct{}] // closed when the process thaws; nil if it is not frozen
}

func newFleet(t *testing.T, partitions int, lease time.Duration, seed uint64) *fleet {
	f := &fleet{
		t: t, store: memlog.New(memlog.Options{Shared: true}), partitions: partitions, lease: lease, remote: newRemote(t),
		random: rand.New(rand.NewPCG(seed, 1)), processes: map[string]*fleetProcess{}, observed: make([]observedPartition, partitions),
	}
	var err error
	f.producer, err = delivery.Open(t.Context(), delivery.Config{Partitions: partitions}.On(f.store.Connect()))
	require.NoError(t, err)
	return f
}

// chance returns a random number below n.
func (f *fleet) chance(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.random.IntN(n)
}

// Append writes to the log and observes new owners.
func (p *fleetProcess) Append(ctx context.Context, stream string, writes []eventlog.Write) (uint64, error) {
	if p.frozen.Load() != nil {
		return 0, eventlog.ErrUnavailable
	}
	if p.earlier {
		writes = slices.Clone(writes)
		for i := range writes {
			writes[i].Header = maps.Clone(writes[i].Header)
			delete(writes[i].Header, delivery.AssignmentHeader)
		}
	}
	p.fleet.mu.Lock()
	defer p.fleet.mu.Unlock()
	last, err := p.Log.Append(ctx, stream, writes)
	for _, w := range writes {
		if rest, ok := strings.CutPrefix(w.Subject, "book.main."); ok && err == nil {
			p.fleet.observeLocked(rest, w.Data)
		}
	}
	return last, err
}

// observeLocked records the owner of a partition.
func (f *fleet) observeLocked(number string, data []byte) {
	var cp struct{ Owner string }
	n, err := strconv.Atoi(number)
	if err == nil {
		err = json.Unmarshal(data, &cp)
	}
	if err != nil {
		f.t.Error(err)
		return
	}
	o := &f.observed[n]
	if cp.Owner != o.owner {
		f.changedAt = time.Now()
	}
	o.owner = cp.Owner
	switch {
	case cp.Owner == "" && o.idleSince.IsZero():
		o.idleSince = time.Now()
	case cp.Owner != "" && !o.idleSince.IsZero():
		f.longest = max(f.longest, time.Since(o.idleSince))
		o.idleSince = time.Time{}
	}
	if cp.Owner != "" {
		if o.last != "" && o.last != cp.Owner {
			f.moves++
		}
		o.last = cp.Owner
	}
}

// Read returns a reader that is slow now and then, and that stands still while the process is frozen.
func (p *fleetProcess) Read(ctx context.Context, stream string, q eventlog.Query) (eventlog.Reader, error) {
	r, err := p.Log.Read(ctx, stream, q)
	return &fleetReader{slowReader{r, p.fleet.chance, 500 * time.Millisecond}, p}, err
}

type fleetReader struct {
	slowReader
	process *fleetProcess
}

func (r *fleetReader) Next(ctx context.Context) (eventlog.Message, error) {
	m, err := r.slowReader.Next(ctx)
	if errThaw := r.process.waitForThaw(ctx); err == nil {
		err = errThaw
	}
	return m, err
}

func (p *fleetProcess) waitForThaw(ctx context.Context) error {
	if thawed := p.frozen.Load(); thawed != nil {
		select {
		case <-*thawed:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// perform sends a request that takes up to 200 ms and does not end while the process is frozen.
func (p *fleetProcess) perform(ctx context.Context, call destination.BatchCall[change, change]) (*destination.MultiStatus, error) {
	if err := pause.For(ctx, time.Duration(p.fleet.chance(200))*time.Millisecond); err != nil {
		return nil, err
	}
	if err := p.waitForThaw(ctx); err != nil {
		return nil, err
	}
	p.fleet.remote.mu.Lock()
	defer p.fleet.remote.mu.Unlock()
	for _, c := range call.Payloads {
		p.fleet.remote.taken[c.id] = append(p.fleet.remote.taken[c.id], c.n)
	}
	return nil, nil
}

// startProcesses starts processes at random moments within a time, and returns when all have started.
func (f *fleet) startProcesses(n int, within time.Duration) {
	var starting sync.WaitGroup
	for range n {
		delay := time.Duration(f.chance(int(within) + 1))
		starting.Go(func() {
			time.Sleep(delay)
			f.startProcess()
		})
	}
	starting.Wait()
}

func (f *fleet) startProcess() {
	p := &fleetProcess{Log: f.store.Connect(), fleet: f, earlier: f.earlier}
	var err error
	p.queue, err = delivery.Open(f.t.Context(), delivery.Config{Partitions: f.partitions}.On(p))
	if !assert.NoError(f.t, err) {
		return
	}
	s := quick
	s.Lease = f.lease
	p.runner, err = delivery.NewRunner(f.t.Context(), p.queue, s)
	if !assert.NoError(f.t, err) {
		return
	}
	f.mu.Lock()
	f.processes[p.runner.Name()] = p
	f.mu.Unlock()
	in := delivery.Instance{Plan: f.remote.planOf(p.perform, `type = "track"`)}
	assert.NoError(f.t, p.runner.SetInstances(f.t.Context(), []delivery.Instance{in}))
}

// removeProcesses removes random processes from the live ones and returns them. Their partitions have no live owner from now on, if
// they do not release them themselves.
func (f *fleet) removeProcesses(n int, releases bool) (removed []*fleetProcess) {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := slices.Sorted(maps.Keys(f.processes))
	for _, i := range f.random.Perm(len(names))[:n] {
		removed = append(removed, f.processes[names[i]])
		delete(f.processes, names[i])
		for j := range f.observed {
			if o := &f.observed[j]; !releases && o.owner == names[i] && o.idleSince.IsZero() {
				o.idleSince = time.Now()
			}
		}
	}
	return removed
}

// stopProcesses stops random processes one after the other, or kills them.
func (f *fleet) stopProcesses(n int, crash bool) {
	for _, p := range f.removeProcesses(n, !crash) {
		(&simulatedProcess{p.queue, p.runner}).stopProcess(f.t, crash)
	}
}

// freezeProcesses freezes random processes.
func (f *fleet) freezeProcesses(n int) []*fleetProcess {
	frozen := f.removeProcesses(n, false)
	for _, p := range frozen {
		thawed := make(chan struct{})
		p.frozen.Store(&thawed)
	}
	return frozen
}

// thawProcesses lets frozen processes go on.
func (f *fleet) thawProcesses(frozen []*fleetProcess) {
	for _, p := range frozen {
		f.mu.Lock()
		f.processes[p.runner.Name()] = p
		f.mu.Unlock()
		close(*p.frozen.Swap(nil))
	}
}

// counts returns how many partitions each live process owns.
func (f *fleet) counts() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	counts := map[string]int{}
	for name := range f.processes {
		counts[name] = 0
	}
	for _, o := range f.observed {
		if _, ok := counts[o.owner]; ok {
			counts[o.owner]++
		}
	}
	return counts
}

// isSettled reports whether live processes own all partitions, and none changed its owner within a lease.
func (f *fleet) isSettled() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range f.observed {
		if f.processes[o.owner] == nil {
			return false
		}
	}
	return time.Since(f.changedAt) > f.lease
}

// neededMoves returns how many partitions must get another owner at least, from how many each process owned before until the shares
// of the live ones are even: all but those that the live ones can keep.
func (f *fleet) neededMoves(before map[string]int) int {
	now := f.counts()
	low, extra := f.partitions/len(now), f.partitions%len(now)
	owned := make([]int, 0, len(now))
	for name := range now {
		owned = append(owned, before[name])
	}
	slices.SortFunc(owned, func(a, b int) int { return cmp.Compare(b, a) })
	needed := f.partitions
	for i, n := range owned {
		share := low
		if i < extra {
			share++
		}
		needed -= min(n, share)
	}
	return needed
}

// sendEvents accepts one event of each user.
func (f *fleet) sendEvents(users, n int) {
	var batch []delivery.NewEvent
	for u := range users {
		batch = append(batch, newEvent(fmt.Sprintf("u%d", u), n, `,"group":"g"`))
	}
	require.NoError(f.t, f.producer.Append(f.t.Context(), batch))
}

// requireEarlierAssignment fails unless each partition belongs to the process to which earlier versions assign it.
func (f *fleet) requireEarlierAssignment() {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := slices.Sorted(maps.Keys(f.processes))
	for n, o := range f.observed {
		require.Equal(f.t, delivery.AssignedMember("main", n, names), o.owner, "partition %d", n)
	}
}

// stopEarlier stops the processes of the earlier version.
func (f *fleet) stopEarlier() {
	f.mu.Lock()
	var stopping []*fleetProcess
	for name, p := range f.processes {
		if p.earlier {
			stopping = append(stopping, p)
			delete(f.processes, name)
		}
	}
	f.mu.Unlock()
	for _, p := range stopping {
		(&simulatedProcess{p.queue, p.runner}).stopProcess(f.t, false)
	}
}

// stopFleet stops everything.
func (f *fleet) stopFleet() {
	f.stopProcesses(len(f.counts()), false)
	f.producer.Close()
}

// cpuTime returns the CPU time of this process.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Round(10 * time.Millisecond)
}
