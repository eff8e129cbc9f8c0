package runtime

import (
	"errors"
	"slices"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/language/mapping"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// HostFunc returns the Host for the plan of an instance. State and Members must not be shared between instances. If the error is a
// fault.Problems, with pointers into the config, Load reports it with the other problems; any other error ends Load.
type HostFunc func(in config.Instance, of destination.Entry) (Host, error)

// Load compiles a plan of every enabled instance of a config, in order. cfg and problems are the results of config.Load or
// config.Parse. The error is a fault.Problems with these and all problems of the instances, enabled or not, with their positions in
// the file. Every plan redacts the config's secrets. host may be nil.
//
// The warnings of the plans have positions too.
func Load(cfg *config.Config, problems fault.Problems, registry *destination.Registry, host HostFunc) ([]*Plan, error) {
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
			problems.AddNew(wrong)
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
func LoadInstance(cfg *config.Config, in config.Instance, registry *destination.Registry, host HostFunc) (*Plan, error) {
	plan, _, err := CheckInstance(cfg, in, registry, host)
	return plan, err
}

// CheckInstance is LoadInstance, and also returns the warnings of an instance with mistakes. Without mistakes they are those of the plan.
func CheckInstance(cfg *config.Config, in config.Instance, registry *destination.Registry, host HostFunc) (plan *Plan, warnings fault.Problems, err error) {
	entry, err := registry.Find(in.Destination)
	switch {
	case errors.Is(err, destination.ErrUnknown):
		problems := fault.Problems{{Pointer: in.Pointer + "/destination", Message: err.Error()}}
		for _, s := range in.Subscriptions {
			problems = append(problems, languageProblems(s)...)
		}
		return nil, nil, cfg.Document.Locate(problems)
	case errors.Is(err, destination.ErrBroken): // the problems of the definition are reported for all instances
		var problems fault.Problems
		for _, s := range in.Subscriptions {
			problems = append(problems, languageProblems(s)...)
		}
		return nil, nil, cfg.Document.Locate(problems).Err()
	case err != nil:
		return nil, nil, err
	}
	var h Host
	var more fault.Problems
	wrong := in.UnopenedSecrets()
	if host != nil {
		var err error
		if h, err = host(in, entry); err != nil && !errors.As(err, &more) {
			return nil, nil, err
		}
		wrong, more = append(wrong, more...), nil
	}
	if h.Egress == nil {
		h.Egress = cfg.Egress
	}
	h.Secrets = append(slices.Clone(h.Secrets), cfg.Secrets()...)
	written := scalars{doc: cfg.Document}
	in = written.readInstance(in, entry.Definition)
	plan, warnings, err = newPlan(entry.Plugin, entry.Definition, in, h, true)
	if err != nil && !errors.As(err, &more) {
		return nil, nil, err
	}
	warnings = cfg.Document.Locate(append(warnings, written.warnings...))
	if wrong = append(wrong, more...); len(wrong) > 0 {
		return nil, warnings, cfg.Document.Locate(wrong)
	}
	plan.warnings = warnings
	return plan, warnings, nil
}

// languageProblems returns the mistakes that the query and the mapping of a subscription have whatever its action is.
func languageProblems(in config.Subscription) (found fault.Problems) {
	if in.Subscribe != "" {
		_, err := fql.Compile(in.Subscribe)
		found.AddUnder(in.Pointer+"/subscribe", err)
	}
	if in.Mapping.Exists() {
		_, err := mapping.Compile(in.Mapping)
		found.AddUnder(in.Pointer+"/mapping", err)
	}
	return found
}
