package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
)

// targetOf returns the target of an instance's ledger: the destination and the settings that identify the remote, or the sandbox.
func targetOf(t *target, in config.Instance, d *destination.Definition) state.Target {
	return state.Target{Sandbox: t.sandboxName(), Destination: d.Slug, Remote: d.Remote(in.Settings)}
}

// ledgerUse says what plans do with their ledgers.
type ledgerUse int

const (
	readLedgers  ledgerUse = iota // the plans send nothing, so the targets of their ledgers do not matter
	checkLedgers                  // a ledger of another target is a mistake in the config
	claimLedgers                  // like checkLedgers; the plans deliver, so their ledgers are marked with their targets
)

// useLedgers checks that the ledgers of instances belong to their targets. With claimLedgers it also marks them.
func (h *planHost) useLedgers(cfg *config.Config, list []instance) error {
	if h.use == readLedgers {
		return nil
	}
	var problems fault.Problems
	for _, in := range list {
		if in.ledger == nil {
			continue
		}
		err := h.useLedger(in)
		var other *state.TargetError
		switch {
		case errors.As(err, &other):
			place := in.config.Pointer + "/destination"
			if setting := other.Setting(); setting != "" {
				place = in.config.Pointer + "/settings" + fault.PointerKey(setting)
			}
			problems.Add(place, "is not the remote that the ledger belongs to: %v", other)
		case err != nil:
			return err
		}
	}
	return cfg.Document.Locate(problems).Err()
}

// useLedger checks or marks one ledger. A ledger of an earlier version has no mark: it is adopted for the target, with a warning.
func (h *planHost) useLedger(in instance) error {
	want := targetOf(h.target, in.config, in.plan.Definition())
	if h.use == checkLedgers || h.target.dryRun {
		return in.ledger.CheckTarget(context.Background(), want)
	}
	adopted, err := in.ledger.Claim(context.Background(), want)
	if adopted {
		h.warnOrLog(fmt.Sprintf("the ledger of %s has no target, since an earlier version wrote it: it is used for %s; "+
			"if its members were sent to a sandbox, stop and run landfall state retarget %s --forget", in.plan.ID(), want, in.plan.ID()))
	}
	return err
}

func (h *planHost) warnOrLog(text string) {
	switch {
	case h.warn != nil:
		h.warn(text)
	case h.log != nil:
		h.log.Warn(text)
	}
}
