package delivery_test

import (
	"testing"

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
