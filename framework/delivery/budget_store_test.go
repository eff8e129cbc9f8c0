package delivery_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
)

// TestBudgetStores holds what every store of budgets does: in memory, and in a log on disk.
func TestBudgetStores(t *testing.T) {
	dir := t.TempDir()
	open := func() *delivery.Queue {
		q, err := delivery.Open(t.Context(), delivery.Config{Dir: dir})
		require.NoError(t, err)
		return q
	}
	q := open()
	for name, store := range map[string]budget.Store{"memory": budget.NewMemoryStore(), "log": q.BudgetStore()} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			data, revision, err := store.Load(ctx, "budget a.b *")
			require.NoError(t, err)
			assert.Empty(t, data)
			assert.Zero(t, revision)
			first, err := store.Save(ctx, "budget a.b *", []byte("1"), 0)
			require.NoError(t, err)
			_, err = store.Save(ctx, "budget a.b *", []byte("2"), 0)
			require.ErrorIs(t, err, budget.ErrConflict)
			_, err = store.Save(ctx, "other", []byte("3"), 0)
			require.NoError(t, err)
			second, err := store.Save(ctx, "budget a.b *", []byte("4"), first)
			require.NoError(t, err)
			_, err = store.Save(ctx, "budget a.b *", []byte("5"), first)
			require.ErrorIs(t, err, budget.ErrConflict)
			data, revision, err = store.Load(ctx, "budget a.b *")
			require.NoError(t, err)
			assert.Equal(t, "4", string(data))
			assert.Equal(t, second, revision)
			assert.False(t, store.Shared())
		})
	}
	q.Close()
	q = open()
	defer q.Close()
	data, _, err := q.BudgetStore().Load(t.Context(), "other")
	require.NoError(t, err)
	assert.Equal(t, "3", string(data), "it is still there after a restart")
}

// TestMachinesShareABudget lets two machines on a cluster of three servers send as fast as they can: together they never exceed the budget, a machine that
// begins later has what is left, and a refusal that one gets pauses the other.
func TestMachinesShareABudget(t *testing.T) {
	url := natsCluster(t)
	const limit = 300
	limits := budget.Limits{Windows: []budget.Window{{Limit: limit, Per: time.Hour}}}
	var sent, background atomic.Int64
	newGates := func() (gates []*budget.Gate) {
		q, err := delivery.Open(t.Context(), delivery.Config{URL: url})
		require.NoError(t, err)
		t.Cleanup(q.Close)
		require.True(t, q.BudgetStore().Shared())
		shared := budget.New("budget crm", limits, q.BudgetStore())
		return []*budget.Gate{budget.NewGate("one", shared, budget.GateConfig{}), budget.NewGate("two", shared, budget.GateConfig{})}
	}
	spend := func(g *budget.Gate, class budget.Class) {
		for {
			done, err := g.Enter(t.Context(), budget.Request{Class: class})
			var later *budget.WaitError
			switch {
			case errors.As(err, &later) && later.Wait > time.Minute:
				return
			case errors.As(err, &later):
				time.Sleep(later.Wait)
				continue
			case !assert.NoError(t, err):
				return
			}
			sent.Add(1)
			background.Add(int64(class))
			done(budget.Result{Status: 200})
		}
	}
	var senders sync.WaitGroup
	machines := [][]*budget.Gate{newGates(), newGates()}
	for _, gates := range machines {
		for _, g := range gates {
			senders.Go(func() { spend(g, budget.Background) })
		}
	}
	senders.Wait()
	assert.LessOrEqual(t, sent.Load(), int64(limit/2), "the share of the background")
	assert.Greater(t, sent.Load(), int64(limit/3))
	for _, gates := range machines {
		for _, g := range gates {
			senders.Go(func() { spend(g, budget.Live) })
		}
	}
	senders.Wait()
	assert.LessOrEqual(t, sent.Load(), int64(limit))
	assert.Greater(t, sent.Load(), int64(limit*8/10))
	before := sent.Load()
	for _, g := range newGates() {
		senders.Go(func() { spend(g, budget.Live) })
	}
	senders.Wait()
	assert.LessOrEqual(t, sent.Load(), int64(limit), "with a third machine, which begins with %d used", before)
}
