package cli

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
	"github.com/landfall-dev/landfall/framework/fault"
)

// deadCommand implements landfall dead, for dead letters and parked events.
type deadCommand struct {
	queueClient
	filter       delivery.DeadLetterFilter
	since, until string
	all          bool
	parked       bool
	dead         bool
}

func newDead(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "Show, replay and delete events that could not be delivered",
		Long: "Dead letters are events that a destination refused permanently, or that could not be mapped. Parked events wait behind an\n" +
			"event of the same user that could not be delivered in time. Both are stored with their reason and last request, and both\n" +
			"can be replayed: the current subscriptions and mappings process them again, in their order.",
		RunE: chooseCommand, Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(newDeadList(s), newDeadShow(s), newDeadReplay(s), newDeadDrop(s), newDeadCauses(s))
	return cmd
}

func (c *deadCommand) addFilterFlags(cmd *cobra.Command) {
	c.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&c.filter.Instance, "instance", "", "only events of the instance with this `ID`")
	f.StringVar(&c.filter.Subscription, "subscription", "", "only events of the subscription with this `NAME`")
	f.StringVar((*string)(&c.filter.Cause), "cause", "", "only events with this `CAUSE`, such as refused_by_remote; see landfall dead causes")
	f.StringVar(&c.filter.Reason, "reason", "", "only events whose reason contains this `TEXT`")
	f.StringVar(&c.filter.User, "user", "", "only events of the user with this userId or anonymousId `ID`")
	f.StringVar(&c.since, "since", "", "only events that died or were parked since this `TIME`: a date, or an age such as 2h")
	f.StringVar(&c.until, "until", "", "only events that died or were parked before this `TIME`")
	f.BoolVar(&c.parked, "parked", false, "only parked events")
	f.BoolVar(&c.dead, "dead", false, "only dead letters")
}

// connectFiltered completes the filter and connects to the queue.
func (c *deadCommand) connectFiltered(ctx context.Context) error {
	var err error
	if c.filter.Since, err = parseMoment("--since", c.since); err != nil {
		return err
	}
	if c.filter.Until, err = parseMoment("--until", c.until); err != nil {
		return err
	}
	if c.filter.Cause != "" && c.filter.Cause.Text() == "" {
		return usageErrorf("there is no cause %q%s: landfall dead causes lists them", c.filter.Cause, fault.DidYouMean(string(c.filter.Cause), causeNames()))
	}
	c.filter.Parked, c.filter.Dead = c.parked, c.dead
	if err := c.connect(ctx); err != nil {
		return err
	}
	return c.checkInstance(ctx)
}

// checkInstance returns an error if neither the config nor a dead letter has the filter's instance.
func (c *deadCommand) checkInstance(ctx context.Context) error {
	wrong := c.checkKnownInstance(c.filter.Instance)
	if wrong == nil {
		return nil
	}
	err := c.client.DeadLetters(ctx, delivery.DeadLetterFilter{Instance: c.filter.Instance, Limit: 1}, func(*delivery.DeadLetter) error {
		wrong = nil // a dead letter of a removed instance
		return nil
	})
	return cmp.Or(err, wrong)
}

// checkKnownInstance returns an error if the server, or the config without a server, does not have an instance.
func (c *queueClient) checkKnownInstance(id string) error {
	if id == "" || slices.Contains(c.instanceIDs, id) {
		return nil
	}
	return usageErrorf("there is no instance %q in the config, which has %s", id, strings.Join(c.instanceIDs, ", "))
}

// parseMoment reads an age such as 2h, or a time in any form that events may have. A time without a zone is in UTC. A small number is refused: it is
// an age without its unit, and would select everything as a time.
func parseMoment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if age, err := time.ParseDuration(text); err == nil {
		return time.Now().Add(-age), nil
	}
	isNumber := strings.Trim(text, "0123456789") == ""
	if t, ok := event.ParseTime(text); ok && (!isNumber || t.Year() >= 2000) {
		return t, nil
	}
	return time.Time{}, usageErrorf("%s should be a date such as 2026-01-02T15:04:05Z or an age such as 2h but is %q", flag, text)
}

func newDeadList(s streams) *cobra.Command {
	c := &deadCommand{queueClient: queueClient{streams: s}}
	cmd := &cobra.Command{
		Use: "list", Short: "List dead letters and parked events", Args: exactArgs(0, "flags only"),
		Example: "  landfall dead list --instance braze-main --since 24h\n  landfall dead list --parked --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.listDeadLetters(cmd.Context()) },
	}
	c.addFilterFlags(cmd)
	cmd.Flags().IntVar(&c.filter.Limit, "limit", 0, "list at most this `NUMBER`; 0 lists all")
	return cmd
}

func (c *deadCommand) listDeadLetters(ctx context.Context) error {
	if c.filter.Limit < 0 {
		return usageErrorf("--limit should be 0 or more but is %d", c.filter.Limit)
	}
	if err := c.connectFiltered(ctx); err != nil {
		return err
	}
	defer c.close()
	n := 0
	err := c.client.DeadLetters(ctx, c.filter, func(l *delivery.DeadLetter) error {
		n++
		if c.json {
			c.printJSON(l)
			return nil
		}
		fmt.Fprintf(c.out, "%-24s %-6s %s  %s · %s  %s: %s\n", l.ID, kindOf(l), l.At.Format(time.RFC3339), l.Instance, l.Subscription, l.Key, l.Reason)
		return nil
	})
	if err == nil && n == 0 && !c.json {
		fmt.Fprintln(c.out, "there are no dead letters or parked events")
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
	c := &deadCommand{queueClient: queueClient{streams: s}}
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show one dead letter or parked event: its event, reason, attempts and last request", Args: exactArgs(1, "the id of a dead letter"),
		Example: "  landfall dead show 1042-3-9af3c1",
		RunE:    func(cmd *cobra.Command, args []string) error { return c.showDeadLetter(cmd.Context(), args[0]) },
	}
	c.addFlags(cmd)
	return cmd
}

func (c *deadCommand) showDeadLetter(ctx context.Context, id string) error {
	c.filter.ID = id
	if err := c.connectFiltered(ctx); err != nil {
		return err
	}
	defer c.close()
	found := false
	err := c.client.DeadLetters(ctx, c.filter, func(l *delivery.DeadLetter) error {
		found = true
		if c.json {
			c.printJSON(l)
			return nil
		}
		c.printDeadLetter(l)
		return nil
	})
	if err == nil && !found {
		return fmt.Errorf("there is no dead letter %q: landfall dead list shows them", id)
	}
	return err
}

func (c *deadCommand) printDeadLetter(l *delivery.DeadLetter) {
	fmt.Fprintf(c.out, "%s, %s since %s\n", l.ID, kindOf(l), l.At.Format(time.RFC3339))
	fmt.Fprintf(c.out, "instance      %s\nsubscription  %s\nkey           %s\nreason        %s\n", l.Instance, l.Subscription, l.Key, l.Reason)
	if l.Cause != "" {
		fmt.Fprintf(c.out, "cause         %s\n", l.Cause)
	}
	if next := l.Cause.Next(); next != "" {
		fmt.Fprintf(c.out, "next          %s\n", next)
	}
	fmt.Fprintf(c.out, "attempts      %d\n", l.Attempts)
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
	c := &deadCommand{queueClient: queueClient{streams: s}}
	cmd := &cobra.Command{
		Use: "replay [ID]", Short: "Deliver dead letters and parked events again, in their order", Args: maxOneArg("one id of a dead letter, or flags"),
		Long: "Processes dead letters and parked events again, with the current subscriptions and mappings. With a parked event, all\n" +
			"parked events of the same user are replayed, and the user is no longer parked. If no server runs, the next one does it\n" +
			"when it starts.",
		Example: "  landfall dead replay 1042-3-9af3c1\n  landfall dead replay --instance braze-main --reason 'rate limit'\n  landfall dead replay --all",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.changeDeadLetters(cmd.Context(), args, "replayed", func() deadLetterChange { return c.client.ReplayDeadLetters })
		},
	}
	c.addFilterFlags(cmd)
	cmd.Flags().BoolVar(&c.all, "all", false, "every dead letter and parked event")
	return cmd
}

func newDeadDrop(s streams) *cobra.Command {
	c := &deadCommand{queueClient: queueClient{streams: s}}
	cmd := &cobra.Command{
		Use: "drop [ID]", Short: "Delete dead letters and parked events permanently", Args: maxOneArg("one id of a dead letter, or flags"),
		Long: "Deletes dead letters and parked events. With a parked event, all parked events of the same user are deleted, and the user\n" +
			"is no longer parked.",
		Example: "  landfall dead drop 1042-3-9af3c1\n  landfall dead drop --user u17",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.changeDeadLetters(cmd.Context(), args, "dropped", func() deadLetterChange { return c.client.DropDeadLetters })
		},
	}
	c.addFilterFlags(cmd)
	cmd.Flags().BoolVar(&c.all, "all", false, "every dead letter and parked event")
	return cmd
}

type deadLetterChange = func(context.Context, delivery.DeadLetterFilter) (int, error)

func (c *deadCommand) changeDeadLetters(ctx context.Context, args []string, done string, with func() deadLetterChange) error {
	if len(args) == 1 {
		c.filter.ID = args[0]
	}
	chosen := !c.filter.IsZero() || c.since != "" || c.until != "" || c.parked || c.dead
	switch {
	case chosen && c.all:
		return usageErrorf("give --all alone: it cannot be combined with other filters")
	case !chosen && !c.all:
		return usageErrorf("say which dead letters: an ID, --instance, --subscription, --cause, --reason, --user, --since, --parked, --dead, or --all")
	}
	if err := c.connectFiltered(ctx); err != nil {
		return err
	}
	defer c.close()
	n, err := with()(ctx, c.filter)
	if err != nil {
		return err
	}
	if n == 0 && c.filter.ID != "" {
		return fmt.Errorf("there is no dead letter %q: landfall dead list shows them", c.filter.ID)
	}
	if c.json {
		c.printJSON(map[string]int{done: n})
	} else {
		fmt.Fprintf(c.out, "%d %s\n", n, done)
		if n > 0 && !c.server && c.cfg.Server.NATS == "" {
			fmt.Fprintln(c.out, "no server is running: the next one does it when it starts")
		}
	}
	return nil
}
