package cli

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

// server implements landfall serve: it accepts events over HTTP, stores them in the queue and delivers them.
type server struct {
	streams
	target       target
	path         string // the config
	data         string
	listen       string
	admin        adminOptions
	json         bool
	grace        time.Duration
	log          *slog.Logger
	hosting      planHost
	store        *state.Store
	queue        *delivery.Queue
	runner       *delivery.Runner
	ingest       *ingest.Handler
	tracer       trace.Tracer
	metrics      *prometheus.Registry
	eventCounter *prometheus.CounterVec
	config       atomic.Pointer[config.Config] // the config in effect
	running      atomic.Pointer[[]instance]
	removed      removedCache
	actions      actionOptions // for --actions, which uses neither config nor queue
}

func newServe(s streams) *cobra.Command {
	v := &server{streams: s}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Accept events over HTTP and deliver them, in order and without losing any",
		Long: "Serves Segment's HTTP tracking API (/v1/track, identify, page, screen, group, alias, batch), stores accepted events on disk\n" +
			"and delivers them to the destinations of a config. The answer 200 means that the events are stored durably.\n\n" +
			"The admin API, the console and the metrics have their own port. Other machines cannot reach it unless the config sets\n" +
			"admin.listen and admin.key.\n\n" +
			"The server reloads the config when the file changes, and on SIGHUP. It refuses a config with mistakes and keeps the old one\n" +
			"in effect. On SIGTERM it completes the requests in progress and stops; waiting events are delivered after the next start.\n" +
			"It sends traces to the OpenTelemetry collector of OTEL_EXPORTER_OTLP_ENDPOINT.\n\n" +
			"With --actions it stores nothing: POST /{action} runs a payload through one action, with the mapping and the settings in the\n" +
			"request, like Segment's local development server.",
		Example: "  landfall serve --config landfall.yaml\n" +
			"  landfall serve --config landfall.yaml --sandbox\n" +
			"  landfall serve --actions --destination braze-cohorts --sandbox\n" +
			"  curl -u WRITE_KEY: http://127.0.0.1:8080/v1/track -d '{\"userId\":\"u1\",\"event\":\"Signed Up\"}'",
		Args: exactArgs(0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error { return v.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&v.path, "config", configFile, "the config `FILE`")
	f.StringVar(&v.data, "data", "", "the data `DIR`, with the queue and the ledger; by default the config's, otherwise "+defaultData+" beside the config")
	f.StringVar(&v.listen, "listen", "", "the `ADDRESS` to listen on; by default the config's, otherwise "+defaultListen)
	f.StringVar(&v.admin.listen, "admin-listen", "", "the `ADDRESS` of the admin API, the console and the metrics, or unix:PATH, or ingest; by default the config's admin.listen, otherwise "+defaultAdmin)
	f.BoolVar(&v.target.sandbox, "sandbox", false, "deliver to the destinations' sandboxes in this process")
	f.StringVar(&v.target.sandboxURL, "sandbox-url", "", "deliver to a sandbox at this `URL` (see landfall sandbox)")
	f.BoolVar(&v.json, "json", false, "log JSON, one object per line")
	f.BoolVar(&v.actions.on, "actions", false, "serve single actions over HTTP, without a config, a queue or retries")
	f.StringVar(&v.actions.destination, "destination", "", "with --actions: serve only the destination `SLUG`")
	f.StringVar(&v.actions.keyFile, "key-file", "", "with --actions: the `FILE` of the key that requests must send as a bearer token")
	f.DurationVar(&v.actions.timeout, "timeout", 30*time.Second, "with --actions: how long a request may take")
	f.DurationVar(&v.grace, "grace", 25*time.Second, "how long to wait for requests in progress when the server stops")
	return cmd
}

func (v *server) run(ctx context.Context) error {
	v.target.live = !v.target.sandbox && v.target.sandboxURL == ""
	if err := v.target.check(); err != nil {
		return err
	}
	v.log = newLog(v.streams, v.json)
	if v.actions.on {
		return v.serveActions(ctx)
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
		v.log.Warn("the state is in the database of state.url, so this file is not used; earlier versions used it if --data was given", "file", file)
	}
	defer v.store.Close()
	v.hosting = planHost{target: &v.target, catalog: v.catalog(), store: v.store, use: claimLedgers, log: v.log}
	if v.target.sandbox {
		v.hosting.remotes = newRemotes()
	}
	instances, err := loadPlans(cfg, problems, v.hosting)
	if err != nil {
		return err
	}
	if v.queue, err = openQueue(ctx, cfg, v.data, v.target.sandboxName(), true, v.log); errors.Is(err, delivery.ErrInUse) {
		return fmt.Errorf("%w: stop the other process, or give another directory with --data", err)
	} else if err != nil {
		return err
	}
	defer v.queue.Close()
	if cfg.Server.NATS == "" {
		unlock, err := delivery.Lock(dataDir(cfg, v.data)) // a sandbox has its own queue but shares the rest of the directory
		if err != nil {
			return fmt.Errorf("%w: stop the other process, or give another directory with --data", err)
		}
		defer unlock()
	}
	return v.serveUntil(ctx, cfg, instances)
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

func newLog(s streams, json bool) *slog.Logger {
	if json {
		return slog.New(slog.NewJSONHandler(s.err, nil))
	}
	return slog.New(slog.NewTextHandler(s.err, nil))
}
