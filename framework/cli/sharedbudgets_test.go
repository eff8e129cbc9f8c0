package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/admin"
)

// lostStore is a store whose server stops.
type lostStore struct {
	budget.Store
	stopped bool
}

func (s *lostStore) failure() error {
	if s.stopped {
		return fmt.Errorf("calling the server: %w", syscall.ECONNREFUSED)
	}
	return nil
}

func (s *lostStore) Load(ctx context.Context, name string) ([]byte, uint64, error) {
	if err := s.failure(); err != nil {
		return nil, 0, err
	}
	return s.Store.Load(ctx, name)
}

func (s *lostStore) Save(ctx context.Context, name string, data []byte, revision uint64) (uint64, error) {
	if err := s.failure(); err != nil {
		return 0, err
	}
	return s.Store.Save(ctx, name, data, revision)
}

// TestCommandsContinueWithoutTheServer checks that a command whose server stops knows what was used until then, and that a budget which the server does not
// have is the command's own.
func TestCommandsContinueWithoutTheServer(t *testing.T) {
	known := budget.NewMemoryStore()
	api := admin.Server{Guard: access.NewGuard(access.Config{Key: func() string { return "key" }}), Budgets: func(name string) (budget.Store, bool) { return known, name == "instance a" }}
	server := httptest.NewServer(api.Handler())
	defer server.Close()
	client := &admin.Client{Transport: http.DefaultTransport, URL: server.URL, Key: "key"}
	remote := &lostStore{Store: client.BudgetStore()}
	store := newServerBudgets(remote)
	ctx := t.Context()

	revision, err := store.Save(ctx, "instance a", []byte("1"), 0)
	require.NoError(t, err)
	_, err = known.Save(ctx, "instance a", []byte("2"), revision) // the server itself
	require.NoError(t, err)
	_, err = store.Save(ctx, "instance a", []byte("3"), revision)
	require.ErrorIs(t, err, budget.ErrConflict)
	data, revision, err := store.Load(ctx, "instance a")
	require.NoError(t, err)
	assert.Equal(t, "2", string(data))
	_, err = client.BudgetStore().Save(ctx, "instance b", []byte("x"), 0)
	require.ErrorIs(t, err, admin.ErrNoBudget)
	_, err = store.Save(ctx, "instance b", []byte("x"), 0)
	require.ErrorIs(t, err, budget.ErrConflict, "it is read again")
	_, own, err := store.Load(ctx, "instance b")
	require.NoError(t, err)
	_, err = store.Save(ctx, "instance b", []byte("x"), own)
	require.NoError(t, err)

	remote.stopped = true
	_, err = store.Save(ctx, "instance a", []byte("4"), revision)
	require.ErrorIs(t, err, budget.ErrConflict)
	data, revision, err = store.Load(ctx, "instance a")
	require.NoError(t, err)
	assert.Equal(t, "2", string(data))
	_, err = store.Save(ctx, "instance a", []byte("5"), revision)
	require.NoError(t, err)
	data, _, err = known.Load(ctx, "instance a")
	require.NoError(t, err)
	assert.Equal(t, "2", string(data))
}
