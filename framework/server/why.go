package server

import (
	"context"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/framework/server/why"
	"github.com/landfall-dev/landfall/framework/state"
)

// latestRejections returns the latest rejected events that are kept, newest first.
func (v *server) latestRejections(ctx context.Context, limit int) (list []history.Rejection, err error) {
	v.history.Flush(ctx)
	err = history.Rejections(ctx, v.store, func(r history.Rejection) bool {
		list = append(list, r)
		return len(list) < limit
	})
	return list, err
}

// latestActions returns the latest changes by operators that are kept, newest first.
func (v *server) latestActions(ctx context.Context, limit int) ([]history.Action, error) {
	v.history.Flush(ctx)
	return history.Actions(ctx, v.store, time.Time{}, limit)
}

// verdictsOf returns the verdicts on events that are kept, by their position, oldest first.
func (v *server) verdictsOf(ctx context.Context, events []history.Position) (map[history.Position][]delivery.VerdictRecord, error) {
	v.history.Flush(ctx)
	return history.Verdicts(ctx, v.store, events)
}

// findVerdicts returns the verdicts that are kept and that a filter selects, newest first.
func (v *server) findVerdicts(ctx context.Context, f history.VerdictFilter) ([]delivery.VerdictRecord, bool, error) {
	v.history.Flush(ctx)
	return history.Find(ctx, v.store, f)
}

// whySource returns where answers about missing users come from.
func (v *server) whySource() *why.Source {
	s := &why.Source{
		Queue: v.queue, Store: v.store, Status: v.runner.Status, Flush: v.history.Flush,
		Instances: func(observe func(httpx.Exchange)) ([]instances.Instance, error) {
			return ExplainInstances(v.config.Load(), v.Catalog, v.store, v.Data, observe)
		},
	}
	if !v.Target.Live {
		s.Remotes = v.runningInstances
	}
	return s
}

// ExplainInstances returns the instances of a config with plans that send nothing and remember nothing, and with their ledgers.
// data is the data directory; "" for the config's.
func ExplainInstances(cfg *config.Config, catalog instances.Catalog, store *state.Store, data string, observe func(httpx.Exchange)) ([]instances.Instance, error) {
	list, err := instances.Load(cfg, nil, instances.Options{Target: &instances.Target{DryRun: true}, Catalog: catalog, Data: data, Observe: observe, Members: why.NoMembers()})
	for i := range list {
		list[i].Ledger = store.Ledger(list[i].Plan.ID()) // the plans do not use it
	}
	return list, err
}
