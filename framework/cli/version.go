package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/internal/buildinfo"
)

func newVersion(s streams) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use: "version", Short: "Show the version of this program", Args: exactArgs(0, "flags only"),
		Long: "Shows the version of Landfall, the commit, the version of Go, and the platform, as they were recorded when the program was\n" +
			"built. A program built from a checkout without version control has the version " + buildinfo.Unknown + ".",
		Example: "  landfall version\n  landfall version --json",
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return json.NewEncoder(s.out).Encode(buildinfo.Read())
			}
			_, err := fmt.Fprint(s.out, s.versionLine())
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// versionLine returns what landfall version and landfall --version print.
func (s streams) versionLine() string {
	return fmt.Sprintf("%s %s\n", s.programName(), buildinfo.Read())
}
