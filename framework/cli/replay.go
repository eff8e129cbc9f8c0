package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/admin"
)

type replayCommand struct {
	queueClient
	asked        admin.ReplayRequest
	since, until string
}

func newReplay(s streams) *cobra.Command {
	c := &replayCommand{queueClient: queueClient{streams: s}}
	cmd := &cobra.Command{
		Use: "replay", Short: "Deliver stored events to one instance again", Args: exactArgs(0, "flags only"),
		Long: "Reads events that the server has accepted and still stores, and delivers them to an instance again, in their order and\n" +
			"after the events that wait. The ledger skips an event that is older than the last one sent for the same user.",
		Example: "  landfall replay --since 2h --instance braze-main\n" +
			"  landfall replay --since 2026-11-01 --instance braze-main --subscribe 'event = \"Audience Entered\"'\n" +
			"  landfall replay --since 2026-11-01 --instance braze-main --source web",
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	c.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&c.asked.Instance, "instance", "", "the `ID` of the instance to deliver to (required)")
	f.StringVar(&c.since, "since", "", "events accepted since this `TIME`: a date, or an age such as 2h (required)")
	f.StringVar(&c.until, "until", "", "events accepted before this `TIME`")
	f.StringArrayVar(&c.asked.Sources, "source", nil, "only events of the source with this `ID`; may be repeated")
	f.StringVar(&c.asked.Subscribe, "subscribe", "", "only events that this `FQL` query matches")
	f.StringVar(&c.asked.Subscription, "subscription", "", "deliver only for the subscription with this `NAME`")
	return cmd
}

func (c *replayCommand) run(ctx context.Context) error {
	var err error
	if c.since == "" || c.asked.Instance == "" {
		return usageErrorf("say which events and which instance: --since TIME --instance ID")
	}
	if c.asked.Since, err = parseMoment("--since", c.since); err != nil {
		return err
	}
	if c.asked.Until, err = parseMoment("--until", c.until); err != nil {
		return err
	}
	if err := c.connect(ctx); err != nil {
		return err
	}
	defer c.close()
	if err := c.checkKnownInstance(c.asked.Instance); err != nil {
		return err
	}
	n, err := c.client.Replay(ctx, c.asked)
	if err != nil {
		return err
	}
	if c.json {
		c.printJSON(map[string]any{"events": n, "instance": c.asked.Instance, "since": c.asked.Since})
		return nil
	}
	of := ""
	if len(c.asked.Sources) > 0 {
		of = " of " + strings.Join(c.asked.Sources, ", ")
	}
	fmt.Fprintf(c.out, "%s%s since %s %s delivered to %s again\n", fault.Count(n, "event"), of, c.asked.Since.Format(time.RFC3339), fault.Plural(n, "is", "are"), c.asked.Instance)
	if n == 0 && c.cfg != nil {
		for _, text := range unknownSources(c.cfg, c.asked.Sources) {
			c.warn(text)
		}
	}
	return nil
}

// unknownSources returns a warning for each id that is not a source of the config. It is not an error: the events of a removed source can be
// replayed.
func unknownSources(cfg *config.Config, ids []string) (texts []string) {
	var known []string
	for _, s := range cfg.Sources {
		known = append(known, s.ID)
	}
	for _, id := range ids {
		if !slices.Contains(known, id) {
			texts = append(texts, fmt.Sprintf("there is no source %q in the config%s", id, fault.DidYouMean(id, known)))
		}
	}
	return texts
}
