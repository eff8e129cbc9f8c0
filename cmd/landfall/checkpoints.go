package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/delivery"
)

func newCheckpoints(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "checkpoints", Short: "Repair checkpoints that do not fit the log",
		Long: "A checkpoint says how far a partition of an instance has been delivered. If the log has lost its end, or the two come from\n" +
			"different backups, it may speak of events that are not there. The server refuses to start then, as it would skip events.",
		RunE: chooseCommand, Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(newRepair(s))
	return cmd
}

type repairCommand struct {
	reaching
	repair delivery.RepairOptions
}

func newRepair(s streams) *cobra.Command {
	c := &repairCommand{reaching: reaching{streams: s}}
	cmd := &cobra.Command{
		Use: "repair", Short: "Set checkpoints that do not fit the log to where nothing is skipped", Args: exactly(0, "flags only"),
		Long: "Sets each checkpoint that does not fit the log: to the log's end, or before the first event that is newer than what was\n" +
			"delivered, if the log has other events than those. If that cannot be told, events are delivered again rather than skipped.",
		Example: "  landfall checkpoints repair --dry-run\n  landfall checkpoints repair\n  landfall checkpoints repair --accept-loss",
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	c.flags(cmd)
	cmd.Flags().BoolVar(&c.repair.DryRun, "dry-run", false, "only show what would be set")
	cmd.Flags().BoolVar(&c.repair.AcceptLoss, "accept-loss", false, "take lost pages and damaged files as known, so that they are no longer reported")
	return cmd
}

func (c *repairCommand) run(ctx context.Context) error {
	if err := c.open(ctx); err != nil {
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
			c.print(b)
		}
		return nil
	}
	verb := "set to go on with page"
	if c.repair.DryRun {
		verb = "would be set to go on with page"
	}
	for _, b := range done {
		fmt.Fprintf(c.out, "%s; %s %d, %d pages from there to the log's end\n", b, verb, b.To, b.LogEnd+1-min(b.To, b.LogEnd+1))
	}
	if len(done) == 0 {
		fmt.Fprintln(c.out, "all checkpoints fit the log")
	}
	return nil
}
