package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/state"
)

func newMembers(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "members",
		Short: "Show and mend who is in which cohort",
		Long: "Works on the ledger: who was sent to which cohort, when, and because of which event. Braze cannot list a cohort, so\n" +
			"the ledger is the only record of that.",
		RunE: chooseCommand,
		Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(newMembersList(s), newMembersShow(s), newMembersDiff(s), newMembersResync(s), newMembersPurge(s), newMembersExport(s))
	return cmd
}

// reading is a command that sends nothing.
func reading(s streams, cmd *cobra.Command, run func(ctx context.Context, k *keeping, args []string) error) (*cobra.Command, *keeping) {
	k := &keeping{choosing: choosing{streams: s, target: target{dryRun: true}, reads: true}}
	k.flags(cmd)
	k.target.sandboxFlags(cmd, "show the ledger of")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		defer k.close()
		if err := k.open(cmd.Context()); err != nil {
			return err
		}
		return run(cmd.Context(), k, args)
	}
	cmd.Flags().Bool("dry-run", true, "nothing is ever sent by this command")
	return cmd, k
}

func newMembersList(s streams) *cobra.Command {
	cmd, _ := reading(s, &cobra.Command{
		Use: "list", Short: "Show the cohorts and how many are in each", Args: exactly(0, "no arguments"),
		Example: "  landfall members list --config landfall.yaml",
	}, func(ctx context.Context, k *keeping, _ []string) error {
		sizes, err := k.chosen.ledger.Sizes(ctx)
		if err != nil {
			return err
		}
		for _, size := range sizes {
			if k.json {
				k.print(sizeJSON{size.ID, size.Name, size.Members, stamp(size.Purged)})
			}
		}
		if k.json {
			return nil
		}
		if len(sizes) == 0 {
			fmt.Fprintln(k.out, "nobody has been sent yet")
			return nil
		}
		list := make([]cohortSize, len(sizes))
		for i, size := range sizes {
			list[i] = cohortSize{ID: size.ID, Name: size.Name, Members: size.Members}
			if !size.Purged.IsZero() {
				list[i].Name += " (purged " + size.Purged.Format(time.DateTime) + ")"
			}
		}
		printCohorts(k.out, list)
		return nil
	})
	return cmd
}

type sizeJSON struct {
	ID      string  `json:"id"`
	Name    string  `json:"name"`
	Members int     `json:"members"`
	Purged  *string `json:"purged"`
}

// stamp is a time for programs, null where it is zero.
func stamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := t.UTC().Format(time.RFC3339Nano)
	return &text
}

func newMembersDiff(s streams) *cobra.Command {
	var against string
	cmd := &cobra.Command{
		Use: "diff COHORT --against FILE", Short: "Compare a file of users with a cohort", Args: exactly(1, "one cohort, by id or name"),
		Long: "Shows who is in the ledger's cohort and not in the file (missing), and who is in the file and not in the cohort\n" +
			"(extra). The exit code is 1 if there is a difference or a row cannot be read.",
		Example: "  landfall members diff vip_gold --against braze-export.csv",
	}
	cmd, k := reading(s, cmd, func(ctx context.Context, k *keeping, args []string) error { return k.diff(ctx, args[0], against) })
	k.fileFlags(cmd)
	cmd.Flags().StringVar(&against, "against", "", "the `FILE` of users, CSV or NDJSON (required)")
	return cmd
}

func (k *keeping) diff(ctx context.Context, cohort, against string) error {
	if against == "" {
		return misuse("say which file: --against FILE")
	}
	a, err := k.audience(ctx, cohort)
	if err != nil {
		return err
	}
	rows, end, err := k.rows(against)
	if err != nil {
		return err
	}
	defer end()
	counts := map[string]int{}
	report, err := k.keeper().Diff(ctx, a.ID, rows, func(kind, identity string) error {
		counts[kind]++
		if k.json {
			k.print(map[string]string{kind: identity})
			return nil
		}
		_, err := fmt.Fprintf(k.out, "%-8s %s\n", kind, identity)
		return err
	})
	k.warnAll(report.Warnings)
	if err != nil {
		return fmt.Errorf("%s: %w", k.file, err)
	}
	if k.json {
		k.print(map[string]any{"summary": map[string]int{
			"members": report.Members, "rows": report.Rows, "both": report.Unchanged, "missing": counts["missing"], "extra": counts["extra"], "unusable": report.Unusable,
		}})
	} else {
		fmt.Fprintf(k.out, "%d members, %d rows: %d in both, %d missing in the file, %d extra\n", report.Members, report.Rows, report.Unchanged, counts["missing"], counts["extra"])
		if report.Unusable > 0 {
			fmt.Fprintf(k.out, "%d rows cannot be read, so users who are in them count as missing\n", report.Unusable)
		}
	}
	if counts["missing"]+counts["extra"]+report.Unusable > 0 {
		return failed{}
	}
	return nil
}

// sending is a command that sends changes of a cohort.
func sending(s streams, cmd *cobra.Command, run func(ctx context.Context, k *keeping, cohort string) error) (*cobra.Command, *keeping) {
	k := &keeping{choosing: choosing{streams: s}}
	k.flags(cmd)
	k.target.flags(cmd)
	cmd.Args = exactly(1, "one cohort, by id or name")
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
	var restart bool
	cmd, k := sending(s, &cobra.Command{
		Use: "resync COHORT", Short: "Send what the ledger says of a cohort",
		Long: "Sends every entry and exit that the ledger has of a cohort; with --against only the difference to a file of those who\n" +
			"are in it. One that was interrupted goes on where it was.",
		Example: "  landfall members resync vip_gold --live\n  landfall members resync vip_gold --against braze-export.csv --dry-run",
	}, func(ctx context.Context, k *keeping, cohort string) error {
		a, err := k.audience(ctx, cohort)
		if err != nil {
			return err
		}
		if against == "" {
			return k.report(k.keeper().Resync(ctx, a, nil, restart))
		}
		rows, end, err := k.rows(against)
		if err != nil {
			return err
		}
		defer end()
		return k.report(k.keeper().Resync(ctx, a, rows, true))
	})
	k.fileFlags(cmd)
	k.allowFlag(cmd)
	cmd.Flags().StringVar(&against, "against", "", "a `FILE` of users who are in the cohort; only the difference is sent")
	cmd.Flags().BoolVar(&restart, "restart", false, "begin anew, also where an earlier one was interrupted")
	return cmd
}

func newMembersPurge(s streams) *cobra.Command {
	var yes bool
	cmd, _ := sending(s, &cobra.Command{
		Use: "purge COHORT --yes", Short: "Remove every member of a cohort for good",
		Long: "Sends an exit for every member that the ledger has, and marks the cohort: events from before come to nothing, newer\n" +
			"ones are sent as ever. Braze cannot delete a cohort; it stays, empty.",
		Example: "  landfall members purge vip_gold --dry-run\n  landfall members purge vip_gold --live --yes",
	}, func(ctx context.Context, k *keeping, cohort string) error {
		if !yes && !k.target.dryRun {
			return misuse("this removes every member of %s: give --yes to do it, or --dry-run to see how many", cohort)
		}
		a, err := k.audience(ctx, cohort)
		if err != nil {
			return err
		}
		return k.report(k.keeper().Purge(ctx, a))
	})
	cmd.Flags().BoolVar(&yes, "yes", false, "remove them")
	return cmd
}

func newMembersExport(s streams) *cobra.Command {
	cmd, _ := reading(s, &cobra.Command{
		Use: "export COHORT", Short: "Print the members of a cohort as CSV, or NDJSON with --json", Args: exactly(1, "one cohort, by id or name"),
		Example: "  landfall members export vip_gold > members.csv",
	}, func(ctx context.Context, k *keeping, args []string) error {
		a, err := k.audience(ctx, args[0])
		if err != nil {
			return err
		}
		table := csv.NewWriter(k.out)
		if !k.json {
			_ = table.Write([]string{"identity", "at", "delivered", "doubt"})
		}
		err = k.chosen.ledger.Each(ctx, a.ID, "", func(s state.Membership) error {
			switch {
			case !s.Member:
				return nil
			case k.json:
				k.print(standingOf(a, s, nil))
				return nil
			}
			return table.Write([]string{s.Identity, s.At.Format(time.RFC3339Nano), s.Delivered.Format(time.RFC3339Nano), fmt.Sprint(s.Uncertain)})
		})
		table.Flush()
		return err
	})
	return cmd
}
