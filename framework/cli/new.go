package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/internal/author/generate"
	"github.com/landfall-dev/landfall/internal/author/scaffold"
)

// defaultDestinations is the directory of destinations unless --dir names another one.
const defaultDestinations = "destinations"

func newNew(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Create a destination, an action of one, or a repository of destinations",
		Long: "Writes the first version of a destination, an action, or a repository with destinations of its own. It builds, passes\n" +
			"the checks of all destinations and can send to a sandbox. Change it from there.",
		RunE: chooseCommand, Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(newDestination(s), newAction(s), newModule(s))
	return cmd
}

func newDestination(s streams) *cobra.Command {
	var n scaffold.New
	var from string
	cmd := &cobra.Command{
		Use:   "destination SLUG",
		Short: "Create a destination",
		Long: "Creates the directory of a destination: its definition, a handler, a sandbox of a made-up API, a case and a test. It\n" +
			"also updates the list of destinations.\n\n" +
			"With --yaml the destination has no code: its definition says what each action sends, and sandbox.yaml is the simulated\n" +
			"API. Go is not needed, and DIR need not belong to a module.\n\n" +
			"With --from it creates the plugin for an existing definition, or for Segment's metadata of a destination as JSON. It\n" +
			"creates a handler, or with --yaml a request, for each action without a request; apart from that, it does not change the\n" +
			"definition. SLUG is then optional; if given, it replaces the slug of the definition.",
		Example: "  landfall new destination acme\n  landfall new destination acme-crm --name 'Acme CRM' --scheme oauth2 --action upsertLead\n" +
			"  landfall new destination acme --batch=false    # a request for each event\n" +
			"  landfall new destination acme --audience       # it keeps audiences: members enter and leave\n" +
			"  landfall new destination acme --yaml           # without code\n" +
			"  landfall new destination --from acme.yaml      # for an existing definition\n" +
			"  landfall new destination --yaml --from acme.json    # for Segment's metadata, without code",
		Args: func(cmd *cobra.Command, args []string) error {
			if from != "" && len(args) == 0 {
				return nil
			}
			return exactArgs(1, "the slug of the destination, such as acme")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if from != "" {
				return newFrom(s, cmd, n, from, args)
			}
			n.Slug = args[0]
			return newFromScratch(s, cmd, n)
		},
	}
	addDestinationFlags(cmd, &n)
	cmd.Flags().StringVar(&from, "from", "", "create the destination for the definition, or Segment's metadata, in this `FILE`")
	cmd.Flags().BoolVar(&n.Declared, "yaml", false, "the destination has no code: its definition has the requests")
	cmd.Flags().BoolVar(&n.Audience, "audience", false, "the destination keeps audiences; its first action is syncAudience")
	addScaffoldFlags(cmd, &n)
	return cmd
}

// newFromScratch creates a destination with a definition of a made-up API.
func newFromScratch(s streams, cmd *cobra.Command, n scaffold.New) error {
	if n.Audience && !cmd.Flags().Changed("action") {
		n.Action = "" // its default
	}
	if n.Audience && !n.Batch {
		return usageErrorf("--audience cannot go with --batch=false: audiences are synced in batches")
	}
	create, next := scaffold.Destination, printNextSteps
	if n.Declared {
		create, next = scaffold.Declared, printDeclaredSteps
	}
	made, err := create(n)
	if err != nil {
		return err
	}
	s.noteTaken(n.Slug)
	return next(s, n, made)
}

// newFrom creates the plugin for an existing definition.
func newFrom(s streams, cmd *cobra.Command, n scaffold.New, file string, args []string) error {
	for _, flag := range []string{"name", "scheme", "action", "batch", "audience"} {
		if cmd.Flags().Changed(flag) {
			return usageErrorf("--%s cannot go with --from: the definition sets it", flag)
		}
	}
	if len(args) > 0 {
		n.Slug = args[0]
	}
	create, next := scaffold.From, printNextSteps
	if n.Declared {
		create, next = scaffold.DeclaredFrom, printDeclaredSteps
	}
	slug, made, notes, err := create(n.Dir, file, n.Slug)
	if err != nil {
		return err
	}
	for _, note := range notes {
		fmt.Fprintln(s.err, "note:", note)
	}
	return next(s, scaffold.New{Dir: n.Dir, Slug: slug}, made)
}

func newAction(s streams) *cobra.Command {
	var n scaffold.New
	cmd := &cobra.Command{
		Use:   "action DESTINATION KEY",
		Short: "Create an action of a destination",
		Long: "Adds an action to a destination: a handler, a case, and its place in destination.yaml and plugin.go. Both keep their\n" +
			"comments and their order. In a destination without code it adds a request to destination.yaml, a route to sandbox.yaml\n" +
			"and a case.",
		Example: "  landfall new action acme deleteContact\n  landfall new action acme trackEvent --batch=false",
		Args:    exactArgs(2, "the slug of the destination and the key of the action, such as acme createContact"),
		RunE: func(_ *cobra.Command, args []string) error {
			n.Slug, n.Action = args[0], args[1]
			made, declared, err := scaffold.Action(n)
			if err != nil {
				return err
			}
			if declared {
				return printDeclaredSteps(s, n, made)
			}
			return printNextSteps(s, n, made)
		},
	}
	addScaffoldFlags(cmd, &n)
	return cmd
}

// addDestinationFlags adds the flags that describe a new destination.
func addDestinationFlags(cmd *cobra.Command, n *scaffold.New) {
	f := cmd.Flags()
	f.StringVar(&n.Name, "name", "", "the `NAME` that users see; by default made from the slug")
	f.StringVar(&n.Scheme, "scheme", scaffold.Schemes()[0], "the authentication `SCHEME` of requests: "+strings.Join(scaffold.Schemes(), ", "))
	f.StringVar(&n.Action, "action", "createContact", "the `KEY` of its first action")
}

// noteTaken notes that this program already has a destination of this name.
func (s streams) noteTaken(slug string) {
	registry, err := destination.NewRegistry(s.plugins)
	if err != nil {
		return // every other command reports it
	}
	if other, err := registry.Find(slug); err == nil {
		fmt.Fprintf(s.err, "note: this program already has a destination called %s (%s): a program can have only one of them\n", slug, other.Definition.Name)
	}
}

func addScaffoldFlags(cmd *cobra.Command, n *scaffold.New) {
	cmd.Flags().StringVar(&n.Dir, "dir", defaultDestinations, "the `DIRECTORY` of destinations")
	cmd.Flags().BoolVar(&n.Batch, "batch", true, "the action accepts batches; --batch=false sends one request per event")
}

// printWritten prints the files that were written in a directory.
func (s streams) printWritten(dir string, files []string) {
	for _, file := range files {
		fmt.Fprintln(s.out, "wrote", filepath.Join(dir, file))
	}
}

// printNextSteps generates what follows from the definitions, and says what to do next.
func printNextSteps(s streams, n scaffold.New, made []string) error {
	importPath, err := generate.ImportPath(n.Dir)
	if err != nil {
		return err
	}
	s.printWritten(n.Dir, made)
	pkg, err := generate.DirectoryPackage(n.Dir)
	if err != nil {
		return err
	}
	changed, err := generate.All(n.Dir, pkg, importPath)
	for _, file := range changed {
		fmt.Fprintln(s.out, "wrote", file)
	}
	if err != nil {
		return err
	}
	program, err := scaffold.FindProgram(n.Dir)
	if err != nil {
		return err
	}
	fmt.Fprint(s.out, "\nTry it:\n")
	if program.Base != "" {
		fmt.Fprintf(s.out, "  cd %s\n", program.Base)
	}
	fmt.Fprintf(s.out, "  go test %s\n", program.Package(n.Slug))
	events := filepath.Join(n.Dir, n.Slug, "testdata", "events.ndjson")
	if _, err := os.Stat(events); err == nil && program.Own {
		fmt.Fprintf(s.out, "  %s run --sandbox --allow-refused %s/%s/testdata/events.ndjson\n", program.Command, program.Dir, n.Slug)
	}
	fmt.Fprintf(s.out, "After changes of %s/%s/destination.yaml:\n  go generate %s\n", program.Dir, n.Slug, generateArgument(program.Dir))
	return nil
}

// printDeclaredSteps says what to do next with a destination without code.
func printDeclaredSteps(s streams, n scaffold.New, made []string) error {
	s.printWritten(n.Dir, made)
	folder, program := filepath.Join(n.Dir, n.Slug), s.programName()
	fmt.Fprintf(s.out, "\nTry it:\n  %s suite %s\n", program, folder)
	if isFile(filepath.Join(folder, "testdata", "events.ndjson")) {
		fmt.Fprintf(s.out, "  %s run --sandbox --definitions %s --config %s --allow-refused %s\n", program, n.Dir,
			filepath.Join(folder, "testdata", "landfall.yaml"), filepath.Join(folder, "testdata", "events.ndjson"))
	}
	fmt.Fprintf(s.out, "While you change it:\n  %s suite %s --watch\n", program, folder)
	return nil
}

// generateArgument returns what go generate takes to update a directory of destinations, relative to the working directory: everything, if
// that includes the directory.
func generateArgument(dir string) string {
	if filepath.IsLocal(dir) {
		return "./..."
	}
	return dir
}
