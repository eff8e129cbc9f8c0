package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/generate"
)

func newGenerate(s streams) *cobra.Command {
	var dir, module string
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Write Go types, references and the list of destinations from their definitions",
		Long: "Brings types_gen.go and the reference in README.md of each directory with a destination.yaml up to date, and the\n" +
			"list of all of them.\n" +
			"go generate ./... does the same, and works while the destinations do not compile.",
		Example: "  landfall generate\n  landfall generate --dir ./destinations",
		Args:    exactly(0, "flags only"),
		RunE: func(*cobra.Command, []string) error {
			changed, err := generate.All(dir, "destinations", module)
			for _, file := range changed {
				fmt.Fprintln(s.out, "wrote", file)
			}
			if err == nil && len(changed) == 0 {
				fmt.Fprintln(s.out, "everything is up to date")
			}
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "destinations", "the `DIRECTORY` of destinations")
	cmd.Flags().StringVar(&module, "import-path", "github.com/landfall-dev/landfall/destinations", "the Go import `PATH` of that directory")
	return cmd
}
