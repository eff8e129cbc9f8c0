package instances

import (
	"slices"
	"sync"
	"sync/atomic"
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
	stores map[string]*lentStore // by name
}

// NewBudgets returns Budgets that processes share through a store; nil for those of this process alone.
func NewBudgets(store budget.Store) *Budgets {
	b := &Budgets{store: store, memory: budget.NewMemoryStore(), byName: map[string]*budget.Budget{}, stores: map[string]*lentStore{}}
	if store == nil {
		b.store = b.memory
	}
	return b
}

// shortWindow is the length of windows that end before a process that has died could send again.
const shortWindow = 5 * time.Second

// create makes the budgets that are not there yet.
func (b *Budgets) create(limits map[string]budget.Limits) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, l := range limits {
		if b.byName[name] == nil {
			b.stores[name] = &lentStore{Store: b.storeFor(l)}
			b.byName[name] = budget.New(name, l, b.stores[name])
		}
	}
}

// storeFor returns the store of a budget.
func (b *Budgets) storeFor(limits budget.Limits) budget.Store {
	isLong := func(w budget.Window) bool { return w.Per > shortWindow }
	if !b.store.Shared() && !slices.ContainsFunc(limits.Windows, isLong) {
		return b.memory // nothing needs to be known after a restart
	}
	return b.store
}

// Lend returns the store of a budget for another process that shares it for now; false if there is no such budget.
func (b *Budgets) Lend(name string) (budget.Store, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	store := b.stores[name]
	if store == nil {
		return nil, false
	}
	store.lentUntil.Store(time.Now().Add(lendTime).UnixNano())
	return store, true
}

// lendTime is how long another process counts as sharing a budget after its last use of the store.
const lendTime = time.Minute

// lentStore is a store that is shared while another process uses it through this one.
type lentStore struct {
	budget.Store
	lentUntil atomic.Int64 // in nanoseconds since 1970
}

// Shared implements budget.Store.
func (s *lentStore) Shared() bool {
	return s.Store.Shared() || time.Now().UnixNano() < s.lentUntil.Load()
}

// setLimits changes the limits of budgets that create has made.
func (b *Budgets) setLimits(limits map[string]budget.Limits) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, l := range limits {
		b.byName[name].SetLimits(l)
	}
}

// newGate returns the gate of an instance, with its own budget or the one that it shares; nil if there is no such budget.
func (b *Budgets) newGate(in config.Instance) *budget.Gate {
	b.mu.Lock()
	defer b.mu.Unlock()
	from := b.byName[budgetName(in)]
	if from == nil {
		return nil
	}
	return budget.NewGate(in.ID, from, budget.GateConfig{Concurrency: in.Limits.Concurrency})
}

// limitsOf returns the limits of a config's budgets by the names of the budgets. One that instances share and that has no limits of its own
// has those that the destinations of the instances document.
func limitsOf(cfg *config.Config, registry *destination.Registry) map[string]budget.Limits {
	limits, documented := map[string]budget.Limits{}, map[string][]budget.Window{}
	for _, in := range cfg.Instances {
		entry, err := registry.Find(in.Destination)
		if err != nil {
			continue
		}
		name, windows := budgetName(in), entry.Definition.Limits.Requests
		if in.Limits.Budget == "" {
			limits[name] = in.Limits.Resolve(windows)
			continue
		}
		for _, w := range windows {
			if !slices.Contains(documented[name], w) {
				documented[name] = append(documented[name], w)
			}
		}
	}
	for _, shared := range cfg.Budgets {
		name := sharedBudget(shared.Name)
		limits[name] = shared.Resolve(documented[name])
	}
	return limits
}

// budgetName returns the name in the store of an instance's budget.
func budgetName(in config.Instance) string {
	if in.Limits.Budget != "" {
		return sharedBudget(in.Limits.Budget)
	}
	return "instance " + in.ID
}

// sharedBudget returns the name in the store of a budget of the config.
func sharedBudget(name string) string { return "budget " + name }
