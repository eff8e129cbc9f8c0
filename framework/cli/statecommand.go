package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/state"
)

// stateCommand implements landfall state.
type stateCommand struct {
	streams
	confirmation
	target       target
	config, data string
	json         bool
	forget       bool
	creates      bool // the command may create a state
	cfg          *config.Config
	store        *state.Store
}

func newState(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Show the targets of the ledgers, accept another remote, and change the schema",
		Long: "A ledger records its target: the destination and the settings that identify the remote, or the sandbox. Landfall does not\n" +
			"deliver with a ledger of another target, since its members were never sent to the new remote.",
		RunE: chooseCommand, Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(newStateShow(s), newStateRetarget(s), newStateUpgrade(s), newStateDowngrade(s))
	return cmd
}

func (c *stateCommand) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.config, "config", configFile, "the config `FILE`")
	f.StringVar(&c.data, "data", "", dataUsage)
	c.target.addSandboxFlags(cmd, "use the ledgers of")
}

func newStateShow(s streams) *cobra.Command {
	c := &stateCommand{streams: s, confirmation: confirmation{to: s}}
	cmd := &cobra.Command{
		Use: "show", Short: "Show the ledgers, with their targets and sizes", Args: exactArgs(0, "flags only"),
		Example: "  landfall state show --config landfall.yaml\n  landfall state show --sandbox --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.withState(cmd.Context(), c.showLedgers) },
	}
	c.addFlags(cmd)
	cmd.Flags().BoolVar(&c.json, "json", false, "print JSON, one object per line")
	return cmd
}

func newStateRetarget(s streams) *cobra.Command {
	c := &stateCommand{streams: s, confirmation: confirmation{to: s}}
	cmd := &cobra.Command{
		Use: "retarget INSTANCE", Short: "Accept the remote in the config as the new target of a ledger", Args: exactArgs(1, "the id of one instance"),
		Long: "Sets the target of an instance's ledger to the remote in the config and keeps the members. Use it if the remote has these\n" +
			"members, for example if an endpoint was renamed. With --forget it deletes the ledger, its values and its token, and\n" +
			"everything is sent again. Use that if the remote is new.",
		Example: "  landfall state retarget braze-main --dry-run\n  landfall state retarget braze-main --yes\n  landfall state retarget braze-main --forget",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withState(cmd.Context(), func(ctx context.Context) error { return c.retargetLedger(ctx, args[0]) })
		},
	}
	c.addFlags(cmd)
	c.addConfirmFlags(cmd)
	cmd.Flags().BoolVar(&c.forget, "forget", false, "delete the ledger and start with an empty one")
	return cmd
}

func newStateUpgrade(s streams) *cobra.Command {
	c := &stateCommand{streams: s, confirmation: confirmation{to: s}}
	cmd := &cobra.Command{
		Use: "upgrade", Short: "Use the newest schema in PostgreSQL, when no server of an earlier version runs", Args: exactArgs(0, "flags only"),
		Long: "Servers of different versions can share a PostgreSQL database while they are upgraded one by one. After the last one is\n" +
			"upgraded, run this once: requests in flight and their results are then recorded in one row each, and the members of\n" +
			"large audiences in sorted files, which takes fewer writes. Servers of earlier versions cannot open the database\n" +
			"afterwards.\n" +
			"A ledger in SQLite needs no upgrade.",
		Example: "  landfall state upgrade --config landfall.yaml --yes",
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.withState(cmd.Context(), c.upgradeState) },
	}
	c.addFlags(cmd)
	c.addConfirmFlags(cmd)
	return cmd
}

func (c *stateCommand) upgradeState(ctx context.Context) error {
	pending, err := c.store.CanUpgrade(ctx)
	if err != nil {
		return err
	}
	if !pending {
		fmt.Fprintln(c.out, "nothing to do: the state has the newest schema")
		return nil
	}
	if ok, err := c.confirm("servers of earlier versions can then no longer open the state: stop them first"); err != nil || !ok {
		return err
	}
	if err := c.store.Upgrade(ctx); err != nil {
		return err
	}
	fmt.Fprintln(c.out, "done; running servers of this version use it at once")
	return nil
}

func newStateDowngrade(s streams) *cobra.Command {
	c := &stateCommand{streams: s, confirmation: confirmation{to: s}}
	cmd := &cobra.Command{
		Use: "downgrade", Short: "Let a program of an earlier version open the ledger, when no server runs", Args: exactArgs(0, "flags only"),
		Long: "The members of large audiences are in sorted files, beside a SQLite database or in a table of a PostgreSQL database.\n" +
			"Programs of versions without these files refuse such a database, and also one with many unmerged writes. This command\n" +
			"moves all members to the tables that they know, at about 60,000 a second. If a server of this version runs afterwards, it\n" +
			"moves large audiences to files again; in PostgreSQL only after landfall state upgrade.",
		Example: "  landfall state downgrade --config landfall.yaml --yes",
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.withState(cmd.Context(), c.downgradeState) },
	}
	c.addFlags(cmd)
	c.addConfirmFlags(cmd)
	return cmd
}

func (c *stateCommand) downgradeState(ctx context.Context) error {
	possible, err := c.store.CanDowngrade(ctx)
	if err != nil {
		return err
	}
	if !possible {
		fmt.Fprintf(c.out, "nothing to do: all members in %s are in the tables that earlier versions know\n", c.location())
		return nil
	}
	if ok, err := c.confirm("members in files and unmerged writes are moved to the tables of the database; stop all servers first"); err != nil || !ok {
		return err
	}
	if err := c.requireStopped("moving members to the tables"); err != nil {
		return err
	}
	if err := c.store.Downgrade(ctx); err != nil {
		return err
	}
	fmt.Fprintln(c.out, "done; a program of an earlier version can open the ledger")
	return nil
}

// location names the open state.
func (c *stateCommand) location() string {
	if !c.store.IsLocal() {
		return "the database"
	}
	return filepath.Join(instances.DataDir(c.cfg, c.data), state.File(c.target.SandboxName()))
}

// withState loads the config, opens its state and calls f.
func (c *stateCommand) withState(ctx context.Context, f func(context.Context) error) error {
	if c.target.Live = !c.target.Sandbox && c.target.SandboxURL == ""; c.target.check() != nil {
		return c.target.check()
	}
	cfg, problems := config.Load(c.config, config.Env{})
	if cfg == nil || len(problems) > 0 {
		return problems.Err()
	}
	var err error
	c.store, err = instances.OpenExistingState(ctx, cfg, c.data, c.target.SandboxName())
	if c.creates && errors.As(err, new(*state.MissingError)) {
		fmt.Fprintf(c.err, "note: %v; it is created now\n", err)
		c.store, err = instances.OpenState(ctx, cfg, c.data, c.target.SandboxName())
	}
	if err != nil {
		return err
	}
	defer c.store.Close()
	c.cfg = cfg
	return f(ctx)
}

func (c *stateCommand) showLedgers(ctx context.Context) error {
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
		fmt.Fprintln(c.out, "there are no ledgers")
	}
	return nil
}

// currentTarget returns the target of an instance in the config.
func (c *stateCommand) currentTarget(id string) (state.Target, error) {
	registry, err := c.catalog().RegistryFor(c.cfg)
	if err != nil {
		return state.Target{}, err
	}
	var ids []string
	for _, in := range c.cfg.Instances {
		if in.ID != id {
			ids = append(ids, in.ID)
			continue
		}
		entry, err := registry.Find(in.Destination)
		if err != nil {
			return state.Target{}, fmt.Errorf("%s: %w", c.config, err)
		}
		return instances.LedgerTarget(&c.target.Target, in, entry.Definition), nil
	}
	return state.Target{}, usageErrorf("there is no instance %q in %s%s", id, c.config, fault.DidYouMean(id, ids))
}

func (c *stateCommand) retargetLedger(ctx context.Context, id string) error {
	want, err := c.currentTarget(id)
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
		fmt.Fprintf(c.out, "nothing to do: the ledger of %s already has the target %s\n", id, want)
		return nil
	}
	before := "no target"
	if marked {
		before = was.String()
	}
	fmt.Fprintf(c.out, "the ledger of %s: %s\n  before  %s\n  after   %s\n", id, content, before, want)
	if ok, err := c.confirmRetarget(); err != nil || !ok {
		return err
	}
	if c.forget {
		if err := ledger.Forget(ctx); err != nil {
			return err
		}
	}
	if err := ledger.Retarget(ctx, want); err != nil {
		return err
	}
	fmt.Fprintln(c.out, "done; a running server uses the new target after the next reload of its config (SIGHUP)")
	return nil
}

// confirmRetarget asks whether the ledger should get its new target, and checks that it may be deleted if the command does that.
func (c *stateCommand) confirmRetarget() (bool, error) {
	if !c.forget {
		return c.confirm("the ledger keeps its members: Landfall assumes that the new remote has them")
	}
	if ok, err := c.confirm("the ledger is deleted, and everything is sent again"); err != nil || !ok {
		return false, err
	}
	return true, c.requireStopped("deleting a ledger")
}

// requireStopped returns an error if a server uses the queue of the target. doing names the operation in the error.
func (c *stateCommand) requireStopped(doing string) error {
	dir := instances.DataDir(c.cfg, c.data)
	if delivery.InUse(filepath.Join(dir, instances.QueueName(c.target.SandboxName()))) {
		return fmt.Errorf("%s requires a stopped server: a server uses the data directory %s", doing, dir)
	}
	return nil
}
