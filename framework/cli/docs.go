package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	repository "github.com/landfall-dev/landfall"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/server/docs"
	"github.com/landfall-dev/landfall/internal/buildinfo"
	"github.com/landfall-dev/landfall/schemas"
)

// defaultDocs is where landfall docs listens.
const defaultDocs = "127.0.0.1:8083"

func newDocs(s streams) *cobra.Command {
	listen := ""
	cmd := &cobra.Command{
		Use:   "docs",
		Short: "Serve the documentation of this version, with a search",
		Long: "Serves all pages of the documentation that this program contains, with a search. It needs no network. docs list, docs search\n" +
			"and docs show do the same in the terminal.",
		Example: "  landfall docs\n  landfall docs search dead letter\n  landfall docs show cmd/landfall/deploy",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return chooseCommand(cmd, args)
			}
			site, err := documentation()
			if err != nil {
				return err
			}
			return serveHTTP(cmd.Context(), s, "documentation", listen, site.Handler())
		},
	}
	cmd.Flags().StringVar(&listen, "listen", defaultDocs, "the `ADDRESS` to listen on")
	cmd.AddCommand(newDocsList(s), newDocsSearch(s), newDocsShow(s), newDocsSchema(s))
	return cmd
}

// documentation returns the pages that the program contains. Their links to other files lead to the files of its version.
func documentation() (*docs.Site, error) {
	info := buildinfo.Read()
	version := "main"
	switch {
	case info.Commit != "" && info.Program == "":
		version = info.Commit
	case strings.HasPrefix(info.Version, "v") && !strings.Contains(info.Version, "-"):
		version = info.Version
	}
	return docs.New(repository.Pages, "https://"+buildinfo.Module+"/blob/"+version+"/")
}

func newDocsList(s streams) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use: "list", Short: "List the pages", Args: exactArgs(0, "flags only"), Example: "  landfall docs list --json",
		RunE: func(*cobra.Command, []string) error {
			site, err := documentation()
			if err != nil {
				return err
			}
			return printEach(s.out, site.Pages, asJSON, func(p *docs.Page) { fmt.Fprintf(s.out, "%-50s %s\n", p.Path, p.Title) })
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object per line")
	return cmd
}

// printEach prints values as JSON, one per line, or as show prints them.
func printEach[T any](out io.Writer, list []T, asJSON bool, show func(T)) error {
	lines := json.NewEncoder(out)
	for _, v := range list {
		if !asJSON {
			show(v)
		} else if err := lines.Encode(v); err != nil {
			return err
		}
	}
	return nil
}

func newDocsSearch(s streams) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use: "search WORD…", Short: "Show the sections that contain all words", Args: minOneArg("the words to look for"),
		Example: "  landfall docs search dead letter\n  landfall docs search consent --json",
		RunE: func(_ *cobra.Command, args []string) error {
			site, err := documentation()
			if err != nil {
				return err
			}
			results := site.Search(strings.Join(args, " "))
			if len(results) == 0 {
				return fmt.Errorf("no section contains all of these words: try fewer or shorter ones")
			}
			return printEach(s.out, results, asJSON, func(r docs.Result) {
				fmt.Fprintf(s.out, "%s\n    %s\n", strings.TrimRight(r.Page+"#"+r.ID, "#"), r.Excerpt)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object per line")
	return cmd
}

func newDocsShow(s streams) *cobra.Command {
	return &cobra.Command{
		Use: "show PAGE", Short: "Print a page as Markdown", Args: exactArgs(1, "the path or the title of a page"),
		Example: "  landfall docs show framework/GLOSSARY.md\n  landfall docs show 'Requests in YAML'",
		RunE: func(_ *cobra.Command, args []string) error {
			site, err := documentation()
			if err != nil {
				return err
			}
			p := site.Find(args[0])
			if p == nil {
				p = site.FindTitled(args[0])
			}
			if p == nil {
				return fmt.Errorf("there is no page %q%s: landfall docs list shows all", args[0], nearestPage(site, args[0]))
			}
			_, err = s.out.Write(p.Source)
			return err
		},
	}
}

// nearestPage says which page a name that no page has was meant to be.
func nearestPage(site *docs.Site, name string) string {
	var names []string
	for _, p := range site.Pages {
		names = append(names, p.Path, p.Title)
	}
	return fault.DidYouMean(name, names)
}

func newDocsSchema(s streams) *cobra.Command {
	return &cobra.Command{
		Use: "schema [KIND]", Short: "Print the JSON Schema of a kind of file, for editors", Args: maxOneArg("the kind of a file"),
		Long: "Prints the JSON Schema of a kind of file that people write. Without KIND it lists them. An editor with a YAML language server\n" +
			"checks and completes a file whose first line names its schema: # yaml-language-server: $schema=FILE",
		Example: "  landfall docs schema destination > destination.schema.json",
		RunE: func(_ *cobra.Command, args []string) error {
			var names []string
			for _, kind := range schemas.Kinds() {
				names = append(names, string(kind))
				if len(args) == 0 {
					fmt.Fprintf(s.out, "%-12s %s\n", kind, schemas.Description(kind))
				} else if args[0] == string(kind) {
					_, err := s.out.Write(schemas.Text(kind))
					return err
				}
			}
			if len(args) == 0 {
				return nil
			}
			return usageErrorf("there is no schema %q%s: the kinds are %s", args[0], fault.DidYouMean(args[0], names), strings.Join(names, ", "))
		},
	}
}
