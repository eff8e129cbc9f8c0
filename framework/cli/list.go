package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/destination"
)

func newList(s streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the destinations", Example: "  landfall list",
		Args: exactArgs(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			registry, err := s.catalog().RegistryFor(nil)
			if err != nil {
				return err
			}
			entries, err := registry.Entries()
			if err != nil {
				return err
			}
			if asJSON {
				return listJSON(s, entries)
			}
			for _, e := range entries {
				d := e.Definition
				fmt.Fprintf(s.out, "%-20s %s\n", d.Slug, d.Description)
				fmt.Fprintf(s.out, "%-20s actions: %s\n", "", strings.Join(d.ActionKeys(), ", "))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object per line")
	return cmd
}

func listJSON(s streams, entries []destination.Entry) error {
	out := json.NewEncoder(s.out)
	for _, e := range entries {
		d := e.Definition
		err := out.Encode(map[string]any{
			"slug": d.Slug, "name": d.Name, "description": d.Description, "aliases": d.Aliases, "actions": d.ActionKeys(),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// findDestination returns the destination with a slug or alias that the user gave.
func findDestination(registry *destination.Registry, name string) (destination.Entry, error) {
	entry, err := registry.Find(name)
	if errors.Is(err, destination.ErrUnknown) {
		return entry, usageErrorf("%v", err)
	}
	return entry, err
}
