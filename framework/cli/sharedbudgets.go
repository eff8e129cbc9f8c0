package cli

import (
	"context"
	"errors"
	"sync"

	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server"
	"github.com/landfall-dev/landfall/framework/server/admin"
)

// shareBudgets returns the budgets of a command that sends requests. If servers deliver to the same remotes, from the data directory or from the
// cluster of the config, the command shares their budgets, and its requests wait for live events, as the returned context says.
func shareBudgets(ctx context.Context, s streams, t *target, cfg *config.Config, data string) (context.Context, *instances.Budgets) {
	if cfg == nil || t.DryRun {
		return ctx, instances.NewBudgets(nil)
	}
	store, err := localBudgets(ctx, s, t, cfg, data)
	inProcess := t.Sandbox && t.SandboxURL == "" // the remotes are those of the command alone
	if store == nil && err == nil && cfg.Server.NATS != "" && !inProcess {
		store, err = clusterBudgets(ctx, t, cfg)
	}
	if err != nil {
		s.warn("the limits hold for this command alone, since the budgets of the servers are not known: " + err.Error())
	}
	if store == nil {
		return ctx, instances.NewBudgets(nil)
	}
	return budget.WithClass(ctx, budget.Background), instances.NewBudgets(store)
}

// localBudgets returns the budgets of the server that delivers to the same remotes from a data directory, or nil if none does.
func localBudgets(ctx context.Context, s streams, t *target, cfg *config.Config, data string) (budget.Store, error) {
	c := &queueClient{streams: s, target: *t}
	err := c.dialDir(ctx, instances.DataDir(cfg, data), cfg)
	switch {
	case errors.Is(err, errNoServer):
		return nil, nil
	case err != nil:
		return nil, err
	case c.sandbox != t.SandboxName():
		c.close()
		return nil, nil
	}
	return newServerBudgets(c.client.BudgetStore()), nil
}

// clusterBudgets returns the budgets of the servers that deliver to the same remotes from the cluster of a config, or nil if none has yet. They can be
// used until ctx ends.
func clusterBudgets(ctx context.Context, t *target, cfg *config.Config) (budget.Store, error) {
	store, done, err := server.OpenClusterBudgets(ctx, cfg, t.SandboxName())
	if store == nil {
		return nil, err
	}
	context.AfterFunc(ctx, done)
	return store, nil
}

// serverBudgets is the store of a running server's budgets. A budget that the server does not have, and all if the server stops, continue in memory with
// what was used before.
type serverBudgets struct {
	remote budget.Store
	memory *budget.MemoryStore

	mu   sync.Mutex
	own  map[string]bool   // names of those in memory
	last map[string][]byte // the newest known records, by name
}

func newServerBudgets(remote budget.Store) *serverBudgets {
	return &serverBudgets{remote: remote, memory: budget.NewMemoryStore(), own: map[string]bool{}, last: map[string][]byte{}}
}

// takeOver continues a budget in memory after an error, and reports whether it does.
func (s *serverBudgets) takeOver(ctx context.Context, name string, err error) bool {
	if !errors.Is(err, admin.ErrNoBudget) && !isNotListening(err) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.own[name] {
		s.own[name] = true
		_, _ = s.memory.Save(ctx, name, s.last[name], 0) // which cannot fail for a new name
	}
	return true
}

func (s *serverBudgets) isOwn(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.own[name]
}

func (s *serverBudgets) remember(name string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[name] = data
}

// Load implements budget.Store.
func (s *serverBudgets) Load(ctx context.Context, name string) ([]byte, uint64, error) {
	if !s.isOwn(name) {
		data, revision, err := s.remote.Load(ctx, name)
		if err == nil {
			s.remember(name, data)
		}
		if err == nil || !s.takeOver(ctx, name, err) {
			return data, revision, err
		}
	}
	return s.memory.Load(ctx, name)
}

// Save implements budget.Store.
func (s *serverBudgets) Save(ctx context.Context, name string, data []byte, revision uint64) (uint64, error) {
	if s.isOwn(name) {
		return s.memory.Save(ctx, name, data, revision)
	}
	saved, err := s.remote.Save(ctx, name, data, revision)
	if err == nil {
		s.remember(name, data)
	} else if s.takeOver(ctx, name, err) {
		err = errors.Join(budget.ErrConflict, err) // the next Load reads the record in memory
	}
	return saved, err
}

// Shared implements budget.Store.
func (s *serverBudgets) Shared() bool { return true }
