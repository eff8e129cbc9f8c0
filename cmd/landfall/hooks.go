package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

func newHooks(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "hooks", Short: "Run what destinations do when a subscription is saved",
		Long: "Some actions make something at the remote when a subscription is saved, such as a list that its users go to. The\n" +
			"inputs stand in the config under hooks; what the remote gave is kept and handed to the action.",
		RunE: chooseCommand, Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(newHooksRun(s))
	return cmd
}

func newHooksRun(s streams) *cobra.Command {
	c := &choosing{streams: s}
	var subscription string
	var again bool
	cmd := &cobra.Command{
		Use: "run [--subscription NAME]", Short: "Run the hooks whose inputs have changed", Args: exactly(0, "flags only"),
		Long: "Runs the hooks of an instance's subscriptions. One whose inputs are those of its last run is left alone. A server that\n" +
			"runs uses what the hooks give from then on.",
		Example: "  landfall hooks run --config landfall.yaml --instance crm --live\n" +
			"  landfall hooks run --subscription Newsletter --again --live",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.target.check(); err != nil {
				return err
			}
			defer c.close()
			if err := c.open(cmd.Context(), func(in instance) bool { return len(hookedOf(in.plan)) > 0 }, "a destination with hooks in its subscriptions"); err != nil {
				return err
			}
			return c.runHooks(cmd.Context(), subscription, again)
		},
	}
	c.flags(cmd)
	f := cmd.Flags()
	c.target.places(cmd, "send to")
	f.StringVar(&subscription, "subscription", "", "the `NAME` of the only subscription; by default all of the instance")
	f.BoolVar(&again, "again", false, "run hooks whose inputs have not changed, too")
	return cmd
}

// hookedOf are the subscriptions of a plan that ask for hooks.
func hookedOf(p *runtime.Plan) (list []*runtime.Subscription) {
	for _, s := range p.Subscriptions() {
		if s.HasHooks() {
			list = append(list, s)
		}
	}
	return list
}

func (c *choosing) runHooks(ctx context.Context, subscription string, again bool) error {
	var names []string
	found := false
	for _, s := range hookedOf(c.chosen.plan) {
		names = append(names, s.Name())
		if subscription != "" && s.Name() != subscription {
			continue
		}
		found = true
		reports, err := c.chosen.plan.RunHooks(ctx, s, again)
		for _, r := range reports {
			c.tellHook(s.Name(), r)
		}
		if err != nil {
			return err
		}
	}
	if !found {
		return misuse("there is no subscription %q with hooks%s", subscription, fault.DidYouMean(subscription, names))
	}
	return nil
}

func (c *choosing) tellHook(subscription string, r runtime.HookReport) {
	if c.json {
		c.print(map[string]any{
			"instance": c.chosen.plan.ID(), "subscription": subscription, "hook": r.Hook, "ran": r.Ran, "message": r.Message,
			"outputs": json.RawMessage(r.Outputs.JSON()),
		})
		return
	}
	done := "its inputs have not changed"
	if r.Ran {
		done = "done"
		if r.Message != "" {
			done += ": " + r.Message
		}
	}
	fmt.Fprintf(c.out, "%s › %s › %s: %s\n  outputs %s\n", c.chosen.plan.ID(), subscription, r.Hook, done, r.Outputs.JSON())
}

// warnHooks tells of hooks that have not been run as the config has them now.
func (v *serving) warnHooks(ctx context.Context, instances []instance) {
	for _, in := range instances {
		for _, s := range hookedOf(in.plan) {
			due, err := in.plan.DueHooks(ctx, s)
			if err != nil {
				v.log.Warn("looking for hooks to run", "instance", in.plan.ID(), "error", err)
			}
			for _, name := range due {
				v.log.Warn("a hook has not run with its inputs as they are: landfall hooks run does it", "instance", in.plan.ID(), "subscription", s.Name(), "hook", name)
			}
		}
	}
}
