package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/server/why"
)

type whyCommand struct {
	queueClient
	question why.Question
	brief    bool
}

func newWhy(s streams) *cobra.Command {
	c := &whyCommand{queueClient: queueClient{streams: s, needsState: true}}
	cmd := &cobra.Command{
		Use: "why --user ID", Short: "Say why a user is missing at a destination, or is there", Args: exactArgs(0, "flags only"),
		Long: "Answers in one sentence, followed by everything that happened: events that were accepted or rejected, the conditions\n" +
			"that they did not meet, verdicts with the requests that carried them, dead letters, the ledger, and what operators\n" +
			"changed. It uses what the server has recorded, also before a restart. What is marked as recomputed was not recorded: the\n" +
			"current config decided it. Name the user by any identifier of the events: a user id, an anonymous id, an e-mail address,\n" +
			"a device id or an alias.",
		Example: "  landfall why --user u_1042 --audience vip_gold\n  landfall why --user ann@example.com --brief\n  landfall why --user u_1042 --json | jq .answer",
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	c.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&c.question.User, "user", "", "any identifier of the user (required)")
	f.StringVar(&c.question.Audience, "audience", "", "only the audience with this `ID`, key or name")
	f.StringVar(&c.question.Instance, "instance", "", "only the instance with this `ID`")
	f.BoolVar(&c.brief, "brief", false, "print only the answer")
	return cmd
}

func (c *whyCommand) run(ctx context.Context) error {
	if c.question.User == "" {
		return usageErrorf("say which user: --user ID")
	}
	if err := c.connect(ctx); err != nil {
		return err
	}
	defer c.close()
	if err := c.checkKnownInstance(c.question.Instance); err != nil {
		return err
	}
	report, err := c.client.Why(ctx, c.question)
	if err != nil {
		return err
	}
	if c.json {
		c.printJSON(report)
		return nil
	}
	c.printAnswer(report)
	if !c.brief {
		c.printTimeline(report)
	}
	return nil
}

func (c *whyCommand) printAnswer(r *why.Report) {
	fmt.Fprintln(c.out, r.Answer.Text)
	if r.Answer.Next != "" {
		fmt.Fprintf(c.out, "Next: %s\n", r.Answer.Next)
	}
	if r.Answer.Recomputed {
		fmt.Fprintln(c.out, "This was computed with the current config, since no verdict is recorded.")
	}
	for _, p := range r.Problems {
		c.warn(p)
	}
}

func (c *whyCommand) printTimeline(r *why.Report) {
	fmt.Fprintf(c.out, "\nidentifiers  %s\n", strings.Join(r.Identifiers, ", "))
	for _, s := range r.Standings {
		state := map[bool]string{true: "in", false: "out"}[s.Member]
		if !s.Known {
			state = "never delivered"
		}
		fmt.Fprintf(c.out, "ledger       %s: %s (%s) %s\n", s.Instance, s.Name, s.Identity, state)
	}
	switch {
	case r.Searched.From.IsZero():
		fmt.Fprintln(c.out, "log          empty")
	case r.Searched.Complete:
		fmt.Fprintf(c.out, "log          searched completely, since %s\n", r.Searched.From.UTC().Format("2006-01-02 15:04:05.000Z"))
	default:
		fmt.Fprintf(c.out, "log          searched since %s only\n", r.Searched.From.UTC().Format("2006-01-02 15:04:05.000Z"))
	}
	for _, e := range r.Timeline {
		c.printEntry(&e)
	}
}

func (c *whyCommand) printEntry(e *why.Entry) {
	fmt.Fprintf(c.out, "\n%s  %s", e.At.UTC().Format("2006-01-02 15:04:05.000Z"), e.Kind)
	if where := strings.Trim(e.Instance+" › "+e.Subscription, " ›"); where != "" {
		fmt.Fprintf(c.out, "  %s", where)
	}
	if e.Event != nil {
		fmt.Fprintf(c.out, "  event %d-%d", e.Event.Seq, e.Event.Index)
	}
	fmt.Fprintf(c.out, "\n  %s\n", e.Text)
	if e.SupersededBy != nil {
		fmt.Fprintf(c.out, "  superseded by event %d-%d\n", e.SupersededBy.Seq, e.SupersededBy.Index)
	}
	if e.Conditions != "" {
		fmt.Fprint(c.out, indentLines(e.Conditions, "    "))
	}
	if e.Recomputed {
		fmt.Fprintln(c.out, "  (recomputed with the current config)")
	}
	if e.Batch != nil {
		c.printBatch(e.Batch)
	}
}

func (c *whyCommand) printBatch(b *why.Batch) {
	if b.ID != "" {
		fmt.Fprintf(c.out, "  batch %s of %s, %d ms\n", b.ID, fault.Count(b.Events, "event"), b.Milliseconds)
	}
	for _, x := range b.Requests {
		fmt.Fprintf(c.out, "    %s %s\n", x.Method, x.URL)
		for _, line := range []struct{ name, text string }{{"request", x.Body}, {"response", x.Response}, {"error", x.Error}} {
			if line.text != "" {
				fmt.Fprintf(c.out, "      %-8s %s\n", line.name, strings.ReplaceAll(line.text, "\n", " "))
			}
		}
		if x.Status > 0 {
			fmt.Fprintf(c.out, "      status   %d\n", x.Status)
		}
	}
	if b.Partial {
		fmt.Fprintln(c.out, "    more requests are not recorded")
	}
}
