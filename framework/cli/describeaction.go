package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
)

// describeAudiences prints how a destination syncs audiences.
func describeAudiences(s streams, d *destination.Definition) {
	if d.Audience == nil {
		return
	}
	what := "only changes are sent"
	if d.Audience.FullSync {
		what = "all members are sent each time"
	}
	fmt.Fprintf(s.out, "\nAudiences (%s): %s\n", d.Audience.Mode, what)
	describeFields(s, d.AudienceFields, "  ")
}

// describeAction prints an action's sync modes, fetched choices and hooks.
func describeAction(s streams, e destination.Entry, a destination.ActionDefinition) {
	if m := a.SyncMode; m != nil {
		modes := strings.Join(m.Modes(), ", ")
		if m.Default != "" {
			modes += "; default " + m.Default
		}
		fmt.Fprintf(s.out, "  sync modes: %s\n", modes)
	}
	if e.Plugin.Choices[a.Key] != nil {
		fmt.Fprintf(s.out, "  fields with fetched choices: %s\n", strings.Join(slices.Sorted(maps.Keys(e.Plugin.Choices[a.Key])), ", "))
	}
	for _, h := range a.Hooks {
		fmt.Fprintf(s.out, "  hook %s: %s\n", h.Name, h.Label)
		if h.Description != "" {
			fmt.Fprintf(s.out, "    %s\n", h.Description)
		}
		describeFields(s, h.Inputs, "    ")
		for _, f := range h.Outputs {
			fmt.Fprintf(s.out, "    output %s  %s\n", f.Key, fieldLine(f))
		}
	}
}
