package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/trace"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/ingest"
	"github.com/landfall-dev/landfall/framework/state"
)

const defaultListen = "127.0.0.1:8080"

// serving is the server: events in over HTTP, the queue, the delivery.
type serving struct {
	streams
	target  target
	path    string // of the config
	data    string
	listen  string
	admin   adminListening
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
	left    leftovers
	only    actionServing // in place of all that
}

func newServe(s streams) *cobra.Command {
	v := &serving{streams: s}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Take events in over HTTP and deliver them, in order, with nothing lost",
		Long: "Serves Segment's HTTP tracking API (/v1/track, identify, page, screen, group, alias, batch), keeps what it accepts on\n" +
			"disk and delivers it to the destinations of a config. An answer of 200 means that the events are durable.\n\n" +
			"The admin API, the console and the metrics are on a port of their own, which other machines cannot reach unless\n" +
			"admin.listen says so and an admin.key is set.\n\n" +
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
	f.StringVar(&v.admin.listen, "admin-listen", "", "the `ADDRESS` of the admin API, the console and the metrics, or unix:PATH, or ingest; by default the config's admin.listen, otherwise "+defaultAdmin)
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
	if v.store, err = openState(ctx, cfg, v.data, v.target.sandboxName()); err != nil {
		return err
	}
	if file := unusedState(cfg, v.data); file != "" {
		v.log.Warn("the state is in the database of state.url; this file is not used, though earlier versions used it when --data was given", "file", file)
	}
	defer v.store.Close()
	v.hosting = hosting{target: &v.target, definitions: *v.definitions, store: v.store, use: claimLedgers, log: v.log}
	if v.target.sandbox {
		v.hosting.remotes = newRemotes()
	}
	instances, err := loadPlans(cfg, problems, v.hosting)
	if err != nil {
		return err
	}
	if v.queue, err = openQueue(ctx, cfg, v.data, v.target.sandboxName(), true, v.log); errors.Is(err, delivery.ErrInUse) {
		return fmt.Errorf("%w: stop that one, or give this one a directory of its own with --data", err)
	} else if err != nil {
		return err
	}
	defer v.queue.Close()
	if cfg.Server.NATS == "" {
		unlock, err := delivery.Lock(dataDir(cfg, v.data)) // a sandbox has a queue of its own, and the rest of the directory is shared
		if err != nil {
			return fmt.Errorf("%w: stop that one, or give this one a directory of its own with --data", err)
		}
		defer unlock()
	}
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

func newLog(s streams, json bool) *slog.Logger {
	if json {
		return slog.New(slog.NewJSONHandler(s.err, nil))
	}
	return slog.New(slog.NewTextHandler(s.err, nil))
}
