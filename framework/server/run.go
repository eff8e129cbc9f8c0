package server

import (
	"context"
	"errors"
	"net/http"
	"net/netip"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
	"github.com/landfall-dev/landfall/framework/server/devicemode"
	"github.com/landfall-dev/landfall/framework/server/erasure"
	"github.com/landfall-dev/landfall/framework/server/ingest"
)

// serveUntil accepts and delivers events until ctx ends. Then it stops in order: it accepts no more events, then it completes the requests in
// progress.
func (v *server) serveUntil(ctx context.Context, cfg *config.Config, list []instances.Instance) error {
	var err error
	if v.certificates, err = openCertificates(cfg, v.Data, v.Log); err != nil {
		return err
	}
	if v.certificates != nil {
		defer v.certificates.close()
		v.metrics.MustRegister(newExpiryMetric(v.certificates))
	}
	var endTraces func()
	if v.tracer, endTraces, err = openTraces(ctx); err != nil {
		return err
	}
	defer endTraces()
	v.config.Store(cfg)
	if v.suppression, err = newSuppression(ctx, v); err != nil {
		return err
	}
	defer v.suppression.close()
	if v.erasing, err = erasure.NewWatcher(ctx, v.store, v.stateKey, v.Log); err != nil {
		return err
	}
	defer v.erasing.Close()
	if v.runner, err = v.newRunner(ctx, cfg); err != nil {
		return err
	}
	v.ingest = v.newIngest(cfg)
	v.devices = devicemode.New(v.ingest.AllowOrigin)
	if err := v.applyConfig(ctx, cfg, list); err != nil {
		v.stopRunner(ctx)
		return err
	}
	return v.acceptUntil(ctx, cfg, len(list))
}

// acceptUntil accepts events for a number of instances until ctx ends, and then stops what the server has started.
func (v *server) acceptUntil(ctx context.Context, cfg *config.Config, instances int) error {
	v.syncs = v.newScheduler()
	eraser := v.startEraser(cfg)
	at, err := v.openListeners(cfg)
	if err != nil {
		eraser.Close()
		v.syncs.Close()
		v.stopRunner(ctx)
		return err
	}
	v.logLimits()
	v.Log.Info("listening", "address", v.ingestScheme()+"://"+at.ingest.Addr().String(), "admin", at.adminURL(), "destinations", instances, "target", v.Target.Description())
	v.warnWeakKey(cfg)
	err = v.listenUntil(ctx, at)
	eraser.Close()
	v.syncs.Close()
	err = errors.Join(err, at.close())
	v.stopRunner(ctx)
	v.Log.Info("stopped: waiting events are delivered after the next start")
	return err
}

// newRunner returns the runner that delivers the queue's events.
func (v *server) newRunner(ctx context.Context, cfg *config.Config) (*delivery.Runner, error) {
	return delivery.NewRunner(ctx, v.queue, delivery.Settings{
		Linger: cfg.Server.Linger, MaxBatches: cfg.Server.Parallel, RetryFor: cfg.Server.RetryFor, Lease: cfg.Server.Lease,
		MaxPause: cfg.Server.MaxPause, DeadLetterRetention: cfg.Server.DeadLetterRetention, MaxDeadLetterBytes: cfg.Server.DeadLetterBytes,
		MaxParkedBytes: cfg.Server.ParkedBytes, Checks: []delivery.Check{v.stateCheck(), v.configCheck()}, OnVerdict: v.history.AddVerdict, MayDeleteByAge: v.clock.MayDeleteByAge,
		Suppressed: v.suppression.hasUserOf, Erased: v.erasing.HasEvent,
		Metrics: v.delivered, Log: v.Log, Tracer: v.tracer,
	})
}

// newScheduler starts the syncs of audiences from queries.
func (v *server) newScheduler() *audienceruns.Scheduler {
	return audienceruns.New(audienceruns.Config{
		Store: v.store, Log: v.Log, Metrics: v.metrics, Suppressed: v.suppression.set.Load, MayDeleteByAge: v.clock.MayDeleteByAge,
		Syncs:     func() []config.AudienceSync { return v.config.Load().AudienceSyncs },
		Instances: v.runningInstances,
	})
}

// stopRunner stops the delivery, and waits up to the grace period for the requests in progress.
func (v *server) stopRunner(ctx context.Context) {
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.Grace)
	defer cancel()
	v.runner.Stop(ending)
	if ending.Err() != nil {
		v.Log.Warn("requests in progress were canceled: they are sent again after the next start", "grace", v.Grace)
	}
}

// newIngest returns the handler of the tracking API.
func (v *server) newIngest(cfg *config.Config) *ingest.Handler {
	return ingest.New(ingest.Config{
		Append: v.appendEvents, Map: v.mapForPage, MaxEvent: cfg.Server.MaxEvent, MaxBatch: cfg.Server.MaxBatch, MaxMemory: v.ingestMemory(cfg), MaxFuture: cfg.Server.MaxFuture, Log: v.Log,
		Reject:     v.history.AddRejection,
		Suppressed: v.suppression.hasUserOf,
		Erase:      v.eraseUsers,
		ClientAddr: func(r *http.Request) netip.Addr { return v.trustedProxies().Client(r) },
		Count: func(source, outcome string, n int) {
			v.eventCounter.WithLabelValues(source, outcome).Add(float64(n))
			v.received.count(source, outcome, n)
		},
	})
}
