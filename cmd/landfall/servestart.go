package main

import (
	"context"
	"errors"
	"net/http"
	"net/netip"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/ingest"
)

// serve delivers and listens until ctx ends. Then it stops in order: no more events are accepted, and requests in progress end.
func (v *serving) serve(ctx context.Context, cfg *config.Config, instances []instance) error {
	v.prepareMetrics()
	var err error
	var endTraces func()
	if v.tracer, endTraces, err = openTraces(ctx); err != nil {
		return err
	}
	defer endTraces()
	if v.runner, err = v.newRunner(ctx, cfg); err != nil {
		return err
	}
	v.ingest = v.newIngest(cfg)
	if err := v.use(ctx, cfg, instances); err != nil {
		return errors.Join(err, v.stopRunner(ctx))
	}
	at, err := v.openListeners(cfg)
	if err != nil {
		return errors.Join(err, v.stopRunner(ctx))
	}
	v.logBounds()
	v.log.Info("listening", "address", "http://"+at.ingest.Addr().String(), "admin", at.adminURL(), "destinations", len(instances), "target", v.target.words())
	v.warnWeakKey(cfg)
	err = errors.Join(v.listenUntil(ctx, at), at.close(), v.stopRunner(ctx))
	v.log.Info("stopped: what waits goes on with the next start")
	return err
}

// newRunner returns the runner that delivers the queue's events.
func (v *serving) newRunner(ctx context.Context, cfg *config.Config) (*delivery.Runner, error) {
	return delivery.NewRunner(ctx, v.queue, delivery.Settings{
		Linger: cfg.Server.Linger, MaxBatches: cfg.Server.Parallel, RetryFor: cfg.Server.RetryFor, Lease: cfg.Server.Lease,
		MaxPause: cfg.Server.MaxPause, DeadLetterRetention: cfg.Server.DeadLetterRetention, MaxDeadLetterBytes: cfg.Server.DeadLetterBytes,
		MaxParkedBytes: cfg.Server.ParkedBytes, Checks: []delivery.Check{v.stateCheck()},
		Metrics: delivery.NewMetrics(v.metrics), Log: v.log, Tracer: v.tracer,
	})
}

// stopRunner stops the delivery, and waits up to the grace period for the requests in progress.
func (v *serving) stopRunner(ctx context.Context) error {
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.grace)
	defer cancel()
	v.runner.Stop(ending)
	if ending.Err() != nil {
		v.log.Warn("requests under way were cut off: they are made again with the next start", "grace", v.grace)
	}
	return nil
}

// newIngest returns the handler of the tracking API.
func (v *serving) newIngest(cfg *config.Config) *ingest.Handler {
	return ingest.New(ingest.Config{
		Append: v.append, MaxEvent: cfg.Server.MaxEvent, MaxBatch: cfg.Server.MaxBatch, MaxMemory: cfg.Server.MaxMemory, MaxFuture: cfg.Server.MaxFuture, Log: v.log,
		ClientAddr: func(r *http.Request) netip.Addr { return v.proxies().Client(r) },
		Count:      func(source, outcome string, n int) { v.counted.WithLabelValues(source, outcome).Add(float64(n)) },
	})
}
