package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
)

// instancesCommand is what the commands on whole instances share.
type instancesCommand struct {
	reaching
	confirmation
	store *state.Store
	ids   []string // those of the config
}

func newInstances(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "instances",
		Short: "Show what is kept for each instance; rename or forget one",
		Long: "An instance is known by its id in the config. If that changes, what waits for the old id, its dead letters, its ledger and\n" +
			"its token stay under it until they are renamed or forgotten. Both work while the server runs and while it is stopped, and\n" +
			"can be repeated after an interruption.",
		RunE: chooseCommand, Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(newInstancesList(s), newInstancesRename(s), newInstancesForget(s))
	return cmd
}

func newInstancesList(s streams) *cobra.Command {
	c := &instancesCommand{reaching: reaching{streams: s}}
	cmd := &cobra.Command{
		Use: "list", Short: "Show what is kept for each instance, also for those that are not in the config any more", Args: exactly(0, "flags only"),
		Example: "  landfall instances list --config landfall.yaml\n  landfall instances list --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.with(cmd.Context(), c.list) },
	}
	c.flags(cmd)
	return cmd
}

func newInstancesRename(s streams) *cobra.Command {
	c := &instancesCommand{reaching: reaching{streams: s}, confirmation: confirmation{to: s}}
	cmd := &cobra.Command{
		Use: "rename OLD NEW", Short: "Give what is kept for an old id to the new one", Args: exactly(2, "the old id and the new one"),
		Long: "Gives the events that wait for an instance, its letters, its ledger and its token to the id that it has in the config now.\n" +
			"What the new id has delivered meanwhile stays delivered; of each member the newer event counts. Change the config first.",
		Example: "  landfall instances rename braze-main braze-new --dry-run\n  landfall instances rename braze-main braze-new --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context) error { return c.rename(ctx, args[0], args[1]) })
		},
	}
	c.flags(cmd)
	c.askFlags(cmd)
	return cmd
}

func newInstancesForget(s streams) *cobra.Command {
	c := &instancesCommand{reaching: reaching{streams: s}, confirmation: confirmation{to: s}}
	cmd := &cobra.Command{
		Use: "forget ID", Short: "Delete what is kept for an instance that is not in the config any more", Args: exactly(1, "one id"),
		Long: "Deletes the queue position, the letters, the ledger and the token of an instance. Events that wait for it are not delivered.\n" +
			"Nothing is sent: empty its audiences before, with landfall members purge, if the remote should not keep them.",
		Example: "  landfall instances forget braze-old --dry-run\n  landfall instances forget braze-old --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context) error { return c.forgetAll(ctx, args[0]) })
		},
	}
	c.flags(cmd)
	c.askFlags(cmd)
	return cmd
}

// with reaches the queue and opens the state for f.
func (c *instancesCommand) with(ctx context.Context, f func(context.Context) error) error {
	if err := c.open(ctx); err != nil {
		return err
	}
	defer c.close()
	if c.cfg == nil {
		_, problems := config.Load(c.config, config.Env{})
		return fmt.Errorf("the config is needed to find the ledgers: %w", problems.Err())
	}
	var err error
	if c.store, err = openState(ctx, c.cfg, c.data, c.sandbox); err != nil {
		return err
	}
	defer c.store.Close()
	for _, in := range c.cfg.Instances {
		c.ids = append(c.ids, in.ID)
	}
	return f(ctx)
}

// kept is all that is kept for an instance.
type kept struct {
	delivery.Backlog
	InConfig bool          `json:"inConfig"`
	State    state.Content `json:"state"`
}

func (k kept) empty() bool { return k.Waiting+k.Parked+k.Dead == 0 && k.State.Empty() }

func (k kept) String() string {
	text := fmt.Sprintf("%d events waiting, %d parked, %d dead; %s", k.Waiting, k.Parked, k.Dead, k.State)
	if !k.InConfig {
		text += " (not in the config)"
	}
	return text
}

// all returns what is kept for each instance, sorted by id.
func (c *instancesCommand) all(ctx context.Context) ([]kept, error) {
	remains, err := c.client.Instances(ctx)
	if err != nil {
		return nil, err
	}
	byID := map[string]kept{}
	for _, r := range remains {
		byID[r.Instance] = kept{Backlog: r}
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
	var list []kept
	for id, k := range byID {
		k.InConfig = inConfig(c.cfg, id)
		if k.State, err = c.store.Ledger(id).Content(ctx); err != nil {
			return nil, err
		}
		if k.InConfig || !k.empty() {
			list = append(list, k)
		}
	}
	slices.SortFunc(list, func(a, b kept) int { return strings.Compare(a.Instance, b.Instance) })
	return list, nil
}

func (c *instancesCommand) list(ctx context.Context) error {
	list, err := c.all(ctx)
	if err != nil {
		return err
	}
	for _, k := range list {
		if c.json {
			c.print(k)
			continue
		}
		fmt.Fprintf(c.out, "%s: %s\n", k.Instance, k)
	}
	return nil
}

// leftOf returns what is kept for an instance that is not in the config any more.
func (c *instancesCommand) leftOf(ctx context.Context, id string) (kept, error) {
	if inConfig(c.cfg, id) {
		return kept{}, fmt.Errorf("the instance %q is still in %s: rename or delete it there first", id, c.config)
	}
	list, err := c.all(ctx)
	if err != nil {
		return kept{}, err
	}
	var known []string
	for _, k := range list {
		if k.Instance == id {
			return k, nil
		}
		known = append(known, k.Instance)
	}
	if slices.Contains(known, id) {
		return kept{}, nil
	}
	return kept{Backlog: delivery.Backlog{Instance: id}}, nil
}

func (c *instancesCommand) rename(ctx context.Context, from, to string) error {
	if !inConfig(c.cfg, to) {
		return misuse("there is no instance %q in %s%s: give it that id there first", to, c.config, fault.DidYouMean(to, c.ids))
	}
	k, err := c.leftOf(ctx, from)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s: %s\n", from, k)
	if ok, err := c.confirm(fmt.Sprintf("all of it is given to %s", to)); err != nil || !ok {
		return err
	}
	// The ledger first: events that wait are held against it when they are delivered.
	if err := c.store.Ledger(from).Rename(ctx, to); err != nil {
		return err
	}
	if err := c.renameToken(ctx, from, to); err != nil {
		return err
	}
	moved, err := c.client.RenameInstance(ctx, from, to)
	if err != nil {
		return fmt.Errorf("the ledger is renamed, the queue is not yet: %w: call it again to go on", err)
	}
	return c.done(to, moved)
}

// renameToken gives the token of an instance to another one, unless that has one. Without a key to open it, it stays.
func (c *instancesCommand) renameToken(ctx context.Context, from, to string) error {
	content, err := c.store.Ledger(from).Content(ctx)
	if err != nil || !content.Token {
		return err
	}
	if c.cfg.StateKey == "" {
		c.warn(fmt.Sprintf("the token of %s cannot be opened without state.key: log in again with landfall auth login --instance %s", from, to))
		return nil
	}
	keeper, err := openKeeper(c.cfg, c.store)
	if err != nil {
		return err
	}
	token, err := keeper.Token(ctx, from)
	if err != nil {
		return err
	}
	there, err := keeper.Token(ctx, to)
	if err != nil {
		return err
	}
	if there.Access == "" {
		if err := keeper.Put(ctx, to, token); err != nil {
			return err
		}
	}
	return keeper.Put(ctx, from, oauth.Token{})
}

func (c *instancesCommand) forgetAll(ctx context.Context, id string) error {
	k, err := c.leftOf(ctx, id)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s: %s\n", id, k)
	if ok, err := c.confirm("all of it is deleted, and nothing of it is delivered"); err != nil || !ok {
		return err
	}
	if err := c.store.Ledger(id).Forget(ctx); err != nil {
		return err
	}
	moved, err := c.client.ForgetInstance(ctx, id)
	if err != nil {
		return fmt.Errorf("the ledger is deleted, the queue's part is not yet: %w: call it again to go on", err)
	}
	return c.done("", moved)
}

func (c *instancesCommand) done(to string, moved delivery.MoveResult) error {
	switch {
	case c.json:
		c.print(moved)
	case to == "":
		fmt.Fprintf(c.out, "deleted; %d letters among it\n", moved.Letters)
	default:
		fmt.Fprintf(c.out, "done: %s goes on where it ended; %d letters moved, and can be replayed (landfall dead replay --instance %s)\n", to, moved.Letters, to)
	}
	return nil
}

// warnLedgers tells of ledgers of instances that a config does not have.
func warnLedgers(ctx context.Context, cfg *config.Config, store *state.Store, warn func(string)) error {
	members, err := membersLeft(ctx, cfg, store)
	for id, n := range members {
		warn(fmt.Sprintf("%q is not in the config any more, and its ledger has %d members: %s", id, n, leftHint(id)))
	}
	return err
}
