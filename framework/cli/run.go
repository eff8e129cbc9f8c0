package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event/identifier"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/stream"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/internal/memorylimit"
	"github.com/landfall-dev/landfall/internal/textfile"
)

type runCommand struct {
	streams
	target   target
	config   string
	data     string
	json     bool
	refusals refusals
	mu       sync.Mutex // of requests
	requests int
	report   reporter
}

func newRun(s streams) *cobra.Command {
	c := &runCommand{streams: s}
	cmd := &cobra.Command{
		Use:   "run [flags] FILE",
		Short: "Deliver a file of events to the destinations of a config",
		Long: "Reads events, one JSON object per line, from a file, an object (s3://BUCKET/KEY) or standard input (-), optionally\n" +
			"compressed with gzip or zstd. It processes them with the subscriptions of a config, delivers them in order, and reports\n" +
			"the results. Without --config it uses the " + configFile + " beside the file.\n\n" +
			"The exit code is 1 if an event fails, or is refused without --allow-refused. Lines that are not events count as refused;\n" +
			"events without a matching subscription do not.",
		Example: "  landfall run --sandbox --allow-refused fixtures/braze-cohorts/audience.ndjson\n" +
			"  landfall run --dry-run --config landfall.yaml events.ndjson\n" +
			"  landfall run --live --config landfall.yaml --json events.ndjson.gz\n" +
			"  producer | landfall run --live --config landfall.yaml -",
		Args: exactArgs(1, "one file of events, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			defer memorylimit.Detect().RelaxCollections()()
			return c.run(cmd.Context(), args[0])
		},
	}
	c.target.addFlags(cmd)
	cmd.Flags().StringVar(&c.config, "config", "", "the config `FILE`")
	cmd.Flags().StringVar(&c.data, "data", "", dataUsage+". --sandbox keeps no ledger without it, nor does --sandbox-url unless the config says where the state is")
	cmd.Flags().BoolVar(&c.json, "json", false, "print one JSON object per event, then a summary")
	c.refusals.addFlag(cmd, "events")
	return cmd
}

func (c *runCommand) run(ctx context.Context, file string) error {
	if err := c.target.check(); err != nil {
		return err
	}
	path, err := findConfig(c.config, file)
	if err != nil {
		return err
	}
	input, err := openNamed(ctx, file, c.in)
	if err != nil {
		return err
	}
	defer input.Close()
	cfg, problems := config.Load(path, config.Env{})
	store, err := c.openStore(ctx, cfg)
	if err != nil {
		return err
	}
	if store != nil {
		defer store.Close()
	}
	ctx, list, err := c.loadInstances(ctx, path, cfg, problems, store)
	defer func() { _ = instances.Close(context.WithoutCancel(ctx), list) }() // the plans log it
	if err != nil {
		return err
	}
	suppressed, err := c.openSuppressed(ctx, cfg, store)
	if err != nil {
		return err
	}
	if err := c.deliverFile(ctx, cfg, list, suppressed, input); err != nil {
		return describeReadError(file, err)
	}
	return c.reportResult(ctx, list)
}

// loadInstances returns the instances of a config, also with an error, and a context with the budgets that they share.
func (c *runCommand) loadInstances(ctx context.Context, path string, cfg *config.Config, problems fault.Problems, store *state.Store) (context.Context, []instances.Instance, error) {
	ctx, budgets := shareBudgets(ctx, c.streams, &c.target, cfg, c.data)
	list, err := instances.Load(cfg, problems, instances.Options{
		Target: &c.target.Target, Catalog: c.catalog(), Store: store, Data: c.data, Use: instances.ClaimLedgers, Warn: c.warn, Observe: c.observeRequest, Budgets: budgets,
	})
	if err != nil {
		return ctx, list, err
	}
	if len(list) == 0 {
		return ctx, list, fmt.Errorf("%s has no enabled destination", path)
	}
	c.warnConfig(cfg, list...)
	return ctx, list, c.target.reachSandbox(ctx, list)
}

// deliverFile delivers the events of a file to instances, and reports the progress.
func (c *runCommand) deliverFile(ctx context.Context, cfg *config.Config, list []instances.Instance, suppressed *identifier.Set, input io.Reader) error {
	reading := newProgress(input, time.Now())
	c.report = newReporter(c.streams, c.json, reading)
	c.report.printHeader(c.target.Description(), list)
	work := stream.Config{Plans: plansOf(list), OnEvent: c.report.addEvent, Suppressed: suppressed.HasUserOf}
	if c.target.DryRun || c.target.Sandbox && shareRemote(list) {
		work.Parallel = 1 // requests are shown, or have an effect on each other, in their order
	}
	return c.deliverEvents(ctx, work, reading, cfg.Server.MaxFuture)
}

// deliverEvents completes the events of a text, delivers them, and warns of times that were replaced.
func (c *runCommand) deliverEvents(ctx context.Context, work stream.Config, text io.Reader, maxFuture time.Duration) error {
	times := replacedTimes{received: time.Now(), maxFuture: maxFuture}
	work.Complete = times.complete
	if err := stream.New(work).Run(ctx, textfile.NewReader(text)); err != nil {
		return err
	}
	if warning := times.warning(); warning != "" {
		c.warn(warning)
	}
	return nil
}

// describeReadError returns an error of reading events with the name of the file and what was not sent.
func describeReadError(file string, err error) error {
	var truncated *textfile.TruncatedError
	var other *textfile.FormatError
	var endless *textfile.EndlessLineError
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted: events after the last one reported were not sent")
	case errors.As(err, &truncated), errors.As(err, &endless):
		return fmt.Errorf("%s: %w; events after the last one reported were not sent", file, err)
	case errors.As(err, &other):
		return fmt.Errorf("%s: %w", file, other)
	}
	return err
}

// shareRemote reports whether some instances have the same remote.
func shareRemote(list []instances.Instance) bool {
	seen := map[http.RoundTripper]bool{}
	for _, in := range list {
		seen[in.Transport] = true
	}
	return len(seen) < len(list)
}

// openStore opens the state that is kept between runs. A sandbox in this process starts empty each time, and so does its ledger, unless
// --data is given. A dry run has no state.
func (c *runCommand) openStore(ctx context.Context, cfg *config.Config) (*state.Store, error) {
	named := cfg != nil && cfg.StateLocation() != ""
	switch {
	case cfg == nil || c.target.DryRun:
		return nil, nil
	case c.data != "", c.target.Live, c.target.SandboxURL != "" && named:
		return instances.OpenState(ctx, cfg, c.data, c.target.SandboxName())
	}
	return nil, nil
}

// openSuppressed reads which users are suppressed: from the state of the run, or in a dry run from the one that a live run would use.
func (c *runCommand) openSuppressed(ctx context.Context, cfg *config.Config, store *state.Store) (*identifier.Set, error) {
	if store != nil {
		return c.loadSuppressed(ctx, cfg, store)
	}
	if !c.target.DryRun {
		return nil, nil
	}
	store, err := instances.OpenExistingState(ctx, cfg, c.data, c.target.SandboxName())
	if errors.As(err, new(*state.MissingError)) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer store.Close()
	return c.loadSuppressed(ctx, cfg, store)
}

func (c *runCommand) reportResult(ctx context.Context, list []instances.Instance) error {
	audiences, err := audiencesOf(ctx, list, &c.target)
	if err != nil {
		return err
	}
	summary := c.report.printSummary(c.requests, audiences)
	if summary.Events > 0 && summary.Unreadable == summary.Events {
		return errors.New("no line of the input is an event: it should have one JSON object per line")
	}
	return c.refusals.exitError(summary.Failed, summary.Refused, c.newHint(c.json))
}

func (c *runCommand) observeRequest(x httpx.Exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	if c.target.DryRun {
		c.report.printRequest(x)
	}
}

func plansOf(list []instances.Instance) []*runtime.Plan {
	plans := make([]*runtime.Plan, len(list))
	for i := range list {
		plans[i] = list[i].Plan
	}
	return plans
}
