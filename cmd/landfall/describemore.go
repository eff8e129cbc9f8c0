package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
)

// describeAudiences shows how a destination takes audiences.
func describeAudiences(s streams, d *destination.Definition) {
	if d.Audience == nil {
		return
	}
	what := "changes are sent"
	if d.Audience.FullSync {
		what = "every member is sent each time"
	}
	fmt.Fprintf(s.out, "\nAudiences (%s): %s\n", d.Audience.Mode, what)
	describeFields(s, d.AudienceFields, "  ")
}

// describeAction shows what an action has beside its fields.
func describeAction(s streams, e destination.Entry, a destination.ActionDefinition) {
	if m := a.SyncMode; m != nil {
		modes := strings.Join(m.Modes(), ", ")
		if m.Default != "" {
			modes += "; default " + m.Default
		}
		fmt.Fprintf(s.out, "  sync modes: %s\n", modes)
	}
	if e.Plugin.Choices[a.Key] != nil {
		fmt.Fprintf(s.out, "  choices are fetched for: %s\n", strings.Join(slices.Sorted(maps.Keys(e.Plugin.Choices[a.Key])), ", "))
	}
	for _, h := range a.Hooks {
		fmt.Fprintf(s.out, "  hook %s: %s\n", h.Name, h.Label)
		if h.Description != "" {
			fmt.Fprintf(s.out, "    %s\n", h.Description)
		}
		describeFields(s, h.Inputs, "    ")
		for _, f := range h.Outputs {
			fmt.Fprintf(s.out, "    gives %s  %s\n", f.Key, fieldLine(f))
		}
	}
}
