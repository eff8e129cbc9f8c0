package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/net/netutil"

	"github.com/landfall-dev/landfall/framework/admin"
	"github.com/landfall-dev/landfall/framework/config"
	"github.com/landfall-dev/landfall/framework/console"
	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/ingest"
	"github.com/landfall-dev/landfall/framework/state"
)

const defaultListen = "127.0.0.1:8080"

// queueDir is the queue's part of a data directory.
const queueDir = "queue"

// serving is the server: events in over HTTP, the queue, the delivery.
type serving struct {
	streams
	target  target
	path    string // of the config
	data    string
	listen  string
	json    bool
	grace   time.Duration
	log     *slog.Logger
	hosting hosting
	store   *state.Store
	queue   *delivery.Queue
	runner  *delivery.Runner
	ingest  *ingest.Handler
	tracer  trace.Tracer
	metrics *prometheus.Registry
	counted *prometheus.CounterVec
	config  atomic.Pointer[config.Config] // what is served
	running atomic.Pointer[[]instance]
	only    actionServing // in place of all that
}

func newServe(s streams) *cobra.Command {
	v := &serving{streams: s}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Take events in over HTTP and deliver them, in order, with nothing lost",
		Long: "Serves Segment's HTTP tracking API (/v1/track, identify, page, screen, group, alias, batch), keeps what it accepts on\n" +
			"disk and delivers it to the destinations of a config. An answer of 200 means that the events are durable.\n\n" +
			"The config is read again when it changes, and on SIGHUP; one with mistakes is refused and the old one goes on.\n" +
			"SIGTERM stops it: what is under way ends, what waits goes on with the next start. Traces go to the OpenTelemetry\n" +
			"collector that OTEL_EXPORTER_OTLP_ENDPOINT names.\n\n" +
			"With --actions it keeps nothing: POST /{action} takes a payload through one action, with the mapping and the settings in\n" +
			"the request, as Segment's local development server does.",
		Example: "  landfall serve --config landfall.yaml\n" +
			"  landfall serve --config landfall.yaml --sandbox\n" +
			"  landfall serve --actions --destination braze-cohorts --sandbox\n" +
			"  curl -u WRITE_KEY: http://127.0.0.1:8080/v1/track -d '{\"userId\":\"u1\",\"event\":\"Signed Up\"}'",
		Args: exactly(0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error { return v.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&v.path, "config", configFile, "the config `FILE`")
	f.StringVar(&v.data, "data", "", "the data `DIR`, with the queue and the ledger; by default the config's, else "+defaultData+" beside it")
	f.StringVar(&v.listen, "listen", "", "the `ADDRESS` to listen on; by default the config's, else "+defaultListen)
	f.BoolVar(&v.target.sandbox, "sandbox", false, "deliver to the destinations' sandboxes in this process")
	f.StringVar(&v.target.sandboxURL, "sandbox-url", "", "deliver to a sandbox at this `URL` (see landfall sandbox)")
	f.BoolVar(&v.json, "json", false, "log JSON, an object a line")
	f.BoolVar(&v.only.on, "actions", false, "serve single actions over HTTP, without a config, a queue or retries")
	f.StringVar(&v.only.destination, "destination", "", "with --actions: only the destination `SLUG`")
	f.StringVar(&v.only.keyFile, "key-file", "", "with --actions: the `FILE` of a key that requests need as a bearer token")
	f.DurationVar(&v.only.timeout, "timeout", 30*time.Second, "with --actions: how long a request may take")
	f.DurationVar(&v.grace, "grace", 25*time.Second, "how long requests under way have when it is stopped")
	return cmd
}

func (v *serving) run(ctx context.Context) error {
	v.target.live = !v.target.sandbox && v.target.sandboxURL == ""
	if err := v.target.check(); err != nil {
		return err
	}
	v.log = newLog(v.streams, v.json)
	if v.only.on {
		return v.actions(ctx)
	}
	cfg, problems := config.Load(v.path, config.Env{})
	if cfg == nil {
		return problems.Err()
	}
	if len(problems) == 0 {
		if err := checkSources(cfg, v.path); err != nil {
			return err
		}
	}
	var err error
	if v.store, err = openState(ctx, cfg, v.data); err != nil {
		return err
	}
	defer v.store.Close()
	v.hosting = hosting{target: &v.target, definitions: *v.definitions, store: v.store, log: v.log}
	if v.target.sandbox {
		v.hosting.remotes = newRemotes()
	}
	instances, err := loadPlans(cfg, problems, v.hosting)
	if err != nil {
		return err
	}
	if v.queue, err = openQueue(ctx, cfg, v.data, v.log); errors.Is(err, delivery.ErrInUse) {
		return fmt.Errorf("%w: stop that one, or give this one a directory of its own with --data", err)
	} else if err != nil {
		return err
	}
	defer v.queue.Close()
	return v.serve(ctx, cfg, instances)
}

// checkSources refuses a config that lets no event in.
func checkSources(cfg *config.Config, path string) error {
	for _, s := range cfg.Sources {
		if s.WriteKey != "" {
			return nil
		}
	}
	return fmt.Errorf("%s has no source with a writeKey, so no event could come in: add\nsources: [{id: web, writeKey: \"${WRITE_KEY}\"}]", path)
}

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

// serve delivers and listens until ctx ends, then stops in order: no more comes in, what is under way ends.
func (v *serving) serve(ctx context.Context, cfg *config.Config, instances []instance) error {
	v.prepareMetrics()
	var err error
	var endTraces func()
	if v.tracer, endTraces, err = openTraces(ctx); err != nil {
		return err
	}
	defer endTraces()
	v.runner, err = delivery.NewRunner(ctx, v.queue, delivery.Settings{
		Linger: cfg.Server.Linger, Parallel: cfg.Server.Parallel, RetryFor: cfg.Server.RetryFor, Lease: cfg.Server.Lease,
		Metrics: delivery.NewMetrics(v.metrics), Log: v.log, Tracer: v.tracer,
	})
	if err != nil {
		return err
	}
	v.ingest = ingest.New(ingest.Config{
		Append: v.append, MaxEvent: cfg.Server.MaxEvent, MaxBatch: cfg.Server.MaxBatch, Log: v.log,
		Count: func(source, outcome string, n int) { v.counted.WithLabelValues(source, outcome).Add(float64(n)) },
	})
	stop := func() error {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.grace)
		defer cancel()
		v.runner.Stop(ending)
		if ending.Err() != nil {
			v.log.Warn("requests under way were cut off: they are made again with the next start", "grace", v.grace)
		}
		return nil
	}
	if err := v.use(ctx, cfg, instances); err != nil {
		return errors.Join(err, stop())
	}
	listener, err := net.Listen("tcp", cmp.Or(v.listen, cfg.Server.Listen, defaultListen))
	if err != nil {
		return errors.Join(fmt.Errorf("cannot listen: %w: give another address with --listen", err), stop())
	}
	forget, err := v.tellAddress(cfg, listener.Addr().String())
	if err != nil {
		return errors.Join(err, listener.Close(), stop())
	}
	defer forget()
	v.log.Info("listening", "address", "http://"+listener.Addr().String(), "destinations", len(instances), "target", v.target.words())
	err = errors.Join(v.listenUntil(ctx, netutil.LimitListener(listener, cmp.Or(cfg.Server.MaxConnections, 4096))), stop())
	v.log.Info("stopped: what waits goes on with the next start")
	return err
}

// listenUntil answers requests until ctx ends, and those that have begun to their end.
func (v *serving) listenUntil(ctx context.Context, listener net.Listener) error {
	page, err := v.console()
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer page.Close()
	server := &http.Server{
		Handler: v.routes(page), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 10 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(v.log.Handler(), slog.LevelDebug),
	}
	reloading, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() { defer close(watched); v.watch(reloading) }()
	defer func() { cancel(); <-watched }()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	signal.Reset(os.Interrupt, syscall.SIGTERM) // another one ends at once
	v.log.Info("stopping: no more events are taken")
	ending, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	err = server.Shutdown(ending)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close() // a connection that was never used, or a client that waits: nothing is lost
	}
	if s := <-served; !errors.Is(s, http.ErrServerClosed) {
		err = s
	}
	return err
}

// console is the page to see the server work.
func (v *serving) console() (*console.Console, error) {
	p := pages{path: v.path, definitions: *v.definitions, live: v.target, store: v.store, host: &v.hosting, log: v.log}
	settings := p.settings()
	settings.Queue, settings.Runner = v.queue, v.runner
	settings.Key = func() string { return v.config.Load().Server.AdminKey }
	settings.Running = func() ([]console.Instance, error) { return shown(*v.running.Load()), nil }
	return console.New(settings)
}

// routes are the tracking API, the admin's and the console's. A browser that asks for no page in particular gets the console.
func (v *serving) routes(page *console.Console) http.Handler {
	s := &admin.Server{
		Queue: v.queue, Status: v.runner.Status, Ready: v.ready, Reload: v.reload, Metrics: v.metricsHandler(),
		Key: func() string { return v.config.Load().Server.AdminKey }, Sources: sourcesOf(v.config.Load),
	}
	mux, own := http.NewServeMux(), s.Handler()
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/admin/"} {
		mux.Handle(path, own)
	}
	mux.Handle(console.Path, page.Handler())
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Accept"), "text/html") {
			http.Redirect(w, r, console.Path, http.StatusSeeOther)
			return
		}
		v.ingest.ServeHTTP(w, r)
	})
	mux.Handle("/", traced(v.tracer, v.ingest))
	return mux
}

// sourcesOf tells an instance's sources by the config of the moment.
func sourcesOf(cfg func() *config.Config) func(string) ([]string, bool) {
	return func(id string) ([]string, bool) {
		for _, in := range cfg().Instances {
			if in.ID == id {
				return in.Sources, true
			}
		}
		return nil, false
	}
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

func newLog(s streams, json bool) *slog.Logger {
	if json {
		return slog.New(slog.NewJSONHandler(s.err, nil))
	}
	return slog.New(slog.NewTextHandler(s.err, nil))
}
