package budget_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/dispatch/budget"
)

// TestARefusalPausesTheWholeBudget checks that all instances and processes wait after a 429, and until when.
func TestARefusalPausesTheWholeBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slowStore{MemoryStore: budget.NewMemoryStore(), random: rand.New(rand.NewPCG(1, 1))}
		limits := budget.Limits{Windows: []budget.Window{{Limit: 100, Per: time.Second}}}
		one, two := budget.New("b", limits, store), budget.New("b", limits, store)
		a, b, c := budget.NewGate("a", one, budget.GateConfig{}), budget.NewGate("b", one, budget.GateConfig{}), budget.NewGate("c", two, budget.GateConfig{})
		for _, g := range []*budget.Gate{b, c} {
			done, err := g.Enter(t.Context(), budget.Request{})
			require.NoError(t, err)
			done(budget.Result{Status: 200})
		}
		done, err := a.Enter(t.Context(), budget.Request{})
		require.NoError(t, err)
		done(budget.Result{Status: 429, Wait: 30 * time.Second})
		until := time.Now().Add(30 * time.Second)
		time.Sleep(1100 * time.Millisecond)
		for _, g := range []*budget.Gate{a, b, c} {
			_, err := g.Enter(t.Context(), budget.Request{})
			var later *budget.WaitError
			require.ErrorAs(t, err, &later)
			assert.Equal(t, budget.CausePaused, later.Cause)
			assert.WithinDuration(t, until, time.Now().Add(later.Wait), time.Second)
			assert.WithinDuration(t, until, g.Status().Budget.PausedUntil, time.Second)
		}
		a.Resume()
		time.Sleep(1100 * time.Millisecond)
		for _, g := range []*budget.Gate{a, c} {
			_, err := g.Enter(t.Context(), budget.Request{})
			require.NoError(t, err)
		}
	})
}

// TestAPauseOfAWrongClock checks that a pause which a process has stored while its clock was ahead stops no other, unless it can be a real one.
func TestAPauseOfAWrongClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for ahead, paused := range map[time.Duration]bool{24 * time.Hour: true, 24*time.Hour + time.Second: false, 10_000 * time.Hour: false} {
			store := &slowStore{MemoryStore: budget.NewMemoryStore(), random: rand.New(rand.NewPCG(1, 1))}
			_, err := store.MemoryStore.Save(t.Context(), "b", fmt.Appendf(nil, `{"pausedUntil":%d}`, time.Now().Add(ahead).UnixMilli()), 0)
			require.NoError(t, err)
			g := budget.NewGate("a", budget.New("b", budget.Limits{Windows: []budget.Window{{Limit: 1, Per: time.Hour}}}, store), budget.GateConfig{})
			_, err = g.Enter(t.Context(), budget.Request{})
			assert.Equal(t, paused, err != nil, ahead)
			assert.Equal(t, paused, !g.Status().Budget.PausedUntil.IsZero(), ahead)
		}
	})
}

// TestAPauseHoldsInOneProcess checks that a pause holds without a shared store, and that a shorter one does not end it.
func TestAPauseHoldsInOneProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(budget.GateConfig{})
		until := time.Now().Add(30 * time.Second)
		for _, wait := range []time.Duration{30 * time.Second, 10 * time.Second} {
			done, err := g.Enter(t.Context(), budget.Request{})
			if wait == 30*time.Second {
				require.NoError(t, err)
				done(budget.Result{Status: 429, Wait: wait})
			}
			_, err = g.Enter(t.Context(), budget.Request{})
			var later *budget.WaitError
			require.ErrorAs(t, err, &later)
			assert.Equal(t, until, g.Status().Budget.PausedUntil)
		}
		time.Sleep(30 * time.Second)
		_, err := g.Enter(t.Context(), budget.Request{})
		require.NoError(t, err)
		assert.Zero(t, g.Status().Budget.PausedUntil)
	})
}

// TestResumeLetsWaitingRequestsStart checks that a request which waits for the end of a pause is sent when an operator ends it.
func TestResumeLetsWaitingRequestsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(budget.GateConfig{MaxWait: time.Minute})
		done, err := g.Enter(t.Context(), budget.Request{})
		require.NoError(t, err)
		done(budget.Result{Status: 429, Wait: 30 * time.Second})
		began := time.Now()
		var waiting sync.WaitGroup
		waiting.Go(func() {
			done, err := g.Enter(t.Context(), budget.Request{})
			if assert.NoError(t, err) {
				assert.Equal(t, time.Second, time.Since(began))
				done(budget.Result{Status: 200})
			}
		})
		time.Sleep(time.Second)
		g.Resume()
		waiting.Wait()
	})
}

// TestAShorterPauseOfAnotherProcessEndsNoLongerOne checks that the longest pause that a process was asked for holds for all.
func TestAShorterPauseOfAnotherProcessEndsNoLongerOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := evenStore{budget.NewMemoryStore()}
		gate := func() *budget.Gate {
			return budget.NewGate("a", budget.New("b", budget.Limits{Windows: []budget.Window{{Limit: 100, Per: time.Hour}}}, store), budget.GateConfig{})
		}
		one, two, three := gate(), gate(), gate()
		var results []func(budget.Result)
		for _, g := range []*budget.Gate{one, two} {
			done, err := g.Enter(t.Context(), budget.Request{})
			require.NoError(t, err)
			results = append(results, done)
		}
		until := time.Now().Add(30 * time.Second)
		results[0](budget.Result{Status: 429, Wait: 30 * time.Second})
		results[1](budget.Result{Status: 429, Wait: 10 * time.Second})
		_, err := three.Enter(t.Context(), budget.Request{})
		var later *budget.WaitError
		require.ErrorAs(t, err, &later)
		assert.WithinDuration(t, until, time.Now().Add(later.Wait), time.Millisecond)
	})
}
