package cli

import (
	"context"
	"fmt"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// targetRemote checks the flags of a command that asks the remote for the members of an audience. Such a command sends requests, so it needs a target
// even if it changes nothing.
func (k *audienceCommand) targetRemote() error {
	switch {
	case k.query.query != "" || k.query.file != "":
		return usageErrorf("--from remote lists all members and takes no query")
	case k.only.Column != "" || len(k.columns) > 0 || k.encoding != "":
		return usageErrorf("--from remote reads no columns: leave --column, --audience-column and --encoding out")
	case !k.reads && k.target.DryRun:
		return usageErrorf("a dry run sends no requests, so it cannot ask the remote: use landfall members diff AUDIENCE --from remote, which only reads")
	case k.reads && !k.target.Live && !k.target.Sandbox && k.target.SandboxURL == "":
		return usageErrorf("say which remote to ask: --live, --sandbox or --sandbox-url URL")
	}
	k.target.DryRun = false
	return k.target.check()
}

// checkLists returns an error if the remote cannot list members.
func (k *audienceCommand) checkLists() error {
	if k.chosen.Plan.ListsMembers() {
		return nil
	}
	return fmt.Errorf("%s cannot list the members of an audience, or its definition does not say how: compare with a file of the members (--against FILE)", k.chosen.Plan.Definition().Name)
}

// diffRemote prints how the ledger and the remote differ.
func (k *audienceCommand) diffRemote(ctx context.Context, a destination.Audience) error {
	if err := k.checkLists(); err != nil {
		return err
	}
	report, err := k.newSyncer().DiffRemote(ctx, a, func(d audiencesync.Drift, identity string) error {
		if k.json {
			k.printJSON(map[string]string{string(d): identity})
			return nil
		}
		_, err := fmt.Fprintf(k.out, "%-8s %s\n", d, identity)
		return err
	})
	k.endProgress()
	if err != nil {
		return err
	}
	k.printRemote(report)
	if report.Missing+report.Extra > 0 {
		return reportedError{}
	}
	return nil
}

// repairRemote sends what the remote lacks.
func (k *audienceCommand) repairRemote(ctx context.Context, a destination.Audience, removeUnknown bool) error {
	if err := k.checkLists(); err != nil {
		return err
	}
	return k.recordAction(ctx, history.ActionResync, a, func() (audiencesync.Report, error) {
		report, err := k.newSyncer().RepairRemote(ctx, a, removeUnknown)
		k.endProgress()
		if err == nil || report.Listed > 0 {
			k.printRemote(report)
		}
		if report.Unknown > 0 && !removeUnknown {
			k.warn(fmt.Sprintf("%s at the remote to whom nothing was ever sent %s: use --remove-unknown to remove them",
				fault.Count(report.Unknown, "user"), fault.Plural(report.Unknown, "stays", "stay")))
		}
		return report.Report, err
	})
}

// printRemote prints how many users differ.
func (k *audienceCommand) printRemote(r audiencesync.RemoteReport) {
	if k.json {
		k.printJSON(map[string]any{"remote": map[string]int{
			"members": r.Members, "listed": r.Listed, "both": r.Unchanged, "missing": r.Missing, "extra": r.Extra, "unknown": r.Unknown,
			"nameless": r.Nameless, "changing": r.Changing,
		}})
		return
	}
	fmt.Fprintf(k.out, "%s, %d at the remote: %d in both, %d missing at the remote, %d extra, %d unknown\n",
		fault.Count(r.Members, "member"), r.Listed, r.Unchanged, r.Missing, r.Extra, r.Unknown)
	if r.Nameless > 0 {
		fmt.Fprintf(k.out, "%s at the remote %s no identifier that the ledger can have\n", fault.Count(r.Nameless, "user"), fault.Plural(r.Nameless, "has", "have"))
	}
	if r.Changing > 0 {
		fmt.Fprintf(k.out, "%s not compared: events for them arrived meanwhile, or have no result yet\n", fault.Count(r.Changing, "user"))
	}
}
