package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/ingest"
)

// openQueue opens the queue of a config for a sandbox, or for real remotes if its name is "". On disk each has a queue of its own. A
// cluster's queue belongs to the target of the first server: claim refuses that of another.
func openQueue(ctx context.Context, cfg *config.Config, data, sandbox string, claim bool, log *slog.Logger) (*delivery.Queue, error) {
	c := queueConfig(cfg, data, sandbox, log)
	if claim {
		c.Target = cmp.Or(sandbox, "live")
	}
	return delivery.Open(ctx, c)
}

// queueConfig returns how the queue of a config is kept for a sandbox, or for real remotes if its name is "".
func queueConfig(cfg *config.Config, data, sandbox string, log *slog.Logger) delivery.Config {
	c := delivery.Config{
		Dir: filepath.Join(dataDir(cfg, data), queueName(sandbox)), URL: cfg.Server.NATS, Replicas: cfg.Server.Replicas,
		Partitions: cfg.Server.Partitions, Retention: cfg.Server.Retention, MaxBytes: cfg.Server.MaxBytes, MinFreeBytes: cfg.Server.MinFree, Log: log,
	}
	if cfg.Server.Credentials != "" {
		c.Credentials = cfg.ResolvePath(cfg.Server.Credentials)
	}
	return c
}

// stateCheck is the part of the server's health that is about the ledger.
func (v *serving) stateCheck() delivery.Check {
	return delivery.Check{
		Code: delivery.CodeState, Stops: delivery.StopsDelivery,
		Next: "check that its database runs and can be reached, or that the disk of the data directory has room",
		Run: func(ctx context.Context) error {
			if err := v.store.Ping(ctx); err != nil {
				return fmt.Errorf("the ledger does not answer: %w", err)
			}
			return nil
		},
	}
}

// append puts events into the queue.
func (v *serving) append(ctx context.Context, events []ingest.Event) error {
	accepted := make([]delivery.NewEvent, len(events))
	for i, e := range events {
		accepted[i] = delivery.NewEvent{Source: e.Source, Key: event.OrderingKey(e.Value), Raw: e.Raw}
	}
	return v.queue.Append(ctx, accepted)
}
