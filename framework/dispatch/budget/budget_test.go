package budget_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/internal/pause"
)

// sent is one request that a budget let through.
type sent struct {
	at    time.Time
	class budget.Class
	bytes int64
	by    string
}

// remoteLog records requests as the remote sees them.
type remoteLog struct {
	mu   sync.Mutex
	list []sent
}

func (l *remoteLog) add(s sent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, s)
}

func (l *remoteLog) count(choose func(sent) bool) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.list {
		if choose(s) {
			n++
		}
	}
	return n
}

// requireWithin checks that no window has more than its limit, and no more of the class Background than its share.
func (l *remoteLog) requireWithin(t *testing.T, limits budget.Limits) {
	t.Helper()
	share := limits.Background
	if share == 0 {
		share = budget.DefaultBackground
	}
	for _, w := range limits.Windows {
		l.requireWindow(t, w, w.Limit, func(sent) int64 { return 1 })
		l.requireWindow(t, w, max(int64(float64(w.Limit)*share), 1), func(s sent) int64 { return int64(s.class) })
	}
	if limits.BytesPerSecond > 0 {
		w := budget.Window{Per: time.Second}
		l.requireWindow(t, w, limits.BytesPerSecond, func(s sent) int64 { return min(s.bytes, limits.BytesPerSecond) })
	}
}

func (l *remoteLog) requireWindow(t *testing.T, w budget.Window, limit int64, weight func(sent) int64) {
	t.Helper()
	slices.SortFunc(l.list, func(a, b sent) int { return a.at.Compare(b.at) })
	sum, first := int64(0), 0
	for _, s := range l.list {
		sum += weight(s)
		begin := s.at.Add(-w.Per) // exclusive
		if w.Aligned {
			begin = s.at.Truncate(w.Per).Add(-1)
		}
		for !l.list[first].at.After(begin) {
			sum -= weight(l.list[first])
			first++
		}
		require.LessOrEqual(t, sum, limit, "in the window of %s that ends at %s (limit %d)", w.Per, s.at, w.Limit)
	}
}

// send sends requests through a gate until ctx ends.
func send(ctx context.Context, g *budget.Gate, by string, class budget.Class, log *remoteLog, next func() (wait time.Duration, bytes int64)) {
	for ctx.Err() == nil {
		wait, bytes := next()
		if pause.For(ctx, wait) != nil {
			return
		}
		done, err := g.Enter(ctx, budget.Request{Class: class, Bytes: bytes})
		var later *budget.WaitError
		if errors.As(err, &later) {
			_ = pause.For(ctx, later.Wait)
			continue
		}
		if err != nil {
			return
		}
		log.add(sent{time.Now(), class, bytes, by})
		_ = pause.For(ctx, time.Millisecond)
		done(budget.Result{Status: 200})
	}
}

// slowStore is a shared store whose calls take time, and some of whose answers are lost.
type slowStore struct {
	*budget.MemoryStore
	random *rand.Rand
	mu     sync.Mutex
}

func (s *slowStore) delay() bool {
	s.mu.Lock()
	d, lost := time.Duration(s.random.IntN(8))*time.Millisecond, s.random.IntN(50) == 0
	s.mu.Unlock()
	time.Sleep(d)
	return lost
}

func (s *slowStore) Load(ctx context.Context, name string) ([]byte, uint64, error) {
	s.delay()
	return s.MemoryStore.Load(ctx, name)
}

func (s *slowStore) Save(ctx context.Context, name string, data []byte, revision uint64) (uint64, error) {
	lost := s.delay()
	seq, err := s.MemoryStore.Save(ctx, name, data, revision)
	if lost && err == nil {
		return 0, errors.New("the answer was lost")
	}
	s.delay()
	return seq, err
}

func (s *slowStore) Shared() bool { return true }

// TestNoWindowExceedsTheBudget lets several processes send at random times, some of which die and start again.
func TestNoWindowExceedsTheBudget(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 1))
				limits := budget.Limits{Windows: []budget.Window{
					{Limit: 1 + random.Int64N(40), Per: time.Second},
					{Limit: 50 + random.Int64N(300), Per: time.Minute, Aligned: seed%2 == 0},
				}}
				if seed%3 == 0 {
					limits.BytesPerSecond = 1000
				}
				store := &slowStore{MemoryStore: budget.NewMemoryStore(), random: random}
				log := &remoteLog{}
				var all sync.WaitGroup
				for machine := range 1 + seed%4 {
					all.Go(func() { runMachine(fmt.Sprint(machine), limits, store, log, rand.New(rand.NewPCG(seed, machine+2))) })
				}
				all.Wait()
				log.requireWithin(t, limits)
				assert.NotEmpty(t, log.list)
			})
		})
	}
}

// runMachine sends for three minutes in several lives, of which each has a budget of its own.
func runMachine(name string, limits budget.Limits, store budget.Store, log *remoteLog, random *rand.Rand) {
	var mu sync.Mutex
	next := func() (time.Duration, int64) {
		mu.Lock()
		defer mu.Unlock()
		bytes := random.Int64N(300)
		if random.IntN(50) == 0 {
			bytes = 2500
		}
		return time.Duration(random.ExpFloat64() * float64(30*time.Millisecond)), bytes
	}
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); {
		mu.Lock()
		life := time.Duration(random.Int64N(int64(40 * time.Second)))
		mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), life)
		b := budget.New("shared", limits, store)
		var senders sync.WaitGroup
		for instance := range 2 {
			g := budget.NewGate(fmt.Sprint(instance), b, budget.GateConfig{})
			senders.Go(func() { send(ctx, g, name, budget.Live, log, next) })
			senders.Go(func() { send(ctx, g, name, budget.Background, log, next) })
		}
		senders.Wait()
		cancel()
	}
}

// TestTheBudgetIsUsed checks that a budget lets through nearly as much as it allows.
func TestTheBudgetIsUsed(t *testing.T) {
	for name, test := range map[string]struct {
		window budget.Window
		shared bool
		least  float64
	}{
		"second":          {budget.Window{Limit: 100, Per: time.Second}, false, 0.88},
		"three seconds":   {budget.Window{Limit: 3000, Per: 3 * time.Second}, false, 0.88},
		"minute":          {budget.Window{Limit: 600, Per: time.Minute}, false, 0.88},
		"clock minute":    {budget.Window{Limit: 600, Per: time.Minute, Aligned: true}, false, 0.99},
		"three processes": {budget.Window{Limit: 1000, Per: time.Second}, true, 0.7},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var store budget.Store = budget.NewMemoryStore()
				machines := 1
				if test.shared {
					store, machines = &slowStore{MemoryStore: budget.NewMemoryStore(), random: rand.New(rand.NewPCG(1, 1))}, 3
				}
				limits, log := budget.Limits{Windows: []budget.Window{test.window}}, &remoteLog{}
				windows := max(3, int((15*time.Second)/test.window.Per))
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(windows)*test.window.Per)
				defer cancel()
				var all sync.WaitGroup
				for machine := range machines {
					g := budget.NewGate("a", budget.New("b", limits, store), budget.GateConfig{})
					for range 8 {
						all.Go(func() {
							send(ctx, g, fmt.Sprint(machine), budget.Live, log, func() (time.Duration, int64) { return 0, 1 })
						})
					}
				}
				all.Wait()
				log.requireWithin(t, limits)
				assert.GreaterOrEqual(t, float64(len(log.list)), test.least*float64(test.window.Limit)*float64(windows))
				for machine := range machines {
					n := log.count(func(s sent) bool { return s.by == fmt.Sprint(machine) })
					assert.Greater(t, n, len(log.list)/machines/3, "every process gets a part")
				}
			})
		})
	}
}

// TestLiveRequestsGoFirst checks who gets how much of a budget that is too small for all.
func TestLiveRequestsGoFirst(t *testing.T) {
	const seconds, perSecond = 60, 20
	run := func(t *testing.T, senders map[string]budget.Class, parallel map[string]int) *remoteLog {
		limits, log := budget.Limits{Windows: []budget.Window{{Limit: perSecond, Per: time.Second}}}, &remoteLog{}
		b := budget.New("b", limits, budget.NewMemoryStore())
		ctx, cancel := context.WithTimeout(t.Context(), seconds*time.Second)
		defer cancel()
		var all sync.WaitGroup
		for name, class := range senders {
			g := budget.NewGate(name, b, budget.GateConfig{})
			for range max(parallel[name], 8) {
				all.Go(func() {
					send(ctx, g, name, class, log, func() (time.Duration, int64) { return 0, 1 })
				})
			}
		}
		all.Wait()
		log.requireWithin(t, limits)
		return log
	}
	by := func(name string) func(sent) bool { return func(s sent) bool { return s.by == name } }
	t.Run("the share of the class Background", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log := run(t, map[string]budget.Class{"replay": budget.Background}, nil)
			assert.InDelta(t, 0.45*seconds*perSecond, log.count(by("replay")), 0.06*seconds*perSecond)
		})
	})
	t.Run("live before background, which does not starve", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log := run(t, map[string]budget.Class{"events": budget.Live, "replay": budget.Background}, nil)
			assert.Greater(t, log.count(by("events")), 8*log.count(by("replay")))
			assert.Greater(t, log.count(by("replay")), seconds*perSecond/50)
		})
	})
	t.Run("instances take turns", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log := run(t, map[string]budget.Class{"a": budget.Live, "b": budget.Live, "c": budget.Live}, map[string]int{"a": 100})
			for _, name := range []string{"a", "b", "c"} {
				assert.InDelta(t, len(log.list)/3, log.count(by(name)), float64(len(log.list))/15, name)
			}
		})
	})
}

// TestWaitsThatCannotBeMetFailAtOnce checks that a request which could not be sent before its deadline is not held until then, and why.
func TestWaitsThatCannotBeMetFailAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for cause, prepare := range map[budget.Cause]func(g *budget.Gate){
			budget.CauseRemote: func(g *budget.Gate) {
				done, err := g.Enter(t.Context(), budget.Request{})
				require.NoError(t, err)
				done(budget.Result{Status: 200, Known: true, Remaining: 0, Reset: 3 * time.Second})
			},
			budget.CausePaused: func(g *budget.Gate) {
				done, err := g.Enter(t.Context(), budget.Request{})
				require.NoError(t, err)
				done(budget.Result{Status: 429, Wait: 3 * time.Second})
			},
		} {
			g := newGate(budget.GateConfig{MaxWait: time.Minute})
			prepare(g)
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := g.Enter(ctx, budget.Request{})
			cancel()
			var later *budget.WaitError
			require.ErrorAs(t, err, &later)
			assert.Equal(t, cause, later.Cause)
			assert.Equal(t, 3*time.Second, later.Wait)
			assert.Zero(t, time.Since(began))
		}
	})
}

// TestStatusCountsWhatWasSent checks the numbers that operators see.
func TestStatusCountsWhatWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget.New("b", budget.Limits{Windows: []budget.Window{{Limit: 10, Per: time.Minute}}}, budget.NewMemoryStore())
		g := budget.NewGate("a", b, budget.GateConfig{})
		for range 3 {
			done, err := g.Enter(t.Context(), budget.Request{})
			require.NoError(t, err)
			done(budget.Result{Status: 200})
		}
		now := time.Now()
		s := b.Status()
		require.Len(t, s.Windows, 1)
		w := s.Windows[0]
		assert.Equal(t, []any{"requests", time.Minute, int64(10), int64(3), int64(7)}, []any{w.Unit, w.Per, w.Limit, w.Used, w.Left})
		assert.True(t, w.Resets.After(now) && !w.Resets.After(now.Add(90*time.Second)), w.Resets)
		time.Sleep(w.Resets.Sub(now))
		w = b.Status().Windows[0]
		assert.Equal(t, []int64{0, 10}, []int64{w.Used, w.Left})
		assert.Equal(t, time.Now(), w.Resets)
	})
}

// TestTheRemoteSteersTheBudget checks that no more requests are sent than the remote has left.
func TestTheRemoteSteersTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := budget.NewGate("a", budget.New("b", budget.Limits{}, budget.NewMemoryStore()), budget.GateConfig{})
		left, began := int64(5), time.Now()
		for range 5 {
			done, err := g.Enter(t.Context(), budget.Request{})
			require.NoError(t, err)
			left--
			done(budget.Result{Status: 200, Known: true, Remaining: left, Reset: time.Until(began.Add(8 * time.Second))})
		}
		_, err := g.Enter(t.Context(), budget.Request{})
		require.NoError(t, err)
		assert.Equal(t, 8*time.Second, time.Since(began), "it waits for the next window of the remote")
	})
}
