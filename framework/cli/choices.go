package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
)

// choicesCommand implements landfall choices, which fetches the values of a dynamic field.
type choicesCommand struct {
	instanceFlags
	action, field, query, page, payload string
}

func newChoices(s streams) *cobra.Command {
	c := &choicesCommand{instanceFlags: instanceFlags{streams: s, stateOptional: true}}
	cmd := &cobra.Command{
		Use: "choices --action ACTION --field FIELD", Short: "Show the values that the remote offers for a field", Args: exactArgs(0, "flags only"),
		Long: "Fetches the values of a dynamic field from the remote, one page at a time. Without --field it lists the dynamic fields of\n" +
			"the action.",
		Example: "  landfall choices --config landfall.yaml --action upsertUser --live\n" +
			"  landfall choices --config landfall.yaml --action upsertUser --field list --query news --live",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.target.check(); err != nil {
				return err
			}
			defer c.close()
			if err := c.open(cmd.Context(), func(in instances.Instance) bool { return len(c.dynamicActions(in)) > 0 }, "a destination whose fields have choices to fetch"); err != nil {
				return err
			}
			return c.run(cmd.Context())
		},
	}
	c.addFlags(cmd)
	f := cmd.Flags()
	c.target.addTargetFlags(cmd, "ask")
	f.StringVar(&c.action, "action", "", "the `KEY` of the action; optional if only one action has dynamic fields")
	f.StringVar(&c.field, "field", "", "the `KEY` of the field; a dot separates an object and its property")
	f.StringVar(&c.query, "query", "", "the `TEXT` to search for")
	f.StringVar(&c.page, "page", "", "the `PAGE` to show, as the previous page names it")
	f.StringVar(&c.payload, "payload", "{}", "the values of other fields, or of inputs of the hook, as a `JSON` object, if the choices depend on them; constants of the subscription's mapping by default")
	return cmd
}

// dynamicActions returns the actions of an instance that have dynamic fields.
func (c *choicesCommand) dynamicActions(in instances.Instance) (actions []string) {
	for _, key := range in.Plan.Definition().ActionKeys() {
		if len(in.Plan.DynamicFields(key)) > 0 {
			actions = append(actions, key)
		}
	}
	return actions
}

// mappedConstants returns the constants of the mapping of the first subscription that has the action.
func (c *choicesCommand) mappedConstants() event.Value {
	for _, s := range c.chosen.Config.Subscriptions {
		if s.Action == c.action {
			return runtime.ConstantsOf(s.Mapping)
		}
	}
	return event.Value{}
}

func (c *choicesCommand) run(ctx context.Context) error {
	plan := c.chosen.Plan
	payload, err := event.ParseValue([]byte(c.payload))
	if err != nil || payload.Kind() != event.Object {
		return usageErrorf("--payload should be a JSON object but is %s", c.payload)
	}
	actions := c.dynamicActions(c.chosen)
	if c.action == "" && len(actions) == 1 {
		c.action = actions[0]
	}
	if c.action == "" {
		return usageErrorf("say which action: --action %s", strings.Join(actions, " or --action "))
	}
	if fields := plan.DynamicFields(c.action); c.field == "" || len(fields) == 0 {
		if !slices.Contains(actions, c.action) {
			return usageErrorf("no field of the action %q has choices to fetch; give one of %s", c.action, strings.Join(actions, ", "))
		}
		c.printFields(fields)
		return nil
	}
	found, err := plan.Choices(ctx, c.action, c.field, c.query, c.page, destination.Overlay(c.mappedConstants(), payload))
	if err != nil {
		return err
	}
	c.printChoices(found)
	return nil
}

// printFields lists the fields of the action whose choices can be fetched.
func (c *choicesCommand) printFields(fields []string) {
	for _, field := range fields {
		if c.json {
			c.printJSON(map[string]string{"action": c.action, "field": field})
		} else {
			fmt.Fprintln(c.out, field)
		}
	}
}

// printChoices prints a page of choices.
func (c *choicesCommand) printChoices(found destination.Choices) {
	if c.json {
		c.printJSON(found)
		return
	}
	for _, choice := range found.Choices {
		fmt.Fprintln(c.out, strings.TrimSpace(fmt.Sprintf("%-24s %-32s %s", choice.Value, choice.Label, choice.Description)))
	}
	if len(found.Choices) == 0 {
		fmt.Fprintln(c.err, "no choices")
	}
	if found.NextPage != "" {
		fmt.Fprintf(c.err, "next page: --page %s\n", found.NextPage)
	}
}
