package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
)

// stateCommand is what the commands on whole ledgers share.
type stateCommand struct {
	streams
	confirmation
	target       target
	config, data string
	json         bool
	forget       bool
	cfg          *config.Config
	store        *state.Store
}

func newState(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Show whose members the ledgers hold, and accept another remote",
		Long: "A ledger remembers its target: the destination and the settings that identify the remote, or the sandbox. Nothing is\n" +
			"delivered by a ledger of another target, since its members were never sent there.",
		RunE: chooseCommand, Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(newStateShow(s), newStateRetarget(s))
	return cmd
}

func (c *stateCommand) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.config, "config", configFile, "the config `FILE`")
	f.StringVar(&c.data, "data", "", dataUsage)
	c.target.sandboxFlags(cmd, "the ledgers of")
}

func newStateShow(s streams) *cobra.Command {
	c := &stateCommand{streams: s, confirmation: confirmation{to: s}}
	cmd := &cobra.Command{
		Use: "show", Short: "Show the ledgers, with their targets and sizes", Args: exactly(0, "flags only"),
		Example: "  landfall state show --config landfall.yaml\n  landfall state show --sandbox --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.with(cmd.Context(), c.show) },
	}
	c.flags(cmd)
	cmd.Flags().BoolVar(&c.json, "json", false, "print JSON for programs, an object a line")
	return cmd
}

func newStateRetarget(s streams) *cobra.Command {
	c := &stateCommand{streams: s, confirmation: confirmation{to: s}}
	cmd := &cobra.Command{
		Use: "retarget INSTANCE", Short: "Accept the remote that the config names now", Args: exactly(1, "the id of one instance"),
		Long: "Marks the ledger of an instance with the target that the config names now. Its members are kept: do that if the remote\n" +
			"has them, as when an endpoint gets another name. With --forget the ledger, its values and its token are deleted and\n" +
			"everything is sent again: do that if the remote is a new one.",
		Example: "  landfall state retarget braze-main --dry-run\n  landfall state retarget braze-main --yes\n  landfall state retarget braze-main --forget",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context) error { return c.retarget(ctx, args[0]) })
		},
	}
	c.flags(cmd)
	c.askFlags(cmd)
	cmd.Flags().BoolVar(&c.forget, "forget", false, "start with an empty ledger")
	return cmd
}

// with loads the config and opens its state for f.
func (c *stateCommand) with(ctx context.Context, f func(context.Context) error) error {
	if c.target.live = !c.target.sandbox && c.target.sandboxURL == ""; c.target.check() != nil {
		return c.target.check()
	}
	cfg, problems := config.Load(c.config, config.Env{})
	if cfg == nil || len(problems) > 0 {
		return problems.Err()
	}
	var err error
	if c.store, err = openState(ctx, cfg, c.data, c.target.sandboxName()); err != nil {
		return err
	}
	defer c.store.Close()
	c.cfg = cfg
	return f(ctx)
}

func (c *stateCommand) show(ctx context.Context) error {
	ids, err := c.store.Instances(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		ledger := c.store.Ledger(id)
		content, err := ledger.Content(ctx)
		if err != nil {
			return err
		}
		target, marked, err := ledger.Target(ctx)
		switch {
		case err != nil:
			return err
		case c.json:
			var shown *state.Target
			if marked {
				shown = &target
			}
			_ = json.NewEncoder(c.out).Encode(map[string]any{"instance": id, "target": shown, "content": content})
		case marked:
			fmt.Fprintf(c.out, "%s: %s\n  %s\n", id, target, content)
		default:
			fmt.Fprintf(c.out, "%s: no target yet; the first delivery sets it\n  %s\n", id, content)
		}
	}
	if len(ids) == 0 && !c.json {
		fmt.Fprintln(c.out, "nothing is kept")
	}
	return nil
}

// targetNow returns the target that the config names for an instance.
func (c *stateCommand) targetNow(id string) (state.Target, error) {
	registry, err := registryFor(*c.definitions, c.cfg, c.plugins...)
	if err != nil {
		return state.Target{}, err
	}
	var ids []string
	for _, in := range c.cfg.Instances {
		if in.ID != id {
			ids = append(ids, in.ID)
			continue
		}
		entry, ok := registry.Find(in.Destination)
		if !ok {
			return state.Target{}, fmt.Errorf("%s: there is no destination %q", c.config, in.Destination)
		}
		return targetOf(&c.target, in, entry.Definition), nil
	}
	return state.Target{}, misuse("there is no instance %q in %s%s", id, c.config, fault.DidYouMean(id, ids))
}

func (c *stateCommand) retarget(ctx context.Context, id string) error {
	want, err := c.targetNow(id)
	if err != nil {
		return err
	}
	ledger := c.store.Ledger(id)
	content, err := ledger.Content(ctx)
	if err != nil {
		return err
	}
	was, marked, err := ledger.Target(ctx)
	if err != nil && !c.forget {
		return err
	}
	if marked && was.Equal(want) && !c.forget {
		fmt.Fprintf(c.out, "nothing to do: the ledger of %s is about %s\n", id, want)
		return nil
	}
	before := "no target"
	if marked {
		before = was.String()
	}
	fmt.Fprintf(c.out, "the ledger of %s: %s\n  before  %s\n  after   %s\n", id, content, before, want)
	todo := "its members are kept: the remote is taken to have them"
	if c.forget {
		todo = "all of it is deleted, and everything is sent again"
	}
	if ok, err := c.confirm(todo); err != nil || !ok {
		return err
	}
	if c.forget {
		if err := c.stopped("deleting a ledger"); err != nil {
			return err
		}
		if err := ledger.Forget(ctx); err != nil {
			return err
		}
	}
	if err := ledger.Retarget(ctx, want); err != nil {
		return err
	}
	fmt.Fprintln(c.out, "done; a server that runs takes it with the next reload of its config (SIGHUP)")
	return nil
}

// stopped refuses what must not be done while a server of this data directory delivers.
func (c *stateCommand) stopped(doing string) error {
	dir := dataDir(c.cfg, c.data)
	if delivery.InUse(filepath.Join(dir, queueName(c.target.sandboxName()))) {
		return fmt.Errorf("%s needs the server to be stopped: one uses the data directory %s", doing, dir)
	}
	return nil
}
