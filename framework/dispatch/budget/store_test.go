package budget_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/dispatch/budget"
)

// TestUnreadableRecordsCountAsEmpty checks that a record which another version or a fault has left stops nothing.
func TestUnreadableRecordsCountAsEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, text := range []string{`{`, `[]`, fmt.Sprintf(`{"meters":{"requests/1h0m0s":{"%d":[100,0]}},"pausedUntil":"soon"}`, time.Now().Unix()/60), `null`} {
			store := budget.NewMemoryStore()
			revision, err := store.Save(t.Context(), "b", []byte(text), 0)
			require.NoError(t, err)
			_, loaded, err := store.Load(t.Context(), "b")
			require.NoError(t, err)
			assert.Equal(t, revision, loaded)
			_, err = store.Save(t.Context(), "b", nil, revision-1)
			require.ErrorIs(t, err, budget.ErrConflict)
			g := budget.NewGate("a", budget.New("b", budget.Limits{Windows: []budget.Window{{Limit: 1, Per: time.Hour}}}, store), budget.GateConfig{})
			done, err := g.Enter(t.Context(), budget.Request{})
			require.NoError(t, err, text)
			done(budget.Result{Status: 200})
			_, err = g.Enter(t.Context(), budget.Request{})
			require.Error(t, err, text)
		}
	})
}

// unreachableStore is a store that fails while it is down.
type unreachableStore struct {
	*budget.MemoryStore
	down bool
}

func (s *unreachableStore) Load(ctx context.Context, name string) ([]byte, uint64, error) {
	if s.down {
		return nil, 0, errors.New("no connection")
	}
	return s.MemoryStore.Load(ctx, name)
}

func (s *unreachableStore) Shared() bool { return true }

// evenStore is a shared store each of whose calls takes a tenth of a second.
type evenStore struct{ *budget.MemoryStore }

func (s evenStore) Load(ctx context.Context, name string) ([]byte, uint64, error) {
	time.Sleep(100 * time.Millisecond)
	return s.MemoryStore.Load(ctx, name)
}

func (s evenStore) Save(ctx context.Context, name string, data []byte, revision uint64) (uint64, error) {
	time.Sleep(100 * time.Millisecond)
	return s.MemoryStore.Save(ctx, name, data, revision)
}

func (s evenStore) Shared() bool { return true }

// TestARequestWithTokensIsSentAtOnce checks that a request which has tokens does not wait while others get theirs: they are for its slot of
// the window, and it would be sent in a later one.
func TestARequestWithTokensIsSentAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget.New("b", budget.Limits{Windows: []budget.Window{{Limit: 100, Per: time.Hour}}}, evenStore{budget.NewMemoryStore()})
		g := budget.NewGate("a", b, budget.GateConfig{})
		began := time.Now()
		var took [2]time.Duration
		var senders sync.WaitGroup
		for class := range took {
			senders.Go(func() {
				time.Sleep(time.Duration(class) * time.Millisecond)
				done, err := g.Enter(t.Context(), budget.Request{Class: budget.Class(class)})
				assert.NoError(t, err)
				took[class] = time.Since(began)
				done(budget.Result{Status: 200})
			})
		}
		senders.Wait()
		assert.Equal(t, 300*time.Millisecond, took[budget.Live], "the budget is read, and its tokens are loaded and saved")
		assert.Greater(t, took[budget.Background], took[budget.Live])
	})
}

// countingStore counts the texts that are saved.
type countingStore struct {
	*budget.MemoryStore
	saved int
}

func (s *countingStore) Save(ctx context.Context, name string, data []byte, revision uint64) (uint64, error) {
	s.saved++
	return s.MemoryStore.Save(ctx, name, data, revision)
}

// TestABurstReservesBlocks checks that a burst late in a long window does not use the store for each request, and how many tokens it
// leaves unused.
func TestABurstReservesBlocks(t *testing.T) {
	for _, test := range []struct {
		limit      int64
		requests   int
		every      time.Duration
		most, left int // stores, and tokens that are reserved and not used
	}{
		{250_000, 200, 20 * time.Millisecond, 10, 256},
		{250_000, 10, 20 * time.Millisecond, 5, 10},
		{250_000, 10, 2 * time.Second, 10, 0}, // no burst
		{300, 200, 20 * time.Millisecond, 70, 3},
		{90, 20, 20 * time.Millisecond, 20, 0}, // each token counts
	} {
		synctest.Test(t, func(t *testing.T) {
			store := &countingStore{MemoryStore: budget.NewMemoryStore()}
			limits := budget.Limits{Windows: []budget.Window{{Limit: test.limit, Per: time.Hour, Aligned: true}}}
			g := budget.NewGate("a", budget.New("b", limits, store), budget.GateConfig{})
			time.Sleep(50 * time.Minute)
			for range test.requests {
				done, err := g.Enter(t.Context(), budget.Request{})
				require.NoError(t, err)
				done(budget.Result{Status: 200})
				time.Sleep(test.every)
			}
			assert.LessOrEqual(t, store.saved, test.most, "%v", test)
			after := budget.New("b", limits, store) // of a process that starts after this one was killed
			_, err := budget.NewGate("a", after, budget.GateConfig{}).Enter(t.Context(), budget.Request{})
			require.NoError(t, err)
			unused := after.Status().Windows[0].Used - int64(test.requests) - 1
			assert.True(t, unused >= 0 && unused <= int64(test.left), "%d tokens were not used: %v", unused, test)
		})
	}
}

// TestAStoreThatFailsIsReported checks that no request starts without the store, which might exceed the budget, that the status says why,
// and that requests start when the store is back.
func TestAStoreThatFailsIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &unreachableStore{MemoryStore: budget.NewMemoryStore(), down: true}
		b := budget.New("b", budget.Limits{Windows: []budget.Window{{Limit: 10, Per: time.Minute}}}, store)
		g := budget.NewGate("a", b, budget.GateConfig{})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := g.Enter(ctx, budget.Request{})
		require.Error(t, err)
		assert.Contains(t, b.Status().Failure, "no connection")
		store.down = false
		time.Sleep(time.Minute)
		done, err := g.Enter(t.Context(), budget.Request{})
		require.NoError(t, err)
		done(budget.Result{Status: 200})
		assert.Empty(t, b.Status().Failure)
	})
}
