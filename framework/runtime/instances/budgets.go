package instances

import (
	"slices"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// Budgets holds the budgets of this process by name, so that they stay when plans are replaced. It is safe for concurrent use.
type Budgets struct {
	store  budget.Store
	memory *budget.MemoryStore

	mu     sync.Mutex
	byName map[string]*budget.Budget
}

// NewBudgets returns Budgets that processes share through a store; nil for those of this process alone.
func NewBudgets(store budget.Store) *Budgets {
	b := &Budgets{store: store, memory: budget.NewMemoryStore(), byName: map[string]*budget.Budget{}}
	if store == nil {
		b.store = b.memory
	}
	return b
}

// shortWindow is the length of windows that end before a process that has died could send again.
const shortWindow = 5 * time.Second

// getOrCreate returns the budget with a name, with its present limits.
func (b *Budgets) getOrCreate(name string, limits budget.Limits) *budget.Budget {
	b.mu.Lock()
	defer b.mu.Unlock()
	if known := b.byName[name]; known != nil {
		known.SetLimits(limits)
		return known
	}
	store := b.store
	isShort := func(w budget.Window) bool { return w.Per <= shortWindow }
	if !store.Shared() && !slices.ContainsFunc(limits.Windows, func(w budget.Window) bool { return !isShort(w) }) {
		store = b.memory // nothing needs to be known after a restart
	}
	made := budget.New(name, limits, store)
	b.byName[name] = made
	return made
}

// define sets the limits of the budgets of a config. One without limits of its own has those that the destinations of its instances
// document.
func (b *Budgets) define(cfg *config.Config, registry *destination.Registry) {
	for _, shared := range cfg.Budgets {
		var documented []budget.Window
		for _, in := range cfg.Instances {
			entry, ok := registry.Find(in.Destination)
			if !ok || in.Limits.Budget != shared.Name {
				continue
			}
			for _, w := range entry.Definition.Limits.Requests {
				if !slices.Contains(documented, w) {
					documented = append(documented, w)
				}
			}
		}
		b.getOrCreate(sharedBudget(shared.Name), shared.Resolve(documented))
	}
}

// newGate returns the gate of an instance, with its own budget or the one that it shares.
func (b *Budgets) newGate(in config.Instance, of *destination.Definition) *budget.Gate {
	return budget.NewGate(in.ID, b.budgetFor(in, of), budget.GateConfig{Concurrency: in.Limits.Concurrency})
}

func (b *Budgets) budgetFor(in config.Instance, of *destination.Definition) *budget.Budget {
	b.mu.Lock()
	shared := b.byName[sharedBudget(in.Limits.Budget)]
	b.mu.Unlock()
	if in.Limits.Budget != "" && shared != nil {
		return shared
	}
	return b.getOrCreate("instance "+in.ID, in.Limits.Resolve(of.Limits.Requests))
}

// sharedBudget returns the name in the store of a budget of the config.
func sharedBudget(name string) string { return "budget " + name }
