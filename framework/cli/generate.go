package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/internal/author/generate"
	"github.com/landfall-dev/landfall/internal/author/scaffold"
)

func newGenerate(s streams) *cobra.Command {
	var dir, module string
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Generate Go types, JSON Schemas, references and the list of destinations from their definitions",
		Long: "Updates the files that are generated from each destination.yaml: the Go types (types_gen.go), the JSON Schemas of settings\n" +
			"and payloads (schemas/), the reference in README.md, and the list of all destinations.\n" +
			"go generate ./... does the same, also in a module of your own, and even if the destinations do not compile.",
		Example: "  landfall generate\n  landfall generate --dir ./destinations",
		Args:    exactArgs(0, "flags only"),
		RunE: func(*cobra.Command, []string) error {
			if module == "" {
				var err error
				if module, err = generate.ImportPath(dir); err != nil {
					return err
				}
			}
			pkg, err := generate.DirectoryPackage(dir)
			if err != nil {
				return err
			}
			changed, err := generate.All(dir, pkg, module)
			for _, file := range changed {
				fmt.Fprintln(s.out, "wrote", file)
			}
			if err == nil && len(changed) == 0 {
				fmt.Fprintln(s.out, "everything is up to date")
			}
			if err != nil {
				return err
			}
			return s.warnWithoutPlugin(dir)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", defaultDestinations, "the `DIRECTORY` of the destinations")
	cmd.Flags().StringVar(&module, "import-path", "", "the Go import `PATH` of that directory; by default from its go.mod")
	return cmd
}

// warnWithoutPlugin warns of the definitions that have no plugin and that the registry leaves out.
func (s streams) warnWithoutPlugin(dir string) error {
	without, err := generate.WithoutPlugin(dir)
	program := "landfall"
	if p, err := scaffold.FindProgram(dir); err == nil {
		program = p.Command
	}
	for _, file := range without {
		fmt.Fprintf(s.err, "warning: %s has no plugin beside it, so registry_gen.go leaves it out: make one with %s new destination --from %s\n", file, program, file)
	}
	return err
}
