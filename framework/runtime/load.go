package runtime

import (
	"errors"
	"fmt"
	"slices"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// Hosting is what the plan of an instance gets from the program that runs it. State and Members, where they are given, must be
// the instance's own. A fault.Problems has pointers into the config; any other error ends the loading.
type Hosting func(in config.Instance, of destination.Entry) (Host, error)

// Load makes a plan of every enabled instance of a config, in its order. It takes what config.Load and config.Parse give, so
// that its error, a fault.Problems, has every mistake in the file with its place: those of its form and those of each
// instance, enabled or not. What the config brought in from outside counts as a secret of every plan. A nil host brings nothing.
//
// The warnings of a plan have their places, too.
func Load(cfg *config.Config, problems fault.Problems, registry *destination.Registry, host Hosting) ([]*Plan, error) {
	if cfg == nil {
		return nil, problems.Err()
	}
	problems = slices.Clone(problems)
	var plans []*Plan
	for _, in := range cfg.Instances {
		plan, err := LoadInstance(cfg, in, registry, host)
		var wrong fault.Problems
		switch {
		case errors.As(err, &wrong):
			problems = append(problems, wrong...)
		case err != nil:
			return nil, err
		case in.Enabled:
			plans = append(plans, plan)
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return plans, nil
}

// LoadInstance is Load for one instance of a config, enabled or not.
func LoadInstance(cfg *config.Config, in config.Instance, registry *destination.Registry, host Hosting) (*Plan, error) {
	entry, ok := registry.Find(in.Destination)
	if !ok {
		return nil, cfg.Document.Locate(fault.Problems{{
			Pointer: in.Pointer + "/destination",
			Message: fmt.Sprintf("there is no destination %q%s", in.Destination, fault.DidYouMean(in.Destination, registry.Slugs())),
		}})
	}
	var h Host
	var wrong, more fault.Problems
	if host != nil {
		var err error
		if h, err = host(in, entry); err != nil && !errors.As(err, &wrong) {
			return nil, err
		}
	}
	if h.Egress == nil {
		h.Egress = cfg.Egress
	}
	h.Secrets = append(slices.Clone(h.Secrets), cfg.Secrets()...)
	written := scalars{doc: cfg.Document}
	in = written.instance(in, entry.Definition)
	plan, err := newPlan(entry.Plugin, entry.Definition, in, h, true)
	if err != nil && !errors.As(err, &more) {
		return nil, err
	}
	if wrong = append(wrong, more...); len(wrong) > 0 {
		return nil, cfg.Document.Locate(wrong)
	}
	plan.warnings = cfg.Document.Locate(append(plan.warnings, written.warnings...))
	return plan, nil
}
