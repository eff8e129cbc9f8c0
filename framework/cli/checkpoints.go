package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/fault"
)

func newCheckpoints(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "checkpoints", Short: "Repair checkpoints that do not match the log",
		Long: "A checkpoint records how far a partition of an instance has been delivered. If the log has lost its end, or if log and\n" +
			"checkpoints come from different backups, a checkpoint may point at events that the log does not have. The server then\n" +
			"refuses to start, since it would skip events.",
		RunE: chooseCommand, Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(newRepair(s))
	return cmd
}

type repairCommand struct {
	queueClient
	repair delivery.RepairOptions
}

func newRepair(s streams) *cobra.Command {
	c := &repairCommand{queueClient: queueClient{streams: s}}
	cmd := &cobra.Command{
		Use: "repair", Short: "Set checkpoints that do not match the log to a position that skips no event", Args: exactArgs(0, "flags only"),
		Long: "Sets each checkpoint that does not match the log to the end of the log or, if the log has other events than the ones that\n" +
			"were delivered, before the first event that is newer than those. If that position is unknown, it chooses one from which\n" +
			"events are delivered again rather than skipped.",
		Example: "  landfall checkpoints repair --dry-run\n  landfall checkpoints repair\n  landfall checkpoints repair --accept-loss",
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	c.addFlags(cmd)
	cmd.Flags().BoolVar(&c.repair.DryRun, "dry-run", false, "only show the changes")
	cmd.Flags().BoolVar(&c.repair.AcceptLoss, "accept-loss", false, "accept that pages are lost and files are damaged: stop reporting them")
	return cmd
}

func (c *repairCommand) run(ctx context.Context) error {
	if err := c.connect(ctx); err != nil {
		return err
	}
	defer c.close()
	if c.cfg != nil {
		for _, in := range c.cfg.Instances {
			c.repair.Instances = append(c.repair.Instances, in.ID)
		}
	}
	done, err := c.client.RepairCheckpoints(ctx, c.repair)
	if err != nil {
		return err
	}
	if c.json {
		for _, b := range done {
			c.printJSON(b)
		}
		return nil
	}
	verb := "set to continue at page"
	if c.repair.DryRun {
		verb = "would be set to continue at page"
	}
	for _, b := range done {
		fmt.Fprintf(c.out, "%s; %s %d, %s from there to the log's end\n", b, verb, b.To, fault.Count(b.LogEnd+1-min(b.To, b.LogEnd+1), "page"))
	}
	if len(done) == 0 {
		fmt.Fprintln(c.out, "all checkpoints match the log")
	}
	return nil
}
