package server

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/ingest"
)

// OpenQueue opens the queue of a config for a sandbox, or for real remotes if sandbox is "". On disk each of them has its own queue. The
// queue of a cluster belongs to the target of the first server that opens it; if claim is set, opening it for another target is an error.
func OpenQueue(ctx context.Context, cfg *config.Config, data, sandbox string, claim bool, log *slog.Logger) (*delivery.Queue, error) {
	c := QueueConfig(cfg, data, sandbox, log)
	if claim {
		c.Target = targetOf(sandbox)
	}
	return delivery.Open(ctx, c)
}

func targetOf(sandbox string) string { return cmp.Or(sandbox, "live") }

// OpenClusterBudgets opens the budgets that the servers of a config with a cluster share: see delivery.OpenBudgets.
func OpenClusterBudgets(ctx context.Context, cfg *config.Config, sandbox string) (store budget.Store, done func(), err error) {
	c := QueueConfig(cfg, "", sandbox, slog.New(slog.DiscardHandler))
	c.Target = targetOf(sandbox)
	return delivery.OpenBudgets(ctx, c)
}

// QueueConfig returns the configuration of the queue for a sandbox, or for real remotes if sandbox is "".
func QueueConfig(cfg *config.Config, data, sandbox string, log *slog.Logger) delivery.Config {
	c := delivery.Config{
		Dir: filepath.Join(instances.DataDir(cfg, data), instances.QueueName(sandbox)), URL: cfg.Server.NATS, Replicas: cfg.Server.Replicas,
		MaxMemory:  cmp.Or(cfg.Server.MaxDeliveryMemory, memoryShare(memoryLimitOf(cfg), delivery.DefaultMaxMemory)),
		Partitions: cfg.Server.Partitions, Retention: cfg.Server.Retention, MaxBytes: cfg.Server.MaxBytes, MinFreeBytes: cfg.Server.MinFree, Log: log,
	}
	if cfg.Server.Credentials != "" {
		c.Credentials = cfg.ResolvePath(cfg.Server.Credentials)
	}
	return c
}

// stateCheck returns the health check of the ledger.
func (v *server) stateCheck() delivery.Check {
	return delivery.Check{
		Code: delivery.CodeState, Stops: delivery.StopsDelivery,
		Next: "check that its database runs and can be reached, or that the disk of the data directory has free space",
		Run: func(ctx context.Context) error {
			if err := v.store.Ping(ctx); err != nil {
				return fmt.Errorf("the ledger does not answer: %w", err)
			}
			return nil
		},
	}
}

// appendEvents appends accepted events to the queue, except for those that were received so slowly that their user has been erased meanwhile.
func (v *server) appendEvents(ctx context.Context, events []ingest.Event) error {
	accepted := make([]delivery.NewEvent, 0, len(events))
	for _, e := range events {
		if !v.erasing.HasEvent(e.Value) {
			accepted = append(accepted, delivery.NewEvent{Source: e.Source, Key: event.OrderingKey(e.Value), Raw: e.Raw})
		}
	}
	if len(accepted) == 0 {
		return nil
	}
	return v.queue.Append(ctx, accepted)
}
