package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
)

func newHooks(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "hooks", Short: "Run the hooks of subscriptions, which create things at the remote",
		Long: "A hook of an action creates something at the remote for a subscription, such as the list that its users are added to. The\n" +
			"config has the inputs of a hook under hooks. Landfall stores the outputs, and the action uses them.",
		RunE: chooseCommand, Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(newHooksRun(s))
	return cmd
}

func newHooksRun(s streams) *cobra.Command {
	c := &instanceFlags{streams: s}
	var subscription string
	var again bool
	cmd := &cobra.Command{
		Use: "run [--subscription NAME]", Short: "Run the hooks whose inputs have changed", Args: exactArgs(0, "flags only"),
		Long: "Runs the hooks of an instance's subscriptions whose inputs have changed since their last run. A running server uses the\n" +
			"new outputs at once.",
		Example: "  landfall hooks run --config landfall.yaml --instance crm --live\n" +
			"  landfall hooks run --subscription Newsletter --again --live",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.target.check(); err != nil {
				return err
			}
			defer c.close()
			if err := c.open(cmd.Context(), func(in instances.Instance) bool { return len(in.Plan.HookedSubscriptions()) > 0 }, "a destination with hooks in its subscriptions"); err != nil {
				return err
			}
			return c.runHooks(cmd.Context(), subscription, again)
		},
	}
	c.addFlags(cmd)
	f := cmd.Flags()
	c.target.addTargetFlags(cmd, "send to")
	f.StringVar(&subscription, "subscription", "", "only the subscription with this `NAME`; by default all of the instance")
	f.BoolVar(&again, "again", false, "also run hooks whose inputs have not changed")
	return cmd
}

func (c *instanceFlags) runHooks(ctx context.Context, subscription string, again bool) error {
	var names []string
	found := false
	for _, s := range c.chosen.Plan.HookedSubscriptions() {
		names = append(names, s.Name())
		if subscription != "" && s.Name() != subscription {
			continue
		}
		found = true
		reports, err := c.chosen.Plan.RunHooks(ctx, s, again)
		for _, r := range reports {
			c.printHook(s.Name(), r)
		}
		if err != nil {
			return err
		}
	}
	if !found {
		return usageErrorf("there is no subscription %q with hooks%s", subscription, fault.DidYouMean(subscription, names))
	}
	return nil
}

func (c *instanceFlags) printHook(subscription string, r runtime.HookReport) {
	if c.json {
		c.printJSON(map[string]any{
			"instance": c.chosen.Plan.ID(), "subscription": subscription, "hook": r.Hook, "ran": r.Ran, "message": r.Message,
			"outputs": json.RawMessage(r.Outputs.JSON()),
		})
		return
	}
	done := "not run: its inputs have not changed"
	if r.Ran {
		done = "done"
		if r.Message != "" {
			done += ": " + r.Message
		}
	}
	fmt.Fprintf(c.out, "%s › %s › %s: %s\n  outputs %s\n", c.chosen.Plan.ID(), subscription, r.Hook, done, r.Outputs.JSON())
}
