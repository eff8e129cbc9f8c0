package instances

import (
	"context"
	"errors"
	"fmt"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
)

// LedgerTarget returns the target of an instance's ledger: the destination and the settings that identify the remote, or the sandbox.
func LedgerTarget(t *Target, in config.Instance, d *destination.Definition) state.Target {
	return state.Target{Sandbox: t.SandboxName(), Destination: d.Slug, Remote: d.Remote(in.Settings)}
}

// LedgerUse says what plans do with their ledgers.
type LedgerUse int

const (
	ReadLedgers  LedgerUse = iota // the plans send nothing, so the targets of their ledgers do not matter
	CheckLedgers                  // a ledger of another target is a mistake in the config
	ClaimLedgers                  // like CheckLedgers; the plans deliver, so their ledgers are marked with their targets
)

// UseLedgers checks that the ledgers of instances belong to their targets. With ClaimLedgers it also marks them.
func (h *Options) UseLedgers(cfg *config.Config, list []Instance) error {
	if h.Use == ReadLedgers {
		return nil
	}
	var problems fault.Problems
	for _, in := range list {
		if in.Ledger == nil {
			continue
		}
		err := h.useLedger(in)
		var other *state.TargetError
		switch {
		case errors.As(err, &other):
			place := in.Config.Pointer + "/destination"
			if setting := other.Setting(); setting != "" {
				place = in.Config.Pointer + "/settings" + fault.PointerKey(setting)
			}
			problems.Add(place, "is not the remote that the ledger belongs to: %v", other)
		case err != nil:
			return err
		}
	}
	return cfg.Document.Locate(problems).Err()
}

// useLedger checks or marks one ledger. A ledger of an earlier version has no mark: it is adopted for the target, with a warning.
func (h *Options) useLedger(in Instance) error {
	want := LedgerTarget(h.Target, in.Config, in.Plan.Definition())
	if h.Use == CheckLedgers || h.Target.DryRun {
		return in.Ledger.CheckTarget(context.Background(), want)
	}
	adopted, err := in.Ledger.Claim(context.Background(), want)
	if adopted {
		h.warnOrLog(fmt.Sprintf("the ledger of %s has no target, since an earlier version wrote it: it is used for %s; "+
			"if its members were sent to a sandbox, stop and run landfall state retarget %s --forget", in.Plan.ID(), want, in.Plan.ID()))
	}
	return err
}

func (h *Options) warnOrLog(text string) {
	switch {
	case h.Warn != nil:
		h.Warn(text)
	case h.Log != nil:
		h.Log.Warn(text)
	}
}
