package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/landfall-dev/landfall/framework/config"
	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/ingest"
)

// openQueue opens the queue of a config.
func openQueue(ctx context.Context, cfg *config.Config, data string, log *slog.Logger) (*delivery.Queue, error) {
	c := delivery.Config{
		Dir: filepath.Join(dataDir(cfg, data), queueDir), URL: cfg.Server.NATS, Replicas: cfg.Server.Replicas,
		Partitions: cfg.Server.Partitions, Retention: cfg.Server.Retention, MaxBytes: cfg.Server.MaxBytes, MinFree: cfg.Server.MinFree, Log: log,
	}
	if cfg.Server.Credentials != "" {
		c.Credentials = cfg.Beside(cfg.Server.Credentials)
	}
	return delivery.Open(ctx, c)
}

// ready tells whether events can be taken.
func (v *serving) ready(ctx context.Context) error {
	if err := v.queue.Ready(); err != nil {
		return err
	}
	if err := v.store.Ping(ctx); err != nil {
		return fmt.Errorf("the state does not answer: %w", err)
	}
	return nil
}

// append puts events into the queue.
func (v *serving) append(ctx context.Context, events []ingest.Event) error {
	accepted := make([]delivery.Accepted, len(events))
	for i, e := range events {
		accepted[i] = delivery.Accepted{Source: e.Source, Key: event.OrderingKey(e.Value), Raw: e.Raw}
	}
	return v.queue.Append(ctx, accepted)
}
