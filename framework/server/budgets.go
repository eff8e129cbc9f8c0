package server

import (
	"context"
	"errors"
)

// budgetStore is the store of the queue, which is opened after the plans have been made.
type budgetStore struct {
	server *server
	shared bool
}

var errNoQueue = errors.New("the queue is not open")

// Load implements budget.Store.
func (s budgetStore) Load(ctx context.Context, name string) ([]byte, uint64, error) {
	if s.server.queue == nil {
		return nil, 0, errNoQueue
	}
	return s.server.queue.BudgetStore().Load(ctx, name)
}

// Save implements budget.Store.
func (s budgetStore) Save(ctx context.Context, name string, data []byte, revision uint64) (uint64, error) {
	if s.server.queue == nil {
		return 0, errNoQueue
	}
	return s.server.queue.BudgetStore().Save(ctx, name, data, revision)
}

// Shared implements budget.Store.
func (s budgetStore) Shared() bool { return s.shared }
