package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/erasure"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// eraseCommand implements landfall erase.
type eraseCommand struct {
	stateCommand
	users    []string // identifiers of one user
	file     string
	suppress bool
	pending  bool
}

func newErase(s streams) *cobra.Command {
	c := &eraseCommand{stateCommand: stateCommand{streams: s, confirmation: confirmation{to: s}}}
	cmd := &cobra.Command{
		Use: "erase --user ID", Short: "Erase users everywhere, and show the receipts", Args: exactArgs(0, "flags, or the command list or show"),
		Long: "Takes users out of every audience, deletes them at the destinations that can do that, and removes their data from the\n" +
			"log, dead letters, parked events, ledgers and history, up to the time of the request. The command stores the request in\n" +
			"the state. A running server begins within seconds, otherwise the next landfall serve does. What fails is tried again.\n" +
			"Backups are not changed. Name a user by userId, anonymousId, e-mail address, external id, device id or alias: events\n" +
			"that have one of the given identifiers are erased, so give all that belong to the user and to no other user.",
		Example: "  landfall erase --user u_1042 --user ann@example.com\n  landfall erase --file requests.csv --suppress --yes\n  landfall erase list --pending\n" +
			"  landfall erase show 20261129-k3v9x2m4qa --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			users, err := c.readUsers()
			if err != nil {
				return err
			}
			return c.withState(cmd.Context(), func(ctx context.Context) error { return c.requestErasures(ctx, users) })
		},
	}
	c.addFlags(cmd)
	c.addConfirmFlags(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&c.users, "user", nil, "an `IDENTIFIER` of the user; repeat it for further identifiers of the same user")
	f.StringVar(&c.file, "file", "", "a `FILE` with one user per line, further identifiers of the user after commas; - for standard input")
	f.BoolVar(&c.suppress, "suppress", false, "also refuse the users' events from now on, as landfall suppress add does")
	f.BoolVar(&c.json, "json", false, "print JSON, one object per line")
	cmd.AddCommand(newEraseList(s), newEraseShow(s))
	return cmd
}

// newReceiptCommand completes a command that shows receipts.
func newReceiptCommand(s streams, cmd *cobra.Command, run func(c *eraseCommand, ctx context.Context, args []string) error) (*cobra.Command, *eraseCommand) {
	c := &eraseCommand{stateCommand: stateCommand{streams: s, confirmation: confirmation{to: s}}}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withState(cmd.Context(), func(ctx context.Context) error { return run(c, ctx, args) })
	}
	c.addFlags(cmd)
	cmd.Flags().BoolVar(&c.json, "json", false, "print JSON, one object per line")
	return cmd, c
}

func newEraseList(s streams) *cobra.Command {
	cmd, c := newReceiptCommand(s, &cobra.Command{
		Use: "list [IDENTIFIER]...", Short: "Show erasures and their state, the newest first", Args: cobra.ArbitraryArgs,
		Long:    "Shows the erasures that are not done, and the receipts of the others. With identifiers, only those of users with one of them.",
		Example: "  landfall erase list --pending\n  landfall erase list ann@example.com --json",
	}, (*eraseCommand).listReceipts)
	cmd.Flags().BoolVar(&c.pending, "pending", false, "only those that are not done")
	return cmd
}

func newEraseShow(s streams) *cobra.Command {
	cmd, _ := newReceiptCommand(s, &cobra.Command{
		Use: "show ID", Short: "Show what an erasure has removed, and what is left", Args: exactArgs(1, "the id of one erasure"),
		Example: "  landfall erase show 20261129-k3v9x2m4qa",
	}, (*eraseCommand).showReceipt)
	return cmd
}

func (c *eraseCommand) desk() erasure.Desk {
	return erasure.Desk{Store: c.store, Config: func() *config.Config { return c.cfg }}
}

// readUsers returns the users of the flags, at least one.
func (c *eraseCommand) readUsers() ([]erasure.User, error) {
	var list []erasure.User
	if len(c.users) > 0 {
		list = append(list, erasure.User{Identifiers: c.users})
	}
	if c.file != "" {
		lines, err := readIdentifierLines(c.file, c.in)
		if err != nil {
			return nil, err
		}
		for _, identifiers := range lines {
			list = append(list, erasure.User{Identifiers: identifiers})
		}
	}
	if len(list) == 0 {
		return nil, usageErrorf("say which users: --user ID, or --file with one user per line")
	}
	return list, nil
}

func (c *eraseCommand) requestErasures(ctx context.Context, users []erasure.User) error {
	if err := orderError(c.desk().Check(users)); err != nil {
		return err
	}
	todo := fmt.Sprintf("%s %s erased from audiences, destinations, the log, ledgers, dead letters and history, which cannot be undone", fault.Count(len(users), "user"), fault.Plural(len(users), "is", "are"))
	if ok, err := c.confirm(todo); err != nil || !ok {
		return err
	}
	who := history.CommandActor("landfall")
	for part := range slices.Chunk(users, erasure.MaxUsers) {
		list, err := c.desk().Request(ctx, erasure.Order{Users: part, Suppress: c.suppress, By: who})
		if err := orderError(err); err != nil {
			return err
		}
		c.writeAction(ctx, c.store, history.Action{At: time.Now(), Name: history.ActionErase, Who: who, Outcome: "ok", Attributes: map[string]string{"count": fmt.Sprint(len(part))}})
		for i := range list {
			c.printRequested(&list[i])
		}
	}
	return nil
}

// orderError returns an error of an order, as one of the command line if the order is wrong.
func orderError(err error) error {
	var wrong *erasure.OrderError
	if errors.As(err, &wrong) {
		return usageError{err}
	}
	return err
}

func (c *eraseCommand) printRequested(r *erasure.Receipt) {
	if c.json {
		_ = json.NewEncoder(c.out).Encode(r)
		return
	}
	fmt.Fprintf(c.out, "erasure %s is requested: landfall serve carries it out, and landfall erase show %s shows the result\n", r.ID, r.ID)
}

func (c *eraseCommand) listReceipts(ctx context.Context, identifiers []string) error {
	list, err := c.desk().List(ctx, identifiers...)
	if err != nil {
		return err
	}
	if c.pending {
		list = slices.DeleteFunc(list, func(r erasure.Receipt) bool { return r.DoneAt != nil })
	}
	for i := range list {
		r := &list[i]
		if c.json {
			_ = json.NewEncoder(c.out).Encode(r)
			continue
		}
		fmt.Fprintf(c.out, "%s  %-7s  requested %s by %s\n", r.ID, r.State(), r.RequestedAt.Format(time.RFC3339), r.RequestedBy)
	}
	if !c.json {
		fmt.Fprintln(c.out, erasure.Summary(list))
	}
	return nil
}

func (c *eraseCommand) showReceipt(ctx context.Context, args []string) error {
	r, err := c.desk().Find(ctx, args[0])
	if err != nil {
		return err
	}
	if c.json {
		return json.NewEncoder(c.out).Encode(r)
	}
	fmt.Fprintf(c.out, "erasure    %s\nstate      %s\nrequested  %s by %s\n", r.ID, r.State(), r.RequestedAt.Format(time.RFC3339), r.RequestedBy)
	if r.DoneAt != nil {
		fmt.Fprintf(c.out, "done       %s\n", r.DoneAt.Format(time.RFC3339))
	} else if r.NextAttempt != nil {
		fmt.Fprintf(c.out, "attempts   %d, the next one at %s\n", r.Attempts, r.NextAttempt.Format(time.RFC3339))
	}
	for _, hash := range r.Identifiers {
		fmt.Fprintf(c.out, "user       HMAC %s\n", hash)
	}
	for _, s := range r.Steps {
		c.printStep(&s)
	}
	return nil
}

// printStep prints a step with its counts, or why it is not done.
func (c *eraseCommand) printStep(s *erasure.Step) {
	name := s.Name
	if s.Instance != "" {
		name += " of " + s.Instance
	}
	var counts []string
	for _, key := range slices.Sorted(maps.Keys(s.Counts)) {
		counts = append(counts, fmt.Sprintf("%d %s", s.Counts[key], key))
	}
	switch {
	case s.Done:
		fmt.Fprintf(c.out, "  %-28s done %s  %s\n", name, s.At.Format(time.RFC3339), strings.Join(counts, ", "))
	case s.Error != "":
		fmt.Fprintf(c.out, "  %-28s not done: %s\n", name, s.Error)
	default:
		fmt.Fprintf(c.out, "  %-28s waits\n", name)
	}
}
