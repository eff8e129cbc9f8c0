package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
)

// targetOf returns what the ledger of an instance is about: the destination and the settings that identify the remote, or the sandbox.
func targetOf(t *target, in config.Instance, d *destination.Definition) state.Target {
	return state.Target{Sandbox: t.sandboxName(), Destination: d.Slug, Remote: d.Remote(in.Settings)}
}

// ledgerUse is what plans do with their ledgers.
type ledgerUse int

const (
	readLedgers  ledgerUse = iota // nothing is sent, so that their targets do not matter
	checkLedgers                  // a ledger of another target is a mistake in the config
	claimLedgers                  // the plans deliver: their ledgers are marked with their targets, too
)

// useLedgers checks that the ledgers of instances are about their targets, and marks those that are going to deliver.
func (h *hosting) useLedgers(cfg *config.Config, list []instance) error {
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
			problems.Add(place, "is another remote than before: %v", other)
		case err != nil:
			return err
		}
	}
	return cfg.Document.Locate(problems).Err()
}

// useLedger checks or marks one ledger. One that was written by an earlier version has no mark: it is taken for that of the target,
// with a warning.
func (h *hosting) useLedger(in instance) error {
	want := targetOf(h.target, in.config, in.plan.Definition())
	if h.use == checkLedgers || h.target.dryRun {
		return in.ledger.CheckTarget(context.Background(), want)
	}
	adopted, err := in.ledger.Claim(context.Background(), want)
	if adopted {
		h.tell(fmt.Sprintf("the ledger of %s does not say where its members were sent, since an earlier version wrote it: it is taken for that of %s; "+
			"if they were sent to a sandbox, stop and run landfall state retarget %s --forget", in.plan.ID(), want, in.plan.ID()))
	}
	return err
}

func (h *hosting) tell(text string) {
	switch {
	case h.warn != nil:
		h.warn(text)
	case h.log != nil:
		h.log.Warn(text)
	}
}
