package delivery_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/internal/pause"
)

// slowLog is a connection on which answers may be lost, and messages arrive late.
type slowLog struct {
	eventlog.Log
	chance func(n int) int // returns a random number below n
	lossy  atomic.Bool     // answers are lost
}

// Append may lose the answer to a checkpoint. It does not sleep: callers hold mutexes, and in a simulation no time passes while a
// goroutine waits for one.
func (l *slowLog) Append(ctx context.Context, stream string, writes []eventlog.Write) (uint64, error) {
	last, err := l.Log.Append(ctx, stream, writes)
	if err == nil && stream == "BOOKS" && l.lossy.Load() && l.chance(20) == 0 {
		return 0, eventlog.ErrUnavailable
	}
	return last, err
}

func (l *slowLog) Read(ctx context.Context, stream string, q eventlog.Query) (eventlog.Reader, error) {
	r, err := l.Log.Read(ctx, stream, q)
	return &slowReader{r, l.chance, 8 * time.Second}, err
}

// Erase implements eventlog.Eraser.
func (l *slowLog) Erase(ctx context.Context, rewrite func(stream, subject string, data []byte) []byte) error {
	return l.Log.(eventlog.Eraser).Erase(ctx, rewrite)
}

// slowReader stands still now and then.
type slowReader struct {
	eventlog.Reader
	chance  func(n int) int // returns a random number below n
	longest time.Duration   // below which it stands still
}

func (r *slowReader) Next(ctx context.Context) (eventlog.Message, error) {
	if r.chance(300) == 0 {
		if err := pause.For(ctx, time.Duration(r.chance(int(r.longest/time.Millisecond)))*time.Millisecond); err != nil {
			return eventlog.Message{}, err
		}
	}
	return r.Reader.Next(ctx)
}

// simulatedProcess is a process on a log in memory.
type simulatedProcess struct {
	queue  *delivery.Queue
	runner *delivery.Runner
}

// startProcess starts a process that delivers to an instance.
func startProcess(t *testing.T, log *slowLog, partitions int, in delivery.Instance) *simulatedProcess {
	q, err := delivery.Open(t.Context(), delivery.Config{Partitions: partitions}.On(log))
	require.NoError(t, err)
	s := quick
	s.Lease = 5 * time.Second
	p := &simulatedProcess{q, startRunner(t, q, s, in)}
	log.lossy.Store(true)
	return p
}

// stopProcess stops a process in an orderly way, or as a crash does.
func (p *simulatedProcess) stopProcess(t *testing.T, crash bool) {
	if crash {
		p.runner.Kill()
	} else {
		stopRunner(t, p.runner)
	}
	p.queue.Close()
}

// Processes on one log start, stop and crash while events are accepted, and their connections are slow. Nothing is lost, no event is first sent after a later one
// of its user, and the last one sent is the newest. The clock is simulated, so that expiring leases cost no time.
func TestProcessesComeAndGo(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulateProcesses(t, rand.New(rand.NewPCG(seed, 7))) })
		})
	}
}

func simulateProcesses(t *testing.T, random *rand.Rand) {
	const partitions, users, each = 32, 60, 40
	store, remote := memlog.New(memlog.Options{Shared: true}), newRemote(t)
	var randomMu sync.Mutex
	chance := func(n int) int {
		randomMu.Lock()
		defer randomMu.Unlock()
		return random.IntN(n)
	}
	perform := func(ctx context.Context, call destination.BatchCall[change, change]) (*destination.MultiStatus, error) {
		if err := pause.For(ctx, time.Duration(chance(200))*time.Millisecond); err != nil {
			return nil, err
		}
		remote.mu.Lock()
		defer remote.mu.Unlock()
		for _, c := range call.Payloads {
			remote.taken[c.id] = append(remote.taken[c.id], c.n)
		}
		return nil, nil
	}
	in := delivery.Instance{Plan: remote.planOf(perform, `type = "track"`)}
	start := func() *simulatedProcess {
		return startProcess(t, &slowLog{Log: store.Connect(), chance: chance}, partitions, in)
	}
	processes := []*simulatedProcess{start(), start()}
	for n := range each {
		var batch []delivery.NewEvent
		for u := range users {
			batch = append(batch, newEvent(fmt.Sprintf("u%d", u), n, `,"group":"g"`))
		}
		require.NoError(t, processes[0].queue.Append(t.Context(), batch))
		time.Sleep(time.Duration(chance(1000)) * time.Millisecond)
		switch i := chance(len(processes)); {
		case n%4 == 0 && len(processes) < 6:
			processes = append(processes, start())
		case n%4 == 2 && len(processes) > 1:
			processes[i].stopProcess(t, chance(2) == 0)
			processes = append(processes[:i], processes[i+1:]...)
		}
	}
	complete := func() (n int) {
		remote.mu.Lock()
		defer remote.mu.Unlock()
		for _, list := range remote.taken {
			if list[len(list)-1] == each-1 {
				n++
			}
		}
		return n
	}
	require.Eventually(t, func() bool { return complete() == users }, 5*time.Minute, 100*time.Millisecond)
	for _, p := range processes {
		assert.Empty(t, p.queue.Problems())
		p.stopProcess(t, false)
	}
	remote.requireAllInOrder(t, users, each)
}

// requireAllInOrder requires that the remote has taken all events of each user, the last one last. Events may have been sent again, but none was
// sent before the one that precedes it.
func (r *remote) requireAllInOrder(t *testing.T, users, each int) {
	t.Helper()
	again := 0
	for user, list := range r.taken {
		newest := -1
		for _, n := range list {
			require.LessOrEqual(t, n, newest+1, "%s: %v", user, list)
			if n <= newest {
				again++
			}
			newest = max(newest, n)
		}
		require.Equal(t, each-1, list[len(list)-1], "%s: %v", user, list)
	}
	require.Len(t, r.taken, users)
	t.Logf("%d of %d events sent again", again, users*each)
}
