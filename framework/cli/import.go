package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/author/segment"
)

func newImport(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Import destinations and subscriptions from Segment",
		Long:  "Turns the JSON of Segment's Public API into files for Landfall. It notes what cannot be imported, with its place in the JSON.",
		RunE:  chooseCommand, Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(newImportMetadata(s), newImportSubscriptions(s))
	return cmd
}

// importOutput writes the result of an import.
type importOutput struct {
	streams
	out  string
	json bool
}

func (i *importOutput) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&i.out, "output", "o", "", "write to this `FILE` instead of standard output")
	cmd.Flags().BoolVar(&i.json, "json", false, "print one JSON object: the result, and the notes with their places")
}

// writeResult writes a result as YAML to the file or to standard output, and the notes to standard error.
func (i *importOutput) writeResult(r segment.Result, what string, comments ...string) error {
	text := r.YAML(comments...)
	var nothing error
	if r.Count == 0 {
		nothing = fmt.Errorf("nothing is imported, and nothing is written: no %s can be used", what)
	}
	if i.out != "" && nothing == nil {
		if err := os.WriteFile(i.out, text, 0o644); err != nil {
			return err
		}
	}
	if i.json {
		notes := r.Notes
		if notes == nil {
			notes = fault.Problems{}
		}
		return cmp.Or(json.NewEncoder(i.streams.out).Encode(map[string]any{"result": r.Value, "count": r.Count, "notes": notes}), nothing)
	}
	if i.out == "" && nothing == nil {
		_, _ = i.streams.out.Write(text)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(i.err, "note: %s\n", n)
	}
	if nothing != nil {
		return nothing
	}
	fmt.Fprintf(i.err, "%s imported, %s\n", fault.Count(r.Count, what), fault.Count(len(r.Notes), "note"))
	if i.out != "" {
		fmt.Fprintln(i.err, "wrote", i.out)
	}
	return nil
}

func newImportMetadata(s streams) *cobra.Command {
	i := importOutput{streams: s}
	cmd := &cobra.Command{
		Use:   "segment-metadata FILE",
		Short: "Make a destination.yaml from the metadata of a destination",
		Long: "Converts the metadata of a destination from Segment's Public API (GET /catalog/destinations/ID), or its definition as\n" +
			"JSON, to a destination.yaml. The code of its actions is not converted: landfall new destination --from creates a plugin\n" +
			"with handlers to complete.",
		Example: "  landfall import segment-metadata acme.json -o destination.yaml\n  landfall import segment-metadata acme.json --json",
		Args:    exactArgs(1, "a file of JSON"),
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := readFile(args[0])
			if err != nil {
				return err
			}
			r, err := segment.Metadata(args[0], text, false)
			if err != nil {
				return err
			}
			return i.writeResult(r, "action", "Made of "+filepath.Base(args[0])+" by landfall import segment-metadata.")
		},
	}
	i.addFlags(cmd)
	return cmd
}

func newImportSubscriptions(s streams) *cobra.Command {
	i := importOutput{streams: s}
	var slug, metadata string
	cmd := &cobra.Command{
		Use:   "subscriptions FILE",
		Short: "Make the subscriptions of an instance from exported ones",
		Long: "Converts subscriptions from Segment's Public API (GET /destinations/ID/subscriptions), or from a definition, to the\n" +
			"subscriptions of an instance. It checks their queries and mappings and, with --destination, their actions and fields. It\n" +
			"leaves out subscriptions that could not run.",
		Example: "  landfall import subscriptions exported.json --destination braze-cohorts\n" +
			"  landfall import subscriptions exported.json --metadata acme.json -o subscriptions.yaml",
		Args: exactArgs(1, "a file of JSON"),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := s.readSubscriptions(args[0], slug, metadata)
			if err != nil {
				return err
			}
			return i.writeResult(r, "subscription")
		},
	}
	i.addFlags(cmd)
	cmd.Flags().StringVar(&slug, "destination", "", "the `SLUG` of the destination, to check actions and fields")
	cmd.Flags().StringVar(&metadata, "metadata", "", "the `FILE` of the destination's metadata, for subscriptions that name actions by id")
	return cmd
}

// readSubscriptions reads the subscriptions of a file. slug is the destination, and metadata the file of its metadata; both may be "".
func (s streams) readSubscriptions(file, slug, metadata string) (segment.Result, error) {
	d, err := s.findDefinition(slug)
	if err != nil {
		return segment.Result{}, err
	}
	text, err := readFile(file)
	if err != nil {
		return segment.Result{}, err
	}
	var ids map[string]string
	if metadata != "" {
		described, err := readFile(metadata)
		if err == nil {
			ids, err = segment.ActionIDs(metadata, described)
		}
		if err != nil {
			return segment.Result{}, err
		}
	}
	return segment.Subscriptions(file, text, d, ids)
}

// findDefinition returns the definition of a destination, or nil if slug is "".
func (s streams) findDefinition(slug string) (*destination.Definition, error) {
	if slug == "" {
		return nil, nil
	}
	registry, err := s.catalog().RegistryFor(nil)
	if err != nil {
		return nil, err
	}
	entry, err := findDestination(registry, slug)
	return entry.Definition, err
}
