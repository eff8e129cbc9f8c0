package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/runtime"
)

func newAudience(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "audience", Short: "Create and find audiences at destinations that keep them by an id of their own",
		Long: "Some remotes want an audience to be created before its members are sent. Landfall creates it before the first of its\n" +
			"events is delivered, with the name and settings that the config has for it under audiences; here it can be done before.",
		RunE: chooseCommand, Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(newAudienceCreate(s), newAudienceGet(s))
	return cmd
}

// audienceCommand is a command on one audience of an instance.
func audienceCommand(s streams, cmd *cobra.Command, run func(ctx context.Context, c *choosing, a runtime.Audience) error) *cobra.Command {
	c := &choosing{streams: s}
	var a runtime.Audience
	cmd.Args = exactly(0, "flags only")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if a.Key == "" {
			return misuse("say which audience: --key KEY, as its events have it at context.personas.computation_key")
		}
		if err := c.target.check(); err != nil {
			return err
		}
		defer c.close()
		creates := func(in instance) bool { return in.plan.CreatesAudiences() }
		if err := c.open(cmd.Context(), creates, "a destination that creates audiences"); err != nil {
			return err
		}
		return run(cmd.Context(), c, a)
	}
	c.flags(cmd)
	f := cmd.Flags()
	c.target.places(cmd, "ask")
	f.StringVar(&a.Key, "key", "", "the `KEY` of the audience in events (required)")
	f.StringVar(&a.Name, "name", "", "what the remote calls it; by default what the config says, else the key")
	return cmd
}

func newAudienceCreate(s streams) *cobra.Command {
	return audienceCommand(s, &cobra.Command{
		Use: "create --key KEY", Short: "Create an audience, unless that has been done",
		Example: "  landfall audience create --config landfall.yaml --instance ads --key vip --live",
	}, func(ctx context.Context, c *choosing, a runtime.Audience) error {
		made, created, err := c.chosen.plan.CreateAudience(ctx, a)
		if err != nil {
			return fmt.Errorf("creating the audience %s: %w", a.Key, err)
		}
		return c.tellAudience(made, created)
	})
}

func newAudienceGet(s streams) *cobra.Command {
	return audienceCommand(s, &cobra.Command{
		Use: "get --key KEY", Short: "Show the external id of an audience, and ask whether it is there",
		Example: "  landfall audience get --config landfall.yaml --key vip --live",
	}, func(ctx context.Context, c *choosing, a runtime.Audience) error {
		found, err := c.chosen.plan.GetAudience(ctx, a)
		if err != nil {
			return fmt.Errorf("finding the audience %s: %w", a.Key, err)
		}
		return c.tellAudience(found, false)
	})
}

func (c *choosing) tellAudience(a runtime.Audience, created bool) error {
	if c.json {
		c.print(map[string]any{"instance": c.chosen.plan.ID(), "key": a.Key, "name": a.Name, "externalId": a.ExternalID, "created": created})
		return nil
	}
	done := "is"
	if created {
		done = "has been created as"
	}
	_, err := fmt.Fprintf(c.out, "%s (%s) %s %s in %s\n", a.Name, a.Key, done, a.ExternalID, c.chosen.plan.ID())
	return err
}
