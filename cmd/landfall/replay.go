package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/server/admin"
)

type replayCommand struct {
	reaching
	asked        admin.ReplayRequest
	since, until string
}

func newReplay(s streams) *cobra.Command {
	c := &replayCommand{reaching: reaching{streams: s}}
	cmd := &cobra.Command{
		Use: "replay", Short: "Take kept events once more, for one instance", Args: exactly(0, "flags only"),
		Long: "Reads events that were accepted before, as far as they are kept, and has an instance take them once more, in their order\n" +
			"and behind what it has not finished. The ledger keeps what is older than what was sent from being sent again.",
		Example: "  landfall replay --since 2h --instance braze-main\n" +
			"  landfall replay --since 2026-11-01 --instance braze-main --subscribe 'event = \"Audience Entered\"'",
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	c.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&c.asked.Instance, "instance", "", "the `ID` of the instance that gets them")
	f.StringVar(&c.since, "since", "", "those accepted since this `TIME`: a date, or an age such as 2h")
	f.StringVar(&c.until, "until", "", "those accepted before this `TIME`")
	f.StringVar(&c.asked.Subscribe, "subscribe", "", "only those that this `FQL` query matches")
	f.StringVar(&c.asked.Subscription, "subscription", "", "only for the subscription with this `NAME`")
	return cmd
}

func (c *replayCommand) run(ctx context.Context) error {
	var err error
	if c.since == "" || c.asked.Instance == "" {
		return misuse("say which events and for whom: --since TIME --instance ID")
	}
	if c.asked.Since, err = readMoment("--since", c.since); err != nil {
		return err
	}
	if c.asked.Until, err = readMoment("--until", c.until); err != nil {
		return err
	}
	if err := c.open(ctx); err != nil {
		return err
	}
	defer c.close()
	if err := c.knownInstance(c.asked.Instance); err != nil {
		return err
	}
	n, err := c.client.Replay(ctx, c.asked)
	if err != nil {
		return err
	}
	if c.json {
		c.print(map[string]any{"events": n, "instance": c.asked.Instance, "since": c.asked.Since})
		return nil
	}
	fmt.Fprintf(c.out, "%d events since %s go to %s once more\n", n, c.asked.Since.Format(time.RFC3339), c.asked.Instance)
	return nil
}
