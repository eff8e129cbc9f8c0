package budget_test

import (
	"context"
	"errors"
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

func newGate(c budget.GateConfig) *budget.Gate {
	return budget.NewGate("a", budget.New("b", budget.Limits{}, budget.NewMemoryStore()), c)
}

// kneeRemote processes some requests at once at full speed. With more of them, all get slower, and with many more it refuses.
type kneeRemote struct {
	mu       sync.Mutex
	inside   int
	most     int           // requests inside, beyond which it refuses
	capacity int           // requests that it processes at once
	each     time.Duration // of a request without others
}

func newKneeRemote(capacity, most int, each time.Duration) *kneeRemote {
	return &kneeRemote{capacity: capacity, most: most, each: each}
}

func (r *kneeRemote) serve() (status int) {
	r.mu.Lock()
	r.inside++
	inside := r.inside
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.inside--
		r.mu.Unlock()
	}()
	if inside > r.most {
		time.Sleep(r.each)
		return 503
	}
	time.Sleep(r.each * time.Duration(max(inside, r.capacity)) / time.Duration(r.capacity))
	return 200
}

// kneeResult is what senders have measured.
type kneeResult struct {
	succeeded, failed int
	latencies         []time.Duration
}

func (r *kneeResult) median() time.Duration {
	slices.Sort(r.latencies)
	return r.latencies[len(r.latencies)/2]
}

// overload sends with many senders for a time.
func overload(ctx context.Context, g *budget.Gate, remote *kneeRemote, senders int) (result kneeResult) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			for ctx.Err() == nil {
				done, err := g.Enter(ctx, budget.Request{})
				var later *budget.WaitError
				if errors.As(err, &later) {
					_ = pause.For(ctx, later.Wait)
				}
				if err != nil {
					continue
				}
				began := time.Now()
				status := remote.serve()
				done(budget.Result{Status: status})
				mu.Lock()
				if status == 200 {
					result.succeeded++
					result.latencies = append(result.latencies, time.Since(began))
				} else {
					result.failed++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return result
}

// TestConcurrencyFindsTheKnee compares adaptive with fixed numbers of requests at once to a remote that gets slow, and then refuses.
func TestConcurrencyFindsTheKnee(t *testing.T) {
	measure := func(t *testing.T, c budget.GateConfig) (r kneeResult) {
		synctest.Test(t, func(t *testing.T) {
			c.FailuresToOpen = -1
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			r = overload(ctx, newGate(c), newKneeRemote(10, 40, 100*time.Millisecond), 64)
		})
		return r
	}
	adaptive := measure(t, budget.GateConfig{Concurrency: 64})
	fixed := measure(t, budget.GateConfig{Concurrency: 64, FixedConcurrency: true})
	best := measure(t, budget.GateConfig{Concurrency: 10, FixedConcurrency: true})
	small := measure(t, budget.GateConfig{Concurrency: 2, FixedConcurrency: true})
	for name, r := range map[string]kneeResult{"adaptive": adaptive, "fixed at 64": fixed, "fixed at 10": best, "fixed at 2": small} {
		t.Logf("%-12s %6d succeeded, %6d failed, median %s", name, r.succeeded, r.failed, r.median())
	}
	assert.Greater(t, adaptive.succeeded, 2*small.succeeded)
	assert.Greater(t, float64(adaptive.succeeded), 0.9*float64(best.succeeded), "the throughput is nearly that of the best number")
	assert.Less(t, adaptive.failed, fixed.failed/20)
	assert.Less(t, adaptive.median(), fixed.median())
}

// TestConcurrencyRecovers checks that the number of requests at once falls when the remote fails, and comes back by itself.
func TestConcurrencyRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(budget.GateConfig{Concurrency: 32, FailuresToOpen: -1})
		run := func(status int, d time.Duration) int {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			var all sync.WaitGroup
			for range 32 {
				all.Go(func() {
					for ctx.Err() == nil {
						if done, err := g.Enter(ctx, budget.Request{}); err == nil {
							time.Sleep(50 * time.Millisecond)
							done(budget.Result{Status: status})
						}
					}
				})
			}
			all.Wait()
			return g.Status().Concurrency
		}
		assert.Equal(t, 32, run(200, 5*time.Second))
		assert.Equal(t, 1, run(503, 5*time.Second))
		assert.Equal(t, 32, run(200, 20*time.Second))
	})
}

// TestARemoteThatIsDownGetsOneProbe checks the circuit breaker.
func TestARemoteThatIsDownGetsOneProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(budget.GateConfig{})
		sent := 0
		try := func(status int) *budget.WaitError {
			done, err := g.Enter(t.Context(), budget.Request{})
			var later *budget.WaitError
			if errors.As(err, &later) {
				return later
			}
			require.NoError(t, err)
			sent++
			done(budget.Result{Status: status})
			return nil
		}
		for range 9 {
			require.Nil(t, try(503))
		}
		require.Nil(t, try(200), "one success is enough")
		for range 9 {
			require.Nil(t, try(0))
		}
		assert.Zero(t, g.Status().DownSince)
		require.Nil(t, try(503))
		since := time.Now()
		assert.Equal(t, since, g.Status().DownSince)
		sent = 0
		for time.Since(since) < 10*time.Minute {
			if later := try(503); later != nil {
				assert.Equal(t, budget.CauseDown, later.Cause)
				assert.Positive(t, later.Wait)
			}
			time.Sleep(100 * time.Millisecond)
		}
		assert.InDelta(t, 5+(600-31)/30, sent, 2, "probes become rarer, up to 30 s")
		assert.Equal(t, since, g.Status().DownSince)
		time.Sleep(30 * time.Second)

		probe, err := g.Enter(t.Context(), budget.Request{})
		require.NoError(t, err)
		var others sync.WaitGroup
		began := time.Now()
		for range 5 {
			others.Go(func() {
				done, err := g.Enter(t.Context(), budget.Request{})
				if assert.NoError(t, err) {
					assert.Equal(t, 3*time.Second, time.Since(began), "they wait for the result of the probe")
					done(budget.Result{Status: 200})
				}
			})
		}
		time.Sleep(3 * time.Second)
		probe(budget.Result{Status: 200})
		others.Wait()
		assert.Zero(t, g.Status().DownSince)
	})
}

// TestAnAbandonedProbeIsReplaced checks that a canceled probe does not keep all others waiting.
func TestAnAbandonedProbeIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(budget.GateConfig{FailuresToOpen: 1})
		done, err := g.Enter(t.Context(), budget.Request{})
		require.NoError(t, err)
		done(budget.Result{Status: 500})
		for range 3 {
			time.Sleep(2 * time.Second)
			done, err = g.Enter(t.Context(), budget.Request{})
			require.NoError(t, err)
			done(budget.Result{Canceled: true})
		}
		done, err = g.Enter(t.Context(), budget.Request{})
		require.NoError(t, err)
		done(budget.Result{Status: 400})
		assert.Zero(t, g.Status().DownSince, "a remote that refuses works")
	})
}

// TestBackgroundLeavesPlacesToLiveRequests checks that replays never hold all places.
func TestBackgroundLeavesPlacesToLiveRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(budget.GateConfig{Concurrency: 4})
		for range 2 {
			_, err := g.Enter(t.Context(), budget.Request{Class: budget.Background})
			require.NoError(t, err)
		}
		_, err := g.Enter(t.Context(), budget.Request{Class: budget.Background})
		var later *budget.WaitError
		require.ErrorAs(t, err, &later)
		assert.Equal(t, budget.CauseConcurrency, later.Cause)
		for range 2 {
			_, err := g.Enter(t.Context(), budget.Request{})
			require.NoError(t, err)
		}
	})
}
