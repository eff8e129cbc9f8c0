package cli

import (
	"context"
	"encoding/csv"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/framework/state"
)

func newMembers(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "members",
		Short: "Show and correct which users are in which audience",
		Long: "Works on the ledger, which records which users were sent to which audience, when, and by which event. Braze cannot list the\n" +
			"users of a cohort, so the ledger is the only record; some other remotes can, see landfall members diff.",
		RunE: chooseCommand,
		Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(newMembersList(s), newMembersShow(s), newMembersDiff(s), newMembersResync(s), newMembersPurge(s), newMembersExport(s))
	return cmd
}

// newReadCommand completes a command that sends nothing.
func newReadCommand(s streams, cmd *cobra.Command, run func(ctx context.Context, k *audienceCommand, args []string) error) (*cobra.Command, *audienceCommand) {
	k := &audienceCommand{instanceFlags: instanceFlags{streams: s, target: target{instances.Target{DryRun: true}}, reads: true}}
	k.addFlags(cmd)
	k.target.addSandboxFlags(cmd, "read the ledger of")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		defer k.close()
		if err := k.open(cmd.Context()); err != nil {
			return err
		}
		return run(cmd.Context(), k, args)
	}
	cmd.Flags().Bool("dry-run", true, "has no effect: this command never sends anything")
	return cmd, k
}

func newMembersList(s streams) *cobra.Command {
	cmd, _ := newReadCommand(s, &cobra.Command{
		Use: "list", Short: "Show the audiences and the number of their members", Args: exactArgs(0, "no arguments"),
		Example: "  landfall members list --config landfall.yaml",
	}, func(ctx context.Context, k *audienceCommand, _ []string) error {
		sizes, err := k.chosen.Ledger.Sizes(ctx)
		if err != nil {
			return err
		}
		for _, size := range sizes {
			if k.json {
				k.printJSON(audienceJSON{size.ID, size.Name, size.Members, jsonTime(size.Purged)})
			}
		}
		if k.json {
			return nil
		}
		if len(sizes) == 0 {
			fmt.Fprintln(k.out, "no users have been sent yet")
			return nil
		}
		list := make([]audienceSize, len(sizes))
		for i, size := range sizes {
			list[i] = audienceSize{ID: size.ID, Name: size.Name, Members: size.Members}
			if !size.Purged.IsZero() {
				list[i].Name += " (purged " + size.Purged.Format(time.DateTime) + ")"
			}
		}
		printAudiences(k.out, list)
		return nil
	})
	return cmd
}

type audienceJSON struct {
	ID      string  `json:"id"`
	Name    string  `json:"name"`
	Members int     `json:"members"`
	Purged  *string `json:"purged"`
}

// jsonTime returns a time for JSON output: null if it is zero.
func jsonTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := t.UTC().Format(time.RFC3339Nano)
	return &text
}

func newMembersDiff(s streams) *cobra.Command {
	var against string
	cmd := &cobra.Command{
		Use: "diff AUDIENCE {--against FILE | --from URL --query SQL | --from remote}", Short: "Compare a file, a query of users or the remote with an audience", Args: exactArgs(1, "one audience, by id or name"),
		Long: "Shows the users who are in the ledger's audience but not in the file (missing), and the users who are in the file but not\n" +
			"in the audience (extra). The exit code is 1 if there is a difference or if a row cannot be read.\n\n" +
			"With --from remote, it asks the remote for the members. Users to whom nothing was ever sent are unknown; they are shown,\n" +
			"but do not count as a difference. Users whose state is recorded meanwhile, or whose first change has no result yet, are\n" +
			"not compared.",
		Example: "  landfall members diff vip_gold --against braze-export.csv\n" +
			"  landfall members diff vip_gold --from '${WAREHOUSE_URL}' --query-file vips.sql\n" +
			"  landfall members diff vip_gold --from remote --live",
	}
	cmd, k := newReadCommand(s, cmd, func(ctx context.Context, k *audienceCommand, args []string) error {
		return k.runDiff(ctx, args[0], against)
	})
	k.asksRemote = true
	k.addFileFlags(cmd)
	cmd.Flags().BoolVar(&k.target.Live, "live", false, "with --from remote: ask the real endpoint")
	cmd.Flags().StringVar(&against, "against", "", "the `FILE` of users, CSV, NDJSON or Parquet; also a folder or a pattern")
	cmd.MarkFlagsMutuallyExclusive("against", "from")
	return cmd
}

func (k *audienceCommand) runDiff(ctx context.Context, audience, against string) error {
	if against == "" && !k.query.isUsed() {
		return usageErrorf("say which file or query: --against FILE, --from URL --query SQL, or --from remote")
	}
	a, err := k.findAudience(ctx, audience)
	if err != nil {
		return err
	}
	if k.query.isRemote() {
		return k.diffRemote(ctx, a)
	}
	rows, end, err := k.openRows(ctx, a.ID, against)
	if err != nil {
		return err
	}
	defer end()
	counts := map[string]int{}
	report, err := k.newSyncer().Diff(ctx, a.ID, rows, func(kind, identity string) error {
		counts[kind]++
		if k.json {
			k.printJSON(map[string]string{kind: identity})
			return nil
		}
		_, err := fmt.Fprintf(k.out, "%-8s %s\n", kind, identity)
		return err
	})
	k.printWarnings(report.Warnings)
	if err != nil {
		return fmt.Errorf("%s: %w", k.file, err)
	}
	k.printDiff(report, counts["missing"], counts["extra"])
	if counts["missing"]+counts["extra"]+report.Unusable > 0 {
		return reportedError{}
	}
	return nil
}

// printDiff prints the numbers of a comparison with a file or a query.
func (k *audienceCommand) printDiff(report audiencesync.Report, missing, extra int) {
	if k.json {
		k.printJSON(map[string]any{"summary": map[string]int{
			"members": report.Members, "rows": report.Rows, "both": report.Unchanged, "missing": missing, "extra": extra, "unusable": report.Unusable,
		}})
		return
	}
	fmt.Fprintf(k.out, "%s, %s: %d in both, %d missing in the file, %d extra\n", fault.Count(report.Members, "member"), fault.Count(report.Rows, "row"), report.Unchanged, missing, extra)
	if report.Unusable > 0 {
		fmt.Fprintf(k.out, "%s cannot be read; the users in %s count as missing\n", fault.Count(report.Unusable, "row"), fault.Plural(report.Unusable, "this row", "these rows"))
	}
}

// newSendCommand completes a command that sends changes of an audience.
func newSendCommand(s streams, cmd *cobra.Command, run func(ctx context.Context, k *audienceCommand, audience string) error) (*cobra.Command, *audienceCommand) {
	k := &audienceCommand{instanceFlags: instanceFlags{streams: s, needsLedger: true}}
	k.addFlags(cmd)
	k.target.addFlags(cmd)
	cmd.Args = exactArgs(1, "one audience, by id or name")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := k.target.check(); err != nil {
			return err
		}
		defer k.close()
		if err := k.open(cmd.Context()); err != nil {
			return err
		}
		return run(cmd.Context(), k, args[0])
	}
	return cmd, k
}

func newMembersResync(s streams) *cobra.Command {
	var against string
	var restart, removeUnknown bool
	cmd, k := newSendCommand(s, &cobra.Command{
		Use: "resync AUDIENCE", Short: "Send the members of an audience again, as the ledger has them",
		Long: "Sends every entry and exit of an audience that the ledger has. With --against, or --from and --query, it sends only the\n" +
			"difference to a file or a query of the actual members. An interrupted resync continues where it stopped.\n\n" +
			"With --from remote, it asks the remote for the members and sends the differences: entries of members who are missing\n" +
			"there, and exits of users who should have left. Users to whom nothing was ever sent stay, unless --remove-unknown is\n" +
			"given.",
		Example: "  landfall members resync vip_gold --live\n  landfall members resync vip_gold --against braze-export.csv --dry-run\n" +
			"  landfall members resync vip_gold --from remote --live",
	}, func(ctx context.Context, k *audienceCommand, audience string) error {
		a, err := k.findAudience(ctx, audience)
		if err != nil {
			return err
		}
		ctx, err = k.holdAudience(ctx, "landfall members resync", a)
		if err != nil {
			return err
		}
		defer k.releaseAudience(ctx, nil, nil)
		if k.query.isRemote() {
			return k.repairRemote(ctx, a, removeUnknown)
		}
		return k.resync(ctx, a, against, restart)
	})
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if removeUnknown && !k.query.isRemote() {
			return usageErrorf("--remove-unknown is only for --from remote")
		}
		return nil
	}
	k.asksRemote = true
	k.addFileFlags(cmd)
	k.addAllowFlag(cmd)
	cmd.Flags().BoolVar(&removeUnknown, "remove-unknown", false, "with --from remote: also remove users to whom nothing was ever sent")
	cmd.Flags().StringVar(&against, "against", "", "a `FILE` of the users who are in the audience; only the difference is sent")
	cmd.MarkFlagsMutuallyExclusive("against", "from")
	cmd.Flags().BoolVar(&restart, "restart", false, "start from the beginning, even if an earlier resync was interrupted")
	return cmd
}

// resync sends an audience again: all members, or the difference to a file or the query. restart does not continue an earlier resync.
func (k *audienceCommand) resync(ctx context.Context, a destination.Audience, against string, restart bool) error {
	if against == "" && !k.query.isUsed() {
		return k.recordAction(ctx, history.ActionResync, a, func() (audiencesync.Report, error) {
			return k.newSyncer().Resync(ctx, a, nil, restart)
		})
	}
	rows, end, err := k.openRows(ctx, a.ID, against)
	if err != nil {
		return err
	}
	defer end()
	return k.recordAction(ctx, history.ActionResync, a, func() (audiencesync.Report, error) { return k.newSyncer().Resync(ctx, a, rows, true) })
}

func newMembersPurge(s streams) *cobra.Command {
	var yes bool
	cmd, k := newSendCommand(s, &cobra.Command{
		Use: "purge AUDIENCE --yes", Short: "Remove all members of an audience",
		Long: "Sends an exit for every member that the ledger has, and marks the audience as purged: events from before the purge are\n" +
			"skipped, newer ones are sent as usual. Braze cannot delete a cohort, so the empty cohort stays.",
		Example: "  landfall members purge vip_gold --dry-run\n  landfall members purge vip_gold --live --yes",
	}, func(ctx context.Context, k *audienceCommand, audience string) error {
		a, err := k.findAudience(ctx, audience)
		if err != nil {
			return err
		}
		ctx, err = k.holdAudience(ctx, "landfall members purge", a)
		if err != nil {
			return err
		}
		defer k.releaseAudience(ctx, nil, nil)
		return k.recordAction(ctx, history.ActionPurge, a, func() (audiencesync.Report, error) { return k.newSyncer().Purge(ctx, a) })
	})
	cmd.PreRunE = func(_ *cobra.Command, args []string) error {
		if !yes && !k.target.DryRun {
			return usageErrorf("this removes all members of %s: give --yes to do this, or --dry-run to see how many there are", args[0])
		}
		return nil
	}
	k.refusals.addFlag(cmd, "changes")
	cmd.Flags().BoolVar(&yes, "yes", false, "remove the members; required unless --dry-run is given")
	return cmd
}

func newMembersExport(s streams) *cobra.Command {
	cmd, _ := newReadCommand(s, &cobra.Command{
		Use: "export AUDIENCE", Short: "Print the members of an audience as CSV, or NDJSON with --json", Args: exactArgs(1, "one audience, by id or name"),
		Example: "  landfall members export vip_gold > members.csv",
	}, func(ctx context.Context, k *audienceCommand, args []string) error {
		a, err := k.findAudience(ctx, args[0])
		if err != nil {
			return err
		}
		table := csv.NewWriter(k.out)
		if !k.json {
			_ = table.Write([]string{"identity", "at", "delivered", "doubt"})
		}
		err = k.chosen.Ledger.Each(ctx, a.ID, "", func(s state.Membership) error {
			switch {
			case !s.Member:
				return nil
			case k.json:
				k.printJSON(standingOf(a, s, nil))
				return nil
			}
			return table.Write([]string{s.Identity, s.At.Format(time.RFC3339Nano), s.Delivered.Format(time.RFC3339Nano), fmt.Sprint(s.Uncertain)})
		})
		table.Flush()
		return err
	})
	return cmd
}
