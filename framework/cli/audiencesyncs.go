package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/server/audienceruns"
)

// syncsCommand is shared by the commands on the audience syncs of a running server.
type syncsCommand struct {
	queueClient
	instance string
	limit    int
}

func newAudienceSyncs(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "syncs", Short: "Show, run and approve the audiences that the server reads from queries",
		Long: "Works on audienceSyncs in the config of a running server: queries of a database that make audiences match their results on a\n" +
			"schedule.",
		RunE: chooseCommand, Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(newSyncsList(s), newSyncsRun(s), newSyncsHistory(s), newSyncsApprove(s))
	return cmd
}

// newSyncsCommand completes a command that calls a running server.
func newSyncsCommand(s streams, cmd *cobra.Command, run func(ctx context.Context, c *syncsCommand, sync string) error) (*cobra.Command, *syncsCommand) {
	c := &syncsCommand{queueClient: queueClient{streams: s, needsServer: true}}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := c.connect(cmd.Context()); err != nil {
			return err
		}
		defer c.close()
		if !c.server {
			return errors.New("no server uses this data directory, so no audience sync runs: start one with landfall serve")
		}
		sync := ""
		if len(args) > 0 {
			sync = args[0]
		}
		return run(cmd.Context(), c, sync)
	}
	c.addFlags(cmd)
	return cmd, c
}

func newSyncsList(s streams) *cobra.Command {
	cmd, _ := newSyncsCommand(s, &cobra.Command{
		Use: "list", Short: "Show the audience syncs with their newest run and their next one", Args: exactArgs(0, "no arguments"),
		Example: "  landfall audience syncs list --config landfall.yaml",
	}, func(ctx context.Context, c *syncsCommand, _ string) error {
		list, err := c.client.AudienceSyncs(ctx)
		if err != nil {
			return err
		}
		for _, status := range list {
			if c.json {
				c.printJSON(status)
				continue
			}
			fmt.Fprintf(c.out, "%-20s %-20s %-20s %s\n", status.Sync, status.Instance, status.Audience, describeSync(&status))
		}
		if len(list) == 0 && !c.json {
			fmt.Fprintln(c.out, "the config has no enabled audienceSyncs")
		}
		return nil
	})
	return cmd
}

// describeSync says what a sync does now, what it did last and when it runs again.
func describeSync(s *audienceruns.Status) string {
	text := "has not run"
	if s.Last != nil {
		text = string(s.Last.Outcome) + " " + s.Last.At.Format(time.DateTime) + "Z"
	}
	switch {
	case s.Running != nil:
		text = "runs since " + s.Running.At.Format(time.DateTime) + "Z"
	case s.Asked:
		text += ", runs in a moment"
	case s.Waiting:
		text += ": landfall audience syncs approve " + s.Sync
	}
	if !s.Next.IsZero() {
		text += ", next " + s.Next.UTC().Format(time.DateTime) + "Z"
	}
	return text
}

func newSyncsHistory(s streams) *cobra.Command {
	cmd, c := newSyncsCommand(s, &cobra.Command{
		Use: "history [SYNC]", Short: "Show the newest runs", Args: cobra.MaximumNArgs(1),
		Example: "  landfall audience syncs history vip_gold --limit 5",
	}, func(ctx context.Context, c *syncsCommand, sync string) error {
		list, err := c.client.AudienceRuns(ctx, sync, c.limit)
		if err != nil {
			return err
		}
		for _, run := range list {
			if c.json {
				c.printJSON(run)
				continue
			}
			c.printRun(&run)
		}
		if len(list) == 0 && !c.json {
			fmt.Fprintln(c.out, "nothing has run yet")
		}
		return nil
	})
	cmd.Flags().IntVar(&c.limit, "limit", 20, "the `NUMBER` of runs to show, at most 1000")
	return cmd
}

func (c *syncsCommand) printRun(r *audienceruns.Run) {
	fmt.Fprintf(c.out, "%sZ  %s  %s  %-11s", r.At.UTC().Format(time.DateTime), r.Sync, r.Instance, r.Outcome)
	if report := r.Report; report != nil {
		rows := "rows"
		if r.Changes {
			rows = "changed rows"
		}
		fmt.Fprintf(c.out, "  %s %d, enter %d, exit %d, unchanged %d, refused %d", rows, report.Rows, report.Enters, report.Exits, report.Unchanged, report.Refused)
	}
	fmt.Fprintf(c.out, "  %.1f s  by %s\n", r.Seconds, r.StartedBy)
	if r.Error != "" {
		fmt.Fprintf(c.out, "    %s\n", r.Error)
	}
}

// addInstanceFlag defines the flag that chooses one of the instances of a sync.
func (c *syncsCommand) addInstanceFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.instance, "instance", "", "the `ID` of the instance; optional if the sync has only one")
}

func newSyncsRun(s streams) *cobra.Command {
	cmd, c := newSyncsCommand(s, &cobra.Command{
		Use: "run SYNC", Short: "Run a sync now", Args: exactArgs(1, "the id of a sync"),
		Example: "  landfall audience syncs run vip_gold\n  landfall audience syncs history vip_gold --limit 1",
	}, func(ctx context.Context, c *syncsCommand, sync string) error {
		err := c.client.RunAudienceSync(ctx, audienceruns.Choice{Sync: sync, Instance: c.instance})
		return c.printAsked(sync, err)
	})
	c.addInstanceFlag(cmd)
	return cmd
}

func newSyncsApprove(s streams) *cobra.Command {
	cmd, c := newSyncsCommand(s, &cobra.Command{
		Use: "approve SYNC", Short: "Repeat a run that would have removed too many members", Args: exactArgs(1, "the id of a sync"),
		Long: "Approves the run that waits: the sync runs again at once, and may remove as many members as that run would have removed.\n" +
			"If its query now removes more, it waits again.",
		Example: "  landfall audience syncs history vip_gold --limit 1\n  landfall audience syncs approve vip_gold",
	}, func(ctx context.Context, c *syncsCommand, sync string) error {
		err := c.client.ApproveAudienceSync(ctx, audienceruns.Choice{Sync: sync, Instance: c.instance})
		return c.printAsked(sync, err)
	})
	c.addInstanceFlag(cmd)
	return cmd
}

// printAsked prints that a sync runs in a moment.
func (c *syncsCommand) printAsked(sync string, err error) error {
	switch {
	case err != nil:
		return err
	case c.json:
		c.printJSON(map[string]string{"asked": sync})
	default:
		fmt.Fprintf(c.out, "%s runs in a moment: landfall audience syncs history %s\n", sync, sync)
	}
	return nil
}
