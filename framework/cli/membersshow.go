package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/state"
)

func newMembersShow(s streams) *cobra.Command {
	cmd, _ := newReadCommand(s, &cobra.Command{
		Use: "show USER", Short: "Show one user in all audiences, with the history", Args: exactArgs(1, "one user"),
		Long: "Shows what the ledger has about a user in every audience. Name the user by an external id, a device id, or an identity in\n" +
			"the form of the ledger, such as user_alias:email:a@example.com.",
		Example: "  landfall members show u_1042\n  landfall members show user_alias:email:a@example.com --json",
	}, func(ctx context.Context, k *audienceCommand, args []string) error { return k.showUser(ctx, args[0]) })
	return cmd
}

type standingJSON struct {
	Audience  string          `json:"audience"`
	Name      string          `json:"name"`
	Identity  string          `json:"identity"`
	Known     bool            `json:"known"`
	Member    bool            `json:"member"`
	Doubt     bool            `json:"doubt"`
	At        *string         `json:"at"`
	Delivered *string         `json:"delivered"`
	Confirmed *string         `json:"confirmed"`
	History   []happeningJSON `json:"history"`
}

type happeningJSON struct {
	Decided *string `json:"decided"`
	At      *string `json:"at"`
	Member  bool    `json:"member"`
	Outcome string  `json:"outcome"`
	Reason  string  `json:"reason"`
}

func (k *audienceCommand) showUser(ctx context.Context, user string) error {
	list, err := k.newSyncer().Memberships(ctx, user)
	if err != nil {
		return err
	}
	for _, found := range list {
		if k.json {
			k.printJSON(standingOf(found.Audience, found.Membership, found.History))
		} else {
			k.printStanding(found.Audience, found.Membership, found.History)
		}
	}
	if len(list) == 0 {
		return fmt.Errorf("the ledger of %s does not know %s: no event of this user has reached an audience; landfall explain shows why", k.chosen.Plan.ID(), user)
	}
	return nil
}

func standingOf(a destination.Audience, s state.Membership, history []state.HistoryEntry) standingJSON {
	shown := standingJSON{a.ID, a.Name, s.Identity, s.Known, s.Member, s.Uncertain, jsonTime(s.At), jsonTime(s.Delivered), jsonTime(s.Confirmed), []happeningJSON{}}
	for _, h := range history {
		shown.History = append(shown.History, happeningJSON{jsonTime(h.Decided), jsonTime(h.At), h.Member, h.Outcome, h.Reason})
	}
	return shown
}

func (k *audienceCommand) printStanding(a destination.Audience, s state.Membership, history []state.HistoryEntry) {
	where := map[bool]string{true: "in", false: "out"}[s.Member]
	if !s.Known {
		where = "never delivered"
	}
	fmt.Fprintf(k.out, "%s (%s)  %s: %s\n", a.Name, a.ID, s.Identity, where)
	if s.Uncertain {
		fmt.Fprintln(k.out, "  uncertain: the remote may have another state; the next event is sent in any case, or run landfall members resync")
	}
	for _, h := range history {
		fmt.Fprintf(k.out, "  %s  %-9s %s of %s", h.Decided.Format(time.DateTime), h.Outcome, changeName(h.Member), h.At.Format(time.RFC3339))
		if h.Reason != "" {
			fmt.Fprintf(k.out, "  %s", h.Reason)
		}
		fmt.Fprintln(k.out)
	}
	if !s.Delivered.IsZero() {
		fmt.Fprintf(k.out, "  %s  delivered %s of %s\n", s.Delivered.Format(time.DateTime), changeName(s.Member), s.At.Format(time.RFC3339))
	}
	if !s.Confirmed.IsZero() {
		fmt.Fprintf(k.out, "  %s  unchanged\n", s.Confirmed.Format(time.DateTime))
	}
}

func changeName(member bool) string {
	if member {
		return "entry"
	}
	return "exit"
}
