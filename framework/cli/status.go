package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
)

type statusCommand struct{ queueClient }

func newStatus(s streams) *cobra.Command {
	c := &statusCommand{queueClient{streams: s, needsServer: true}}
	cmd := &cobra.Command{
		Use: "status", Short: "Show the progress of a running server", Args: exactArgs(0, "flags only"),
		Long: "Asks the server of a data directory for its problems, the results of the events so far, and the number of waiting events.",
		Example: "  landfall status --config landfall.yaml\n  landfall status --data /var/lib/landfall --json\n" +
			"  landfall status --url http://127.0.0.1:8081 --key-file admin.key",
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	c.addFlags(cmd)
	return cmd
}

func (c *statusCommand) run(ctx context.Context) error {
	if err := c.connect(ctx); err != nil {
		return err
	}
	defer c.close()
	list, err := c.client.Status(ctx)
	if err != nil {
		return err
	}
	if !c.json {
		c.printServer(list)
	}
	if len(list) == 0 && !c.json {
		fmt.Fprintln(c.out, "nothing is delivered: the config has no enabled instance")
	}
	for _, s := range list {
		if c.json {
			c.printJSON(s)
		} else {
			c.printInstance(s)
		}
	}
	return nil
}

func (c *statusCommand) printInstance(s delivery.Status) {
	fmt.Fprintf(c.out, "%s\n", s.Instance)
	if s.InBrowser {
		fmt.Fprintf(c.out, "  runs in the browser: the server maps the events of pages for it, and delivers none\n")
		return
	}
	if s.Removed {
		fmt.Fprintf(c.out, "  no longer in the config; its remaining data (see landfall instances):\n")
	}
	for _, f := range s.Findings {
		if f.Instance == s.Instance {
			fmt.Fprintf(c.out, "  %s\n", f.Text())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Counts)) {
		fmt.Fprintf(c.out, "  %-12s %10d\n", name, s.Counts[name])
	}
	fmt.Fprintf(c.out, "  %-12s %10d\n  %-12s %10s\n", "waiting", s.Waiting, "oldest", s.Lag.Round(time.Second))
	c.printLimits(s)
	if s.Members > 0 {
		fmt.Fprintf(c.out, "  %-12s %10d\n", "members", s.Members)
	}
}

// printServer prints the findings that concern all instances.
func (c *statusCommand) printServer(list []delivery.Status) {
	if len(list) == 0 {
		return
	}
	for _, f := range list[0].Findings {
		if f.Instance == "" {
			fmt.Fprintln(c.out, f.Text())
		}
	}
}

// printLimits prints what is left of the limits of an instance, and when its waiting events will be finished.
func (c *statusCommand) printLimits(s delivery.Status) {
	if !s.ExpectedEnd.IsZero() {
		fmt.Fprintf(c.out, "  %-12s %s (estimated)\n", "finished at", s.ExpectedEnd.UTC().Format(time.RFC3339))
	}
	if s.Limits == nil {
		return
	}
	for _, w := range s.Limits.Budget.Windows {
		fmt.Fprintf(c.out, "  %-12s %d of %d %s in %s used, %d left", "budget", w.Used, w.Limit, w.Unit, budget.PerText(w.Per), w.Left)
		if reset := time.Until(w.Resets).Round(time.Second); reset > 0 && w.Used > 0 {
			fmt.Fprintf(c.out, ", resets in %s", reset)
		}
		fmt.Fprintln(c.out)
	}
	if l := s.Limits.Budget.RemoteLeft; l != nil {
		fmt.Fprintf(c.out, "  %-12s %d requests left until %s\n", "the remote", *l, s.Limits.Budget.RemoteReset.UTC().Format(time.RFC3339))
	}
	if s.Limits.Concurrency < s.Limits.Most && s.Limits.Concurrency < 64 {
		fmt.Fprintf(c.out, "  %-12s %10d\n", "concurrency", s.Limits.Concurrency)
	}
}
