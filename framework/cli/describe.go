package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/fql"
)

func newDescribe(s streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "describe DESTINATION", Short: "Show the settings, actions and fields of a destination",
		Example: "  landfall describe braze-cohorts",
		Args:    exactArgs(1, "one destination (see landfall list)"),
		RunE: func(_ *cobra.Command, args []string) error {
			registry, err := s.catalog().RegistryFor(nil)
			if err != nil {
				return err
			}
			e, err := findDestination(registry, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(s.out).Encode(e.Definition.Document.Value())
			}
			describeDestination(s, e)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the definition as JSON")
	return cmd
}

func describeDestination(s streams, e destination.Entry) {
	d := e.Definition
	fmt.Fprintf(s.out, "%s (%s)\n%s\n", d.Name, strings.Join(d.Names(), ", "), d.Description)
	if d.Limits.Subscriptions > 0 {
		fmt.Fprintf(s.out, "At most %d enabled subscriptions per instance.\n", d.Limits.Subscriptions)
	}
	for _, w := range d.Limits.Requests {
		fmt.Fprintf(s.out, "At most %s, unless the instance or its budget has other limits.\n", w)
	}
	fmt.Fprintf(s.out, "\nAuthentication %s: %s\n", d.Scheme, strings.ReplaceAll(d.Scheme.Summary(), "`", ""))
	fmt.Fprintln(s.out, "\nSettings")
	describeFields(s, d.Settings, "  ")
	describeAudiences(s, d)
	if e.Plugin.OnDelete != nil {
		fmt.Fprintln(s.out, "\nAn event of type delete deletes its user.")
	}
	for _, a := range d.Actions {
		fmt.Fprintf(s.out, "\nAction %s: %s\n  %s\n", a.Key, a.Title, a.Description)
		if a.DefaultSubscription != "" {
			fmt.Fprintf(s.out, "  chosen when %s\n", queryWords(a.DefaultSubscription))
		}
		describeFields(s, a.Fields, "    ")
		describeAction(s, e, a)
	}
	for _, p := range d.Presets {
		when := ""
		if p.Subscribe != "" { // a preset of type specificEvent may have no query
			when = " when " + queryWords(p.Subscribe)
		}
		fmt.Fprintf(s.out, "\nPreset %q (%s): %s%s\n", p.Name, p.Type, p.Action, when)
	}
}

// queryWords returns a query in words, or the query itself if it does not compile.
func queryWords(text string) string {
	q, err := fql.Compile(text)
	if err != nil {
		return text
	}
	return q.Describe()
}

func describeFields(s streams, fields fieldschema.Fields, indent string) {
	width := 0
	for _, f := range fields {
		width = max(width, len(f.Key))
	}
	for _, f := range fields {
		fmt.Fprintf(s.out, "%s%-*s  %s\n", indent, width, f.Key, fieldLine(f))
		if f.Description != "" {
			fmt.Fprintf(s.out, "%s%-*s  %s\n", indent, width, "", f.Description)
		}
		describeFields(s, f.Properties, indent+"  ")
	}
}

// fieldLine returns a field's label, type and default as one line.
func fieldLine(f fieldschema.Field) string {
	kind := string(f.Type)
	if f.Multiple {
		kind = "list of " + kind
	}
	parts := []string{kind}
	if f.Required.Always {
		parts = append(parts, "required")
	}
	if f.Default.Kind() != event.Absent {
		parts = append(parts, "default "+f.Default.JSON())
	}
	return f.Label + " (" + strings.Join(parts, ", ") + ")"
}
