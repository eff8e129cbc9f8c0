package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/event"
)

// choicesCommand fetches the choices of a dynamic field.
type choicesCommand struct {
	choosing
	action, field, query, page, payload string
}

func newChoices(s streams) *cobra.Command {
	c := &choicesCommand{choosing: choosing{streams: s}}
	cmd := &cobra.Command{
		Use: "choices --action ACTION --field FIELD", Short: "Show the values of a field that the remote knows", Args: exactly(0, "flags only"),
		Long: "Fetches the values of a dynamic field from the remote, a page at a time. Without --field it names those fields.",
		Example: "  landfall choices --config landfall.yaml --action upsertUser --live\n" +
			"  landfall choices --config landfall.yaml --action upsertUser --field list --query news --live",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.target.check(); err != nil {
				return err
			}
			defer c.close()
			if err := c.open(cmd.Context(), func(in instance) bool { return len(c.dynamic(in)) > 0 }, "a destination whose fields have choices to fetch"); err != nil {
				return err
			}
			return c.run(cmd.Context())
		},
	}
	c.flags(cmd)
	f := cmd.Flags()
	c.target.places(cmd, "ask")
	f.StringVar(&c.action, "action", "", "the `KEY` of the action; not needed where one only has such fields")
	f.StringVar(&c.field, "field", "", "the `KEY` of the field, with dots inside of objects")
	f.StringVar(&c.query, "query", "", "what the choices should be like")
	f.StringVar(&c.page, "page", "", "the `PAGE` to show, as the one before names it")
	f.StringVar(&c.payload, "payload", "{}", "what other fields hold, as `JSON`, where the choices depend on that")
	return cmd
}

// dynamic are the actions of an instance that have such fields.
func (c *choicesCommand) dynamic(in instance) (actions []string) {
	for _, key := range in.plan.Definition().ActionKeys() {
		if len(in.plan.Dynamic(key)) > 0 {
			actions = append(actions, key)
		}
	}
	return actions
}

func (c *choicesCommand) run(ctx context.Context) error {
	plan := c.chosen.plan
	payload, err := event.ParseValue([]byte(c.payload))
	if err != nil || payload.Kind() != event.Object {
		return misuse("--payload should be a JSON object but is %s", c.payload)
	}
	actions := c.dynamic(c.chosen)
	if c.action == "" && len(actions) == 1 {
		c.action = actions[0]
	}
	if c.action == "" {
		return misuse("say which action: --action %s", strings.Join(actions, " or --action "))
	}
	if fields := plan.Dynamic(c.action); c.field == "" || len(fields) == 0 {
		if !slices.Contains(actions, c.action) {
			return misuse("no field of %q has choices to fetch; those of %s have", c.action, strings.Join(actions, ", "))
		}
		for _, field := range fields {
			if c.json {
				c.print(map[string]string{"action": c.action, "field": field})
			} else {
				fmt.Fprintln(c.out, field)
			}
		}
		return nil
	}
	found, err := plan.Choices(ctx, c.action, c.field, c.query, c.page, payload)
	if err != nil {
		return err
	}
	if c.json {
		c.print(found)
		return nil
	}
	for _, choice := range found.Choices {
		fmt.Fprintln(c.out, strings.TrimSpace(fmt.Sprintf("%-24s %-32s %s", choice.Value, choice.Label, choice.Description)))
	}
	if len(found.Choices) == 0 {
		fmt.Fprintln(c.err, "no choices")
	}
	if found.NextPage != "" {
		fmt.Fprintf(c.err, "there are more: --page %s\n", found.NextPage)
	}
	return nil
}
