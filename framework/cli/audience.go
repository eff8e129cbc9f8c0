package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
)

func newAudience(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "audience", Short: "Create and find audiences at remotes that assign their own ids; run queries of users",
		Long: "Some remotes require an audience to exist before members are sent. Landfall creates it before it delivers the first event\n" +
			"of the audience, with the name and settings from audiences in the config. These commands create it in advance, and show\n" +
			"its id.",
		RunE: chooseCommand, Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(newAudienceCreate(s), newAudienceGet(s), newAudienceSyncs(s))
	return cmd
}

// newAudienceCommand completes a command that works on one audience of an instance. stateOptional is that of instanceFlags.
func newAudienceCommand(s streams, stateOptional bool, cmd *cobra.Command, run func(ctx context.Context, c *instanceFlags, a runtime.Audience) error) *cobra.Command {
	c := &instanceFlags{streams: s, stateOptional: stateOptional}
	var a runtime.Audience
	cmd.Args = exactArgs(0, "flags only")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if a.Key == "" {
			return usageErrorf("say which audience: --key KEY, the value of context.personas.computation_key in its events")
		}
		if err := c.target.check(); err != nil {
			return err
		}
		defer c.close()
		creates := func(in instances.Instance) bool { return in.Plan.CreatesAudiences() }
		if err := c.open(cmd.Context(), creates, "a destination that creates audiences"); err != nil {
			return err
		}
		return run(cmd.Context(), c, a)
	}
	c.addFlags(cmd)
	f := cmd.Flags()
	c.target.addTargetFlags(cmd, "ask")
	f.StringVar(&a.Key, "key", "", "the `KEY` of the audience in events (required)")
	f.StringVar(&a.Name, "name", "", "the `NAME` of the audience at the remote; by default the config's, otherwise the key")
	return cmd
}

func newAudienceCreate(s streams) *cobra.Command {
	return newAudienceCommand(s, false, &cobra.Command{
		Use: "create --key KEY", Short: "Create an audience, unless Landfall has created it already",
		Example: "  landfall audience create --config landfall.yaml --instance ads --key vip --live",
	}, func(ctx context.Context, c *instanceFlags, a runtime.Audience) error {
		made, created, err := c.chosen.Plan.CreateAudience(ctx, a)
		if err != nil {
			return fmt.Errorf("creating the audience %s: %w", a.Key, err)
		}
		return c.printAudience(made, created)
	})
}

func newAudienceGet(s streams) *cobra.Command {
	return newAudienceCommand(s, true, &cobra.Command{
		Use: "get --key KEY", Short: "Show the external id of an audience, and check that the remote has it",
		Example: "  landfall audience get --config landfall.yaml --key vip --live",
	}, func(ctx context.Context, c *instanceFlags, a runtime.Audience) error {
		found, err := c.chosen.Plan.GetAudience(ctx, a)
		if err != nil {
			return fmt.Errorf("finding the audience %s: %w", a.Key, err)
		}
		return c.printAudience(found, false)
	})
}

func (c *instanceFlags) printAudience(a runtime.Audience, created bool) error {
	if c.json {
		c.printJSON(map[string]any{"instance": c.chosen.Plan.ID(), "key": a.Key, "name": a.Name, "externalId": a.ExternalID, "created": created})
		return nil
	}
	done := "is"
	if created {
		done = "has been created as"
	}
	_, err := fmt.Fprintf(c.out, "%s (%s) %s %s in %s\n", a.Name, a.Key, done, a.ExternalID, c.chosen.Plan.ID())
	return err
}
