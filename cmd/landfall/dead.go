package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
)

// deadCommand is one of the commands on letters.
type deadCommand struct {
	reaching
	filter       delivery.DeadLetterFilter
	since, until string
	all          bool
	parked       bool
	dead         bool
}

func newDead(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "Show, replay and drop the events that could not be delivered",
		Long: "Dead letters are events that a destination refused for good, or that could not be mapped. Parked events wait behind one\n" +
			"of the same user that could not be delivered in time. Both keep their reason and their last request, and both can be\n" +
			"replayed: they go through the subscriptions and mappings as they are now, in their order.",
		RunE: chooseCommand, Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(newDeadList(s), newDeadShow(s), newDeadReplay(s), newDeadDrop(s))
	return cmd
}

func (c *deadCommand) filterFlags(cmd *cobra.Command) {
	c.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&c.filter.Instance, "instance", "", "those of the instance with this `ID`")
	f.StringVar(&c.filter.Subscription, "subscription", "", "those of the subscription with this `NAME`")
	f.StringVar(&c.filter.Reason, "reason", "", "those whose reason holds this `TEXT`")
	f.StringVar(&c.filter.User, "user", "", "those of the user with this userId or anonymousId `ID`")
	f.StringVar(&c.since, "since", "", "those set aside since this `TIME`: a date, or an age such as 2h")
	f.StringVar(&c.until, "until", "", "those set aside before this `TIME`")
	f.BoolVar(&c.parked, "parked", false, "only parked ones")
	f.BoolVar(&c.dead, "dead", false, "only dead ones")
}

// read completes the filter and reaches the queue.
func (c *deadCommand) read(ctx context.Context) error {
	var err error
	if c.filter.Since, err = readMoment("--since", c.since); err != nil {
		return err
	}
	if c.filter.Until, err = readMoment("--until", c.until); err != nil {
		return err
	}
	c.filter.Parked, c.filter.Dead = c.parked, c.dead
	if err := c.open(ctx); err != nil {
		return err
	}
	return c.checkInstance(ctx)
}

// checkInstance refuses an id that neither the config nor a letter has.
func (c *deadCommand) checkInstance(ctx context.Context) error {
	wrong := c.knownInstance(c.filter.Instance)
	if wrong == nil {
		return nil
	}
	err := c.client.DeadLetters(ctx, delivery.DeadLetterFilter{Instance: c.filter.Instance, Limit: 1}, func(*delivery.DeadLetter) error {
		wrong = nil // what is left of an instance that is gone
		return nil
	})
	return cmp.Or(err, wrong)
}

// knownInstance refuses an id that the server, or without one the config, does not have.
func (c *reaching) knownInstance(id string) error {
	if id == "" || slices.Contains(c.known, id) {
		return nil
	}
	return misuse("there is no instance %q in the config, which has %s", id, strings.Join(c.known, ", "))
}

// readMoment reads an age such as 2h, or a time in any form that events may have. A time without a zone is in UTC.
func readMoment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if age, err := time.ParseDuration(text); err == nil {
		return time.Now().Add(-age), nil
	}
	if t, ok := event.ParseTime(text); ok {
		return t, nil
	}
	return time.Time{}, misuse("%s should be a date such as 2026-01-02T15:04:05Z or an age such as 2h but is %q", flag, text)
}

func newDeadList(s streams) *cobra.Command {
	c := &deadCommand{reaching: reaching{streams: s}}
	cmd := &cobra.Command{
		Use: "list", Short: "List dead letters and parked events", Args: exactly(0, "flags only"),
		Example: "  landfall dead list --instance braze-main --since 24h\n  landfall dead list --parked --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.list(cmd.Context()) },
	}
	c.filterFlags(cmd)
	cmd.Flags().IntVar(&c.filter.Limit, "limit", 0, "at most so `MANY`; 0 is all")
	return cmd
}

func (c *deadCommand) list(ctx context.Context) error {
	if c.filter.Limit < 0 {
		return misuse("--limit should be 0 or more but is %d", c.filter.Limit)
	}
	if err := c.read(ctx); err != nil {
		return err
	}
	defer c.close()
	n := 0
	err := c.client.DeadLetters(ctx, c.filter, func(l *delivery.DeadLetter) error {
		n++
		if c.json {
			c.print(l)
			return nil
		}
		fmt.Fprintf(c.out, "%-24s %-6s %s  %s · %s  %s: %s\n", l.ID, kindOf(l), l.At.Format(time.RFC3339), l.Instance, l.Subscription, l.Key, l.Reason)
		return nil
	})
	if err == nil && n == 0 && !c.json {
		fmt.Fprintln(c.out, "nothing is dead or parked")
	}
	return err
}

func kindOf(l *delivery.DeadLetter) string {
	if l.Parked {
		return "parked"
	}
	return "dead"
}

func newDeadShow(s streams) *cobra.Command {
	c := &deadCommand{reaching: reaching{streams: s}}
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show one letter: its event, reason, attempts and last request", Args: exactly(1, "the id of a letter"),
		Example: "  landfall dead show 1042-3-9af3c1",
		RunE:    func(cmd *cobra.Command, args []string) error { return c.show(cmd.Context(), args[0]) },
	}
	c.flags(cmd)
	return cmd
}

func (c *deadCommand) show(ctx context.Context, id string) error {
	c.filter.ID = id
	if err := c.read(ctx); err != nil {
		return err
	}
	defer c.close()
	found := false
	err := c.client.DeadLetters(ctx, c.filter, func(l *delivery.DeadLetter) error {
		found = true
		if c.json {
			c.print(l)
			return nil
		}
		c.describe(l)
		return nil
	})
	if err == nil && !found {
		return fmt.Errorf("there is no letter %q: landfall dead list shows them", id)
	}
	return err
}

func (c *deadCommand) describe(l *delivery.DeadLetter) {
	fmt.Fprintf(c.out, "%s, %s since %s\n", l.ID, kindOf(l), l.At.Format(time.RFC3339))
	fmt.Fprintf(c.out, "instance      %s\nsubscription  %s\nkey           %s\nreason        %s\nattempts      %d\n", l.Instance, l.Subscription, l.Key, l.Reason, l.Attempts)
	if l.Code != "" || l.Status != 0 {
		fmt.Fprintf(c.out, "verdict       %d %s\n", l.Status, l.Code)
	}
	if r := l.Request; r != nil {
		fmt.Fprintf(c.out, "request       %s %s\n", r.Method, r.URL)
		for _, row := range [][2]string{{"  body", r.Body}, {"  answer", r.Response}, {"  error", r.Error}} {
			if row[1] != "" {
				fmt.Fprintf(c.out, "%-13s %s\n", row[0], row[1])
			}
		}
		if r.Status != 0 {
			fmt.Fprintf(c.out, "  status      %d\n", r.Status)
		}
	}
	fmt.Fprintf(c.out, "event         %s\n", l.Event)
}

func newDeadReplay(s streams) *cobra.Command {
	c := &deadCommand{reaching: reaching{streams: s}}
	cmd := &cobra.Command{
		Use: "replay [ID]", Short: "Deliver letters once more, in their order", Args: atMostOne("one id of a letter, or flags"),
		Long: "Has letters taken again by the subscriptions and mappings as they are now. Of parked events, everything that is parked for\n" +
			"the same user goes with them, and the user is parked no longer. Without a server, it is done when one starts.",
		Example: "  landfall dead replay 1042-3-9af3c1\n  landfall dead replay --instance braze-main --reason 'rate limit'\n  landfall dead replay --all",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.change(cmd.Context(), args, "replayed", func() changer { return c.client.ReplayDeadLetters })
		},
	}
	c.filterFlags(cmd)
	cmd.Flags().BoolVar(&c.all, "all", false, "every letter")
	return cmd
}

func newDeadDrop(s streams) *cobra.Command {
	c := &deadCommand{reaching: reaching{streams: s}}
	cmd := &cobra.Command{
		Use: "drop [ID]", Short: "Delete letters for good", Args: atMostOne("one id of a letter, or flags"),
		Long:    "Deletes letters. Of parked events, everything that is parked for the same user goes with them, and the user is parked no longer.",
		Example: "  landfall dead drop 1042-3-9af3c1\n  landfall dead drop --user u17",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.change(cmd.Context(), args, "dropped", func() changer { return c.client.DropDeadLetters })
		},
	}
	c.filterFlags(cmd)
	cmd.Flags().BoolVar(&c.all, "all", false, "every letter")
	return cmd
}

type changer = func(context.Context, delivery.DeadLetterFilter) (int, error)

func (c *deadCommand) change(ctx context.Context, args []string, done string, with func() changer) error {
	if len(args) == 1 {
		c.filter.ID = args[0]
	}
	chosen := !c.filter.IsZero() || c.since != "" || c.until != "" || c.parked || c.dead
	switch {
	case chosen && c.all:
		return misuse("give --all alone: it is every letter, whatever else is asked for")
	case !chosen && !c.all:
		return misuse("say which letters: an ID, --instance, --subscription, --reason, --user, --since, --parked, --dead, or --all")
	}
	if err := c.read(ctx); err != nil {
		return err
	}
	defer c.close()
	n, err := with()(ctx, c.filter)
	if err != nil {
		return err
	}
	if n == 0 && c.filter.ID != "" {
		return fmt.Errorf("there is no letter %q: landfall dead list shows them", c.filter.ID)
	}
	if c.json {
		c.print(map[string]int{done: n})
	} else {
		fmt.Fprintf(c.out, "%d %s\n", n, done)
		if n > 0 && !c.server && c.cfg.Server.NATS == "" {
			fmt.Fprintln(c.out, "no server runs: the next one does it")
		}
	}
	return nil
}
