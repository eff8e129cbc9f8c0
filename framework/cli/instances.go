package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server"
	"github.com/landfall-dev/landfall/framework/state"
)

// instancesCommand implements landfall instances.
type instancesCommand struct {
	queueClient
	confirmation
	store *state.Store
	ids   []string // the list in the config
}

func newInstances(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "instances",
		Short: "Show the data of each instance; rename or delete it",
		Long: "Landfall stores the data of an instance under its id in the config. If the id changes, the waiting events, the dead\n" +
			"letters, the ledger and the token stay under the old id until they are renamed or deleted. Both work with a running and\n" +
			"with a stopped server, and can be repeated after an interruption.",
		RunE: chooseCommand, Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(newInstancesList(s), newInstancesRename(s), newInstancesForget(s))
	return cmd
}

func newInstancesList(s streams) *cobra.Command {
	c := &instancesCommand{queueClient: queueClient{streams: s}}
	cmd := &cobra.Command{
		Use: "list", Short: "Show the data of each instance, including instances that are no longer in the config", Args: exactArgs(0, "flags only"),
		Example: "  landfall instances list --config landfall.yaml\n  landfall instances list --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.withState(cmd.Context(), c.listInstances) },
	}
	c.addFlags(cmd)
	return cmd
}

func newInstancesRename(s streams) *cobra.Command {
	c := &instancesCommand{queueClient: queueClient{streams: s}, confirmation: confirmation{to: s}}
	cmd := &cobra.Command{
		Use: "rename OLD NEW", Short: "Move the data of an instance to its new id", Args: exactArgs(2, "the old id and the new one"),
		Long: "Moves the waiting events, the dead letters, the ledger and the token of an instance to the id that the config has now.\n" +
			"Change the config first. Events that the new id has delivered already stay delivered; for each member, the newer event\n" +
			"counts.",
		Example: "  landfall instances rename braze-main braze-new --dry-run\n  landfall instances rename braze-main braze-new --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withState(cmd.Context(), func(ctx context.Context) error { return c.renameInstance(ctx, args[0], args[1]) })
		},
	}
	c.addFlags(cmd)
	c.addConfirmFlags(cmd)
	return cmd
}

func newInstancesForget(s streams) *cobra.Command {
	c := &instancesCommand{queueClient: queueClient{streams: s}, confirmation: confirmation{to: s}}
	cmd := &cobra.Command{
		Use: "forget ID", Short: "Delete the data of an instance that is no longer in the config", Args: exactArgs(1, "one id"),
		Long: "Deletes the queue position, the dead letters, the ledger and the token of an instance. Its waiting events are not\n" +
			"delivered. Nothing is sent to the remote: to empty the audiences there, run landfall members purge first.",
		Example: "  landfall instances forget braze-old --dry-run\n  landfall instances forget braze-old --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withState(cmd.Context(), func(ctx context.Context) error { return c.forgetInstance(ctx, args[0]) })
		},
	}
	c.addFlags(cmd)
	c.addConfirmFlags(cmd)
	return cmd
}

// withState connects to the queue, opens the state and calls f.
func (c *instancesCommand) withState(ctx context.Context, f func(context.Context) error) error {
	if err := c.connect(ctx); err != nil {
		return err
	}
	defer c.close()
	if c.cfg == nil {
		return fmt.Errorf("the config is needed to find the ledgers, but cannot be used: %w", c.unusable)
	}
	var err error
	if c.store, err = instances.OpenExistingState(ctx, c.cfg, c.data, c.sandbox); err != nil {
		return err
	}
	defer c.store.Close()
	for _, in := range c.cfg.Instances {
		c.ids = append(c.ids, in.ID)
	}
	return f(ctx)
}

// instanceData describes the data of an instance.
type instanceData struct {
	delivery.Backlog
	InConfig bool          `json:"inConfig"`
	State    state.Content `json:"state"`
}

func (k instanceData) isEmpty() bool { return k.Waiting+k.Parked+k.Dead == 0 && k.State.Empty() }

func (k instanceData) String() string {
	text := fmt.Sprintf("%s waiting, %d parked, %d dead; %s", fault.Count(k.Waiting, "event"), k.Parked, k.Dead, k.State)
	if !k.InConfig {
		text += " (no longer in the config)"
	}
	return text
}

// readAll returns the data of each instance that is in the config or for which something is stored, sorted by id.
func (c *instancesCommand) readAll(ctx context.Context) ([]instanceData, error) {
	remains, err := c.client.Instances(ctx)
	if err != nil {
		return nil, err
	}
	byID := map[string]instanceData{}
	for _, r := range remains {
		byID[r.Instance] = instanceData{Backlog: r}
	}
	ids, err := c.store.Instances(ctx)
	if err != nil {
		return nil, err
	}
	for _, id := range append(ids, c.ids...) {
		k := byID[id]
		k.Instance = id
		byID[id] = k
	}
	var list []instanceData
	for id, k := range byID {
		_, k.InConfig = c.cfg.FindInstance(id)
		if k.State, err = c.store.Ledger(id).Content(ctx); err != nil {
			return nil, err
		}
		list = append(list, k)
	}
	slices.SortFunc(list, func(a, b instanceData) int { return strings.Compare(a.Instance, b.Instance) })
	return list, nil
}

func (c *instancesCommand) listInstances(ctx context.Context) error {
	list, err := c.readAll(ctx)
	if err != nil {
		return err
	}
	for _, k := range list {
		switch {
		case !k.InConfig && k.isEmpty():
		case c.json:
			c.printJSON(k)
		default:
			fmt.Fprintf(c.out, "%s: %s\n", k.Instance, k)
		}
	}
	return nil
}

// readRemoved returns the data of an instance that is no longer in the config. If nothing is stored for it, that is an error if something is
// stored for others, since the id may be misspelt. Otherwise a command that is repeated has nothing left to do.
func (c *instancesCommand) readRemoved(ctx context.Context, id string) (instanceData, error) {
	if _, ok := c.cfg.FindInstance(id); ok {
		return instanceData{}, fmt.Errorf("the instance %q is still in %s: rename or delete it there first", id, c.config)
	}
	list, err := c.readAll(ctx)
	if err != nil {
		return instanceData{}, err
	}
	var others []string
	for _, k := range list {
		if k.Instance == id {
			return k, nil
		}
		if !k.InConfig && !k.isEmpty() {
			others = append(others, k.Instance)
		}
	}
	if len(others) > 0 {
		return instanceData{}, fmt.Errorf("nothing is stored for an instance %q%s: of the instances that are no longer in the config, there is data of %s", id, fault.DidYouMean(id, others), strings.Join(others, ", "))
	}
	return instanceData{Backlog: delivery.Backlog{Instance: id}}, nil
}

func (c *instancesCommand) renameInstance(ctx context.Context, from, to string) error {
	if _, ok := c.cfg.FindInstance(to); !ok {
		return usageErrorf("there is no instance %q in %s%s: change the id there first", to, c.config, fault.DidYouMean(to, c.ids))
	}
	k, err := c.readRemoved(ctx, from)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s: %s\n", from, k)
	if ok, err := c.confirm(fmt.Sprintf("all of this data moves to %s", to)); err != nil || !ok {
		return err
	}
	// The ledger first: waiting events are compared with it when they are delivered.
	if err := instances.MoveState(ctx, c.cfg, c.store, from, to, c.warn); err != nil {
		return err
	}
	moved, err := c.client.RenameInstance(ctx, from, to)
	if err != nil {
		return fmt.Errorf("the ledger was renamed, but the queue was not: %w: run the command again to finish", err)
	}
	if (moved == delivery.MoveResult{}) && k.isEmpty() && !c.json {
		fmt.Fprintf(c.out, "nothing is stored for %s, so nothing has moved\n", from)
		return nil
	}
	return c.reportMove(to, moved)
}

func (c *instancesCommand) forgetInstance(ctx context.Context, id string) error {
	k, err := c.readRemoved(ctx, id)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s: %s\n", id, k)
	if ok, err := c.confirm("all of this data is deleted, and the waiting events are not delivered"); err != nil || !ok {
		return err
	}
	if err := c.store.Ledger(id).Forget(ctx); err != nil {
		return err
	}
	moved, err := c.client.ForgetInstance(ctx, id)
	if err != nil {
		return fmt.Errorf("the ledger was deleted, but the queue's data was not: %w: run the command again to finish", err)
	}
	return c.reportMove("", moved)
}

// reportMove prints the result of a rename, or of a deletion if to is "".
func (c *instancesCommand) reportMove(to string, moved delivery.MoveResult) error {
	switch {
	case c.json:
		c.printJSON(moved)
	case to == "":
		fmt.Fprintf(c.out, "deleted, including %s\n", fault.Count(moved.DeadLetters, "dead letter"))
	default:
		fmt.Fprintf(c.out, "done: %s continues where the old id stopped; %s moved (to replay: landfall dead replay --instance %s)\n", to, fault.Count(moved.DeadLetters, "dead letter"), to)
	}
	return nil
}

// warnLedgers warns of ledgers that have members, but whose instances are not in the config.
func warnLedgers(ctx context.Context, cfg *config.Config, store *state.Store, warn func(string)) error {
	members, err := server.RemovedMembers(ctx, cfg, store)
	for id, n := range members {
		warn(fmt.Sprintf("%q is no longer in the config, but its ledger has %s: %s", id, fault.Count(n, "member"), server.RemovedHint(id)))
	}
	return err
}
