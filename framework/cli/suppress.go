package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/event/identifier"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/framework/state"
)

// suppressCommand implements landfall suppress.
type suppressCommand struct {
	stateCommand
	file        string
	identifiers []string
}

func newSuppress(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "suppress",
		Short: "Refuse the events of users until that is lifted",
		Long: "The events of a suppressed user are refused when they arrive, and skipped if they are stored, replayed, or in a file of\n" +
			"landfall run; sync and resync send no entries of the user. Events of type delete and exits are accepted. The list holds\n" +
			"hashes made with state.key instead of identifiers, so it tells only whether a given user is in it. All servers use a\n" +
			"change within a second.",
		RunE: chooseCommand, Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(newSuppressAdd(s), newSuppressRemove(s), newSuppressList(s))
	return cmd
}

// newSuppressCommand completes a command that works on the identifiers in its arguments or a file.
func newSuppressCommand(s streams, cmd *cobra.Command, run func(*suppressCommand, context.Context) error) (*cobra.Command, *suppressCommand) {
	c := &suppressCommand{stateCommand: stateCommand{streams: s, confirmation: confirmation{to: s}}}
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if c.identifiers, err = readIdentifiers(s, args, c.file); err != nil {
			return err
		}
		return c.withState(cmd.Context(), func(ctx context.Context) error { return run(c, ctx) })
	}
	c.addFlags(cmd)
	cmd.Flags().StringVar(&c.file, "file", "", "a `FILE` with one user per line, further identifiers of the user after commas; - for standard input")
	cmd.Flags().BoolVar(&c.json, "json", false, "print JSON, one object per line")
	return cmd, c
}

func newSuppressAdd(s streams) *cobra.Command {
	cmd, c := newSuppressCommand(s, &cobra.Command{
		Use: "add [IDENTIFIER]...", Short: "Suppress users by userId, anonymousId, e-mail address or external id",
		Example: "  landfall suppress add u1 ann@example.com\n  landfall suppress add --file users.txt --config landfall.yaml",
	}, (*suppressCommand).addUsers)
	c.creates = true // the list may come from another system, before the first server
	return cmd
}

func newSuppressRemove(s streams) *cobra.Command {
	cmd, _ := newSuppressCommand(s, &cobra.Command{
		Use: "remove [IDENTIFIER]...", Short: "Accept the events of users again",
		Example: "  landfall suppress remove u1",
	}, (*suppressCommand).removeUsers)
	return cmd
}

func newSuppressList(s streams) *cobra.Command {
	cmd, _ := newSuppressCommand(s, &cobra.Command{
		Use: "list [IDENTIFIER]...", Short: "Show the hashes of the suppressed users, or whether users are suppressed",
		Long: "Shows the hash of each suppressed identifier and since when it is suppressed. With identifiers, it shows whether each of them\n" +
			"is suppressed, and the exit code is 1 if one is not.",
		Example: "  landfall suppress list\n  landfall suppress list u1 --json",
	}, (*suppressCommand).listUsers)
	return cmd
}

// readIdentifiers returns the identifiers in arguments and in a file, which is "" for none.
func readIdentifiers(s streams, args []string, file string) ([]string, error) {
	var list []string
	for _, text := range args {
		if text = strings.TrimSpace(text); text != "" {
			list = append(list, text)
		}
	}
	if file == "" {
		return list, nil
	}
	lines, err := readIdentifierLines(file, s.in)
	return append(list, slices.Concat(lines...)...), err
}

// openKey returns the key for hashes. The command must name identifiers.
func (c *suppressCommand) openKey() (identifier.Key, error) {
	if len(c.identifiers) == 0 {
		return identifier.Key{}, usageErrorf("say which users: identifiers, or a file of them with --file")
	}
	return instances.IdentifierKey(c.cfg)
}

func (c *suppressCommand) addUsers(ctx context.Context) error {
	key, err := c.openKey()
	if err != nil {
		return err
	}
	list, now := make([]state.Suppressed, len(c.identifiers)), time.Now()
	for i, id := range c.identifiers {
		list[i] = state.Suppressed{Hash: key.Hash(id), Key: key.ID(), At: now}
	}
	n, err := c.store.AddSuppressed(ctx, list)
	return c.reportChange(ctx, history.ActionSuppress, "suppressed", n, err)
}

func (c *suppressCommand) removeUsers(ctx context.Context) error {
	key, err := c.openKey()
	if err != nil {
		return err
	}
	hashes := make([]string, len(c.identifiers))
	for i, id := range c.identifiers {
		hashes[i] = key.Hash(id)
	}
	n, err := c.store.RemoveSuppressed(ctx, hashes)
	return c.reportChange(ctx, history.ActionLift, "removed", n, err)
}

// reportChange writes a change of n identifiers to the history, and prints it.
func (c *suppressCommand) reportChange(ctx context.Context, action, done string, n int, err error) error {
	if err != nil {
		return err
	}
	c.writeAction(ctx, c.store, history.Action{
		At: time.Now(), Name: action, Who: history.CommandActor("landfall"), Outcome: "ok", Attributes: map[string]string{"count": fmt.Sprint(n)},
	})
	if c.json {
		return json.NewEncoder(c.out).Encode(map[string]int{done: n, "unchanged": len(c.identifiers) - n})
	}
	fmt.Fprintf(c.out, "%s %s, %d unchanged; running servers use this within a second\n", fault.Count(n, "identifier"), done, len(c.identifiers)-n)
	return nil
}

// suppressedLine is one line of landfall suppress list --json.
type suppressedLine struct {
	Hash       string     `json:"hash"`
	Identifier string     `json:"identifier,omitempty"` // as it was given
	Suppressed bool       `json:"suppressed"`
	Since      *time.Time `json:"since,omitempty"`
	OtherKey   bool       `json:"otherKey,omitempty"` // the hash was made with another state.key, so the user is not recognized
}

func (c *suppressCommand) listUsers(ctx context.Context) error {
	list, err := c.store.Suppressed(ctx)
	if err != nil {
		return err
	}
	if len(c.identifiers) > 0 {
		return c.showUsers(list)
	}
	id := ""
	if key, err := instances.IdentifierKey(c.cfg); err == nil {
		id = key.ID()
	}
	for i := range list {
		c.printLine(suppressedLine{Hash: list[i].Hash, Suppressed: true, Since: &list[i].At, OtherKey: list[i].Key != id})
	}
	if len(list) == 0 && !c.json {
		fmt.Fprintln(c.out, "no user is suppressed")
	}
	return nil
}

// showUsers prints whether each of the identifiers is suppressed.
func (c *suppressCommand) showUsers(list []state.Suppressed) error {
	key, err := c.openKey()
	if err != nil {
		return err
	}
	since := map[string]*time.Time{}
	for i := range list {
		since[list[i].Hash] = &list[i].At
	}
	missing := false
	for _, id := range c.identifiers {
		at := since[key.Hash(id)]
		c.printLine(suppressedLine{Hash: key.Hash(id), Identifier: id, Suppressed: at != nil, Since: at})
		missing = missing || at == nil
	}
	if missing {
		return reportedError{}
	}
	return nil
}

func (c *suppressCommand) printLine(l suppressedLine) {
	switch name := l.Identifier; {
	case c.json:
		_ = json.NewEncoder(c.out).Encode(l)
	case !l.Suppressed:
		fmt.Fprintf(c.out, "%s is not suppressed\n", name)
	default:
		if name == "" {
			name = l.Hash
		}
		note := ""
		if l.OtherKey {
			note = " (with another state.key: not recognized)"
		}
		fmt.Fprintf(c.out, "%s is suppressed since %s%s\n", name, l.Since.Format(time.RFC3339), note)
	}
}
