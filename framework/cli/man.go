package cli

import (
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"

	"github.com/landfall-dev/landfall/internal/buildinfo"
)

// newMan returns the command that packages call for their manual pages. It is hidden: --help shows the same to users.
func newMan(s streams) *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Hidden: true, Short: "Write the manual pages of all commands to a directory", Args: exactArgs(1, "a directory"),
		Example: "  landfall man man/man1",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			escapeTexts(root)
			info := buildinfo.Read()
			date, _ := time.Parse(time.RFC3339, info.Time) // a program built without version control has none
			header := &doc.GenManHeader{Section: "1", Date: &date, Source: s.programName() + " " + info.Version, Manual: strings.ToUpper(s.programName())}
			return doc.GenManTree(root, header, args[0])
		},
	}
}

// escapeTexts keeps the texts of commands and flags from being read as HTML, because manual pages are made from Markdown.
func escapeTexts(cmd *cobra.Command) {
	escape := func(text *string) { *text = strings.ReplaceAll(*text, "<", `\<`) }
	escape(&cmd.Short)
	escape(&cmd.Long)
	for _, flags := range []*pflag.FlagSet{cmd.LocalNonPersistentFlags(), cmd.PersistentFlags()} {
		flags.VisitAll(func(f *pflag.Flag) { escape(&f.Usage) })
	}
	for _, inner := range cmd.Commands() {
		escapeTexts(inner)
	}
}
