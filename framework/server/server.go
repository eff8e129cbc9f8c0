// Package server is the running server: it accepts events over HTTP, stores them in the queue, delivers them, and serves the
// admin API, the console, the metrics and the health checks.
//
// It puts the packages below together and owns their start, reload and stop. It knows nothing of commands and flags.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
	"github.com/landfall-dev/landfall/framework/server/devicemode"
	"github.com/landfall-dev/landfall/framework/server/erasure"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/framework/server/ingest"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/internal/memorylimit"
	"github.com/landfall-dev/landfall/internal/storedtime"
)

// The addresses of a server whose Options and config name none.
const (
	DefaultListen = "127.0.0.1:8080"
	DefaultAdmin  = "127.0.0.1:8081"
)

// Options says what a server serves and where. A field that is empty is taken from the config, unless noted.
type Options struct {
	Config      string            // the config file
	Data        string            // the data directory
	Listen      string            // the address of the tracking API
	AdminListen string            // the address of the admin API, unix:PATH, or ingest for that of the tracking API
	Target      instances.Target  // where events are delivered; required
	Catalog     instances.Catalog // the destinations; required
	Grace       time.Duration     // how long to wait for requests in progress when the server stops; required
	Log         *slog.Logger      // required
	// Started is called if there is no config yet, with the address of the console and a link that signs in; may be nil.
	Started func(console, link string)
}

// OptionError is an error in the Options, rather than in the config.
type OptionError struct{ error }

func optionErrorf(format string, args ...any) error { return OptionError{fmt.Errorf(format, args...)} }

// Unwrap returns the error without its kind.
func (e OptionError) Unwrap() error { return e.error }

// server is the state of a running server.
type server struct {
	Options
	token        string           // authenticates local commands to the admin API; new at each start
	keptAdmin    net.Listener     // the admin listener of the setup; nil if there was none or it is in use
	commands     *config.Commands // of the config
	hosting      instances.Options
	store        *state.Store
	queue        *delivery.Queue
	clock        *storedtime.Clock
	history      *history.Recorder
	suppression  *suppression
	erasing      *erasure.Watcher
	runner       *delivery.Runner
	syncs        *audienceruns.Scheduler
	ingest       *ingest.Handler
	devices      *devicemode.Handler
	tracer       trace.Tracer
	metrics      *prometheus.Registry
	delivered    *delivery.Metrics
	received     receivedCounts
	authors      configAuthors
	eventCounter *prometheus.CounterVec
	config       atomic.Pointer[config.Config] // the config in effect
	running      atomic.Pointer[[]instances.Instance]
	refused      atomic.Pointer[refusal] // of the config in the file; nil if it is in effect
	hangup       chan os.Signal          // gets SIGHUP
	written      chan chan struct{}      // gets a channel to close when a config that was just written is in use
	removed      removedCache
	certificates certificates // of the ingest port; nil without TLS
	memory       memorylimit.Limit
}

// Run serves until ctx ends, and then stops in order: it accepts no more events, and completes the requests in progress. It reloads
// the config when the file changes and on SIGHUP. The error is an OptionError, has every mistake in the config, or says what
// could not be opened.
//
// If there is no config yet, it serves only the console until that has written one.
func Run(ctx context.Context, o Options) error {
	if err := refusePipe(o.Config); err != nil {
		return err
	}
	v := &server{Options: o, token: NewToken(), commands: config.NewCommands(), hangup: make(chan os.Signal, 1), written: make(chan chan struct{})}
	setUp := needsSetup(o.Config)
	defer signal.Stop(v.hangup)
	if !setUp {
		v.expectHangups()
	}
	var err error
	if v.Catalog, err = o.Catalog.Load(); err != nil {
		return err
	}
	if !setUp {
		return v.run(ctx)
	}
	err = v.serveSetup(ctx)
	if err == nil && ctx.Err() == nil {
		v.expectHangups()
		err = v.run(ctx)
	}
	if v.keptAdmin != nil {
		err = errors.Join(err, v.keptAdmin.Close())
	}
	return err
}

// expectHangups keeps SIGHUP until the config is watched. Otherwise one that came while the queue is being opened, or while the server stops, would
// end the process.
func (v *server) expectHangups() { signal.Notify(v.hangup, syscall.SIGHUP) }

func (v *server) run(ctx context.Context) error {
	cfg, problems := config.Load(v.Config, config.Env{Commands: v.commands})
	if cfg == nil {
		return problems.Err()
	}
	if len(problems) == 0 {
		if err := v.checkConfig(cfg); err != nil {
			return err
		}
	}
	v.limitMemory(cfg)
	defer v.memory.RelaxCollections()()
	if err := v.openState(ctx, cfg); err != nil {
		return err
	}
	defer v.store.Close()
	v.prepareMetrics()
	newest, err := v.store.NewestEntry(ctx)
	if err != nil {
		return err
	}
	v.clock = storedtime.NewClock(v.Log, newest)
	v.history = v.newHistory(cfg)
	defer v.history.Close()
	v.hosting = v.newHosting(cfg)
	list, err := instances.Load(cfg, problems, v.hosting)
	if err != nil {
		return err
	}
	closeQueue, err := v.openQueue(ctx, cfg)
	if err != nil {
		return err
	}
	defer closeQueue()
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		_ = instances.Close(ending, v.runningInstances()) // the plans log it
	}()
	return v.serveUntil(ctx, cfg, list)
}

func (v *server) openState(ctx context.Context, cfg *config.Config) (err error) {
	if v.store, err = instances.OpenState(ctx, cfg, v.Data, v.Target.SandboxName()); err != nil {
		return err
	}
	if file := instances.UnusedState(cfg, v.Data); file != "" {
		v.Log.Warn("the state is in the database of state.url, so this file is not used; earlier versions used it if --data was given", "file", file)
	}
	return nil
}

// newHistory starts to record what the server does.
func (v *server) newHistory(cfg *config.Config) *history.Recorder {
	return history.New(history.Config{
		Store: v.store, Log: v.Log, Retention: cfg.Server.HistoryRetention, MaxVerdictBytes: cfg.Server.HistoryBytes, LedgerRetention: cfg.Server.LedgerRetention,
		Counts: v.eventCounts, Sizes: v.audienceSizes, MayDeleteByAge: v.clock.MayDeleteByAge,
	})
}

// newHosting returns what the plans of the config's instances get.
func (v *server) newHosting(cfg *config.Config) instances.Options {
	o := instances.Options{Target: &v.Target, Catalog: v.Catalog, Store: v.store, Data: v.Data, Use: instances.ClaimLedgers, Log: v.Log}
	o.Budgets = instances.NewBudgets(budgetStore{v, cfg.Server.NATS != ""})
	if v.Target.Sandbox {
		o.Remotes = instances.NewRemotes()
	}
	return o
}

// openQueue opens the queue, and locks the data directory if the queue is in it. The caller calls the returned function to undo both.
func (v *server) openQueue(ctx context.Context, cfg *config.Config) (closeQueue func(), err error) {
	if v.queue, err = OpenQueue(ctx, cfg, v.Data, v.Target.SandboxName(), true, v.Log); errors.Is(err, delivery.ErrInUse) {
		return nil, adviseInUse(err)
	} else if err != nil {
		return nil, err
	}
	if cfg.Server.NATS != "" {
		return v.queue.Close, nil
	}
	unlock, err := delivery.Lock(instances.DataDir(cfg, v.Data)) // a sandbox has its own queue but shares the rest of the directory
	if err != nil {
		v.queue.Close()
		return nil, adviseInUse(err)
	}
	return func() {
		unlock()
		v.queue.Close()
	}, nil
}

// adviseInUse adds to an error what to do if another process uses the data directory.
func adviseInUse(err error) error {
	return fmt.Errorf("%w: stop the other process, or give another directory with --data", err)
}

// checkConfig returns an error if the server cannot use a config that can be read.
func (v *server) checkConfig(cfg *config.Config) error {
	if err := checkSources(cfg, v.Config); err != nil {
		return err
	}
	if len(cfg.AudienceSyncs) == 0 {
		return nil
	}
	registry, err := v.Catalog.RegistryFor(cfg)
	if err != nil {
		return err
	}
	return audienceruns.Check(cfg, registry).Err()
}

// checkSources returns an error if no source of a config can accept events.
func checkSources(cfg *config.Config, path string) error {
	for _, s := range cfg.Sources {
		if s.WriteKey != "" {
			return nil
		}
	}
	return fmt.Errorf("%s has no source with a writeKey, so the server could not accept events: add\nsources: [{id: web, writeKey: \"${WRITE_KEY}\"}]", path)
}
