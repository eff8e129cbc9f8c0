package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server"
)

// serveCommand implements landfall serve.
type serveCommand struct {
	streams
	target  target
	options server.Options
	json    bool
	actions actionOptions // for --actions, which uses neither config nor queue
}

func newServe(s streams) *cobra.Command {
	c := &serveCommand{streams: s}
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
			"If the config does not exist yet or is empty, only the console starts, at the address that is printed. Once you have set up a\n" +
			"destination there, the server starts. Nothing is created until you save.\n\n" +
			"With --actions it stores nothing: POST /{action} runs a payload through one action, with the mapping and the settings in the\n" +
			"request, like Segment's local development server.",
		Example: "  landfall serve --config landfall.yaml\n" +
			"  landfall serve --config landfall.yaml --sandbox\n" +
			"  landfall serve --actions --destination braze-cohorts --sandbox\n" +
			"  curl -u WRITE_KEY: http://127.0.0.1:8080/v1/track -d '{\"userId\":\"u1\",\"event\":\"Signed Up\"}'",
		Args: exactArgs(0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&c.options.Config, "config", configFile, "the config `FILE`")
	f.StringVar(&c.options.Data, "data", "", "the data `DIR`, with the queue and the ledger; by default the config's, otherwise "+instances.DefaultData+" beside the config")
	f.StringVar(&c.options.Listen, "listen", "", "the `ADDRESS` to listen on; by default the config's, otherwise "+server.DefaultListen)
	f.StringVar(&c.options.AdminListen, "admin-listen", "", "the `ADDRESS` of the admin API, the console and the metrics, or unix:PATH, or ingest; by default the config's admin.listen, otherwise "+server.DefaultAdmin)
	f.BoolVar(&c.target.Sandbox, "sandbox", false, "deliver to the destinations' sandboxes in this process")
	f.StringVar(&c.target.SandboxURL, "sandbox-url", "", "deliver to a sandbox at this `URL` (see landfall sandbox)")
	f.BoolVar(&c.json, "json", false, "log JSON, one object per line")
	f.BoolVar(&c.actions.on, "actions", false, "serve single actions over HTTP, without a config, a queue or retries")
	f.StringVar(&c.actions.destination, "destination", "", "with --actions: serve only the destination `SLUG`")
	f.StringVar(&c.actions.keyFile, "key-file", "", "with --actions: the `FILE` of the key that requests must send as a bearer token")
	f.DurationVar(&c.actions.timeout, "timeout", 30*time.Second, "with --actions: how long a request may take")
	f.DurationVar(&c.options.Grace, "grace", 25*time.Second, "how long to wait for requests in progress when the server stops")
	return cmd
}

func (c *serveCommand) run(ctx context.Context) error {
	c.target.Live = !c.target.Sandbox && c.target.SandboxURL == ""
	if err := c.target.check(); err != nil {
		return err
	}
	log := newLog(c.streams, c.json)
	if c.actions.on {
		return c.serveActions(ctx, log)
	}
	c.options.Target, c.options.Catalog, c.options.Log = c.target.Target, c.catalog(), log
	c.options.Started = func(at, link string) {
		what := "is empty"
		if _, err := os.Stat(c.options.Config); err != nil {
			what = "does not exist"
		}
		fmt.Fprintf(c.out, "The config %s %s. Set up your first destination in the console at %s\n"+
			"This link signs in, also from another machine through a tunnel: %s\n"+
			"Nothing is created until you save. If you have a config, stop this server and give the file with --config.\n", c.options.Config, what, at, link)
	}
	return server.Run(ctx, c.options)
}

func newLog(s streams, json bool) *slog.Logger {
	if json {
		return slog.New(slog.NewJSONHandler(s.err, &slog.HandlerOptions{ReplaceAttr: writeDuration}))
	}
	return slog.New(slog.NewTextHandler(s.err, nil))
}

// writeDuration makes a duration text, such as 1m30s: slog writes it to JSON as a number of nanoseconds, without its unit.
func writeDuration(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.String(a.Key, a.Value.Duration().String())
	}
	return a
}
