package delivery

import (
	"context"
	"errors"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
)

// budgetPrefix begins the subjects of budgets. Earlier versions take them for members that have left.
const budgetPrefix = "proc.budget."

// budgetStore keeps budgets in the stream of checkpoints.
type budgetStore struct{ queue *Queue }

// BudgetStore returns the store in which all processes on the queue share their budgets.
func (q *Queue) BudgetStore() budget.Store { return budgetStore{q} }

// Load implements budget.Store.
func (s budgetStore) Load(ctx context.Context, name string) ([]byte, uint64, error) {
	m, err := s.queue.store.Last(ctx, checkpointsStream, budgetPrefix+subjectToken(name))
	if errors.Is(err, eventlog.ErrNotFound) {
		return nil, 0, nil
	}
	return m.Data, m.Sequence, err
}

// Save implements budget.Store.
func (s budgetStore) Save(ctx context.Context, name string, data []byte, revision uint64) (uint64, error) {
	seq, err := s.queue.appendMessage(ctx, checkpointsStream, eventlog.Write{Subject: budgetPrefix + subjectToken(name), Data: data, Conditional: true, Revision: revision})
	if errors.Is(err, eventlog.ErrConflict) {
		err = errors.Join(budget.ErrConflict, err)
	}
	return seq, err
}

// Shared implements budget.Store.
func (s budgetStore) Shared() bool { return s.queue.store.Shared() }
