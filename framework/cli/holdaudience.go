package cli

import (
	"context"
	"fmt"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// holdAudience waits until no audience sync and no other command changes an audience, and keeps them from it until releaseAudience. The returned
// context ends if the command loses its lease, after which the command should change nothing. A dry run holds nothing.
func (k *audienceCommand) holdAudience(ctx context.Context, command string, a destination.Audience) (context.Context, error) {
	ctx = budget.WithClass(ctx, k.class)
	if k.target.DryRun {
		return ctx, nil
	}
	held, ctx, err := audienceruns.HoldAudience(ctx, audienceruns.HoldOptions{
		Ledger: k.chosen.Ledger, Instance: k.chosen.Plan.ID(), Audience: a.ID, Syncs: k.cfg.AudienceSyncs, By: history.CommandActor(command),
		OnWait: func(startedBy string) {
			fmt.Fprintf(k.err, "another run changes %s (started by %s): waiting until it has ended\n", a.ID, startedBy)
		},
	})
	k.held = held
	return ctx, err
}

// allowRemovals records removals before they are sent.
func (k *audienceCommand) allowRemovals(exits int) error {
	if k.held == nil {
		return nil
	}
	return k.held.AllowRemovals(exits)
}

// releaseAudience ends what holdAudience began. With a report, it writes the record of a run of the audience's sync.
func (k *audienceCommand) releaseAudience(ctx context.Context, report *audiencesync.Report, runErr error) {
	held := k.held
	if held == nil {
		return
	}
	k.held = nil
	run, err := held.Release(report, runErr)
	if err == nil && run != nil {
		err = audienceruns.SaveRun(context.WithoutCancel(ctx), k.store, run)
	}
	if err != nil {
		k.warn("the record of this run cannot be written: " + err.Error())
	}
}
