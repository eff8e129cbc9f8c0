package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/fault"
)

func newDeadCauses(s streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "causes", Short: "List the causes for which events are not delivered, and what to do about each", Args: exactArgs(0, "flags only"),
		Long: "Lists the values of the field cause, which the JSON output of commands, dead letters, metrics and the metadata of the\n" +
			"pipeline plugin have beside the reason in words.",
		Example: "  landfall dead causes\n  landfall dead list --cause no_identifier",
		RunE: func(*cobra.Command, []string) error {
			for _, c := range fault.Causes() {
				if asJSON {
					_ = json.NewEncoder(s.out).Encode(causeJSON{c.Cause, c.Text, c.Next})
					continue
				}
				fmt.Fprintf(s.out, "%-21s %s\n", c.Cause, c.Text)
				if c.Next != "" {
					fmt.Fprintf(s.out, "%21s → %s\n", "", c.Next)
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per cause")
	return cmd
}

type causeJSON struct {
	Cause fault.Cause `json:"cause"`
	Text  string      `json:"text"`
	Next  string      `json:"next,omitempty"`
}

func causeNames() []string {
	var names []string
	for _, c := range fault.Causes() {
		names = append(names, string(c.Cause))
	}
	return names
}
