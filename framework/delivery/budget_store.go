package delivery

import (
	"context"
	"errors"
	"fmt"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
)

// budgetPrefix begins the subjects of budgets. Earlier versions take them for members that have left.
const budgetPrefix = "proc.budget."

// budgetStore keeps budgets in the stream of checkpoints.
type budgetStore struct{ queue *Queue }

// BudgetStore returns the store in which all processes on the queue share their budgets.
func (q *Queue) BudgetStore() budget.Store { return budgetStore{q} }

// OpenBudgets opens the store in which the processes on a cluster share their budgets, and nothing else of the queue. It returns nil if no server with
// the target of the Config has used the cluster yet. The caller calls done.
func OpenBudgets(ctx context.Context, c Config) (store budget.Store, done func(), err error) {
	q, err := openConnection(c)
	if err != nil {
		return nil, nil, err
	}
	info, err := q.store.Info(ctx, eventsStream)
	if err == nil && info.Labels[targetKey] == c.Target {
		_, err = q.store.Info(ctx, checkpointsStream)
	} else if err == nil {
		err = eventlog.ErrNoStream
	}
	if err == nil {
		return budgetStore{q}, q.Close, nil
	}
	q.Close()
	if errors.Is(err, eventlog.ErrNoStream) {
		return nil, func() {}, nil
	}
	return nil, nil, fmt.Errorf("reading the log of the cluster: %w", err)
}

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
