package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/author/generate"
	"github.com/landfall-dev/landfall/internal/author/suite"
	"github.com/landfall-dev/landfall/internal/textfile"
)

type suiteCommand struct {
	streams
	json, watch bool
	counts      passCounts
}

func newSuite(s streams) *cobra.Command {
	c := &suiteCommand{streams: s}
	cmd := &cobra.Command{
		Use:   "suite [flags] DIR…",
		Short: "Run the checks of every destination on destinations without code",
		Long: "Runs the checks that every destination must pass on a directory with a destination.yaml, or on each directory below DIR\n" +
			"that has one: its cases in testdata/cases, bad settings and payloads, secrets in what users see, every answer of the\n" +
			"remote, batches, and more. It prints a line for each check. Requests go to the sandbox or to a misbehaving remote;\n" +
			"nothing leaves this machine. Intended exceptions are listed in testdata/waivers.yaml with a reason. Go is not needed.",
		Example: "  landfall suite destinations/acme\n" +
			"  landfall suite destinations --json\n" +
			"  landfall suite destinations/acme --watch",
		Args: minOneArg("the directory of a destination, or of several"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if c.watch {
				return c.repeatOnChange(cmd.Context(), args, func(ctx context.Context) error { return c.run(ctx, args) })
			}
			return c.run(cmd.Context(), args)
		},
	}
	cmd.Flags().BoolVar(&c.json, "json", false, "print one JSON object per check, then the counts")
	addWatchFlag(cmd, &c.watch)
	return cmd
}

func (c *suiteCommand) run(ctx context.Context, args []string) error {
	c.counts = passCounts{}
	folders, err := c.definitionFolders(args)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if err := ctx.Err(); err != nil {
			return errors.New("interrupted")
		}
		c.checkFolder(folder)
	}
	return c.printPassCounts(c.counts, c.json)
}

// definitionFolders returns the given directories that have a definition, and those one level below the others.
func (c *suiteCommand) definitionFolders(args []string) (folders []string, err error) {
	for _, arg := range args {
		switch info, err := os.Stat(arg); {
		case errors.Is(err, fs.ErrNotExist):
			return nil, usageErrorf("%s: there is no such directory%s", arg, c.hintForFolder(arg))
		case err != nil:
			return nil, usageErrorf("%s: %s", arg, fault.FileReason(err))
		case filepath.Base(arg) == destination.DefinitionFile:
			return nil, usageErrorf("%s is not a directory: give %s, which has it", arg, filepath.Dir(arg))
		case !info.IsDir():
			return nil, usageErrorf("%s is not a directory: give the directory of a destination.yaml", arg)
		}
		if isFile(filepath.Join(arg, destination.DefinitionFile)) {
			folders = append(folders, filepath.Clean(arg))
			continue
		}
		files, err := textfile.Glob(arg, "*/"+destination.DefinitionFile)
		if err != nil {
			return nil, err
		}
		if len(files) == 0 {
			return nil, usageErrorf("%s has no %s, and no directory with one", arg, destination.DefinitionFile)
		}
		for _, file := range files {
			folders = append(folders, filepath.Dir(file))
		}
	}
	return folders, nil
}

// hintForFolder says which directory a name that is none was meant to be, from the destinations of this program and the directories with a
// definition beside it and below the working directory.
func (c *suiteCommand) hintForFolder(arg string) string {
	if registry, err := c.catalog().RegistryFor(nil); err == nil && registry.Has(arg) {
		return fmt.Sprintf(": %s is a destination of this program, whose own tests run these checks; give the directory of one without code", arg)
	}
	byName, folders := map[string]string{}, []string(nil)
	for _, dir := range []string{filepath.Dir(arg), ".", defaultDestinations, *c.definitions} {
		files, _ := textfile.Glob(dir, "*/"+destination.DefinitionFile)
		for _, file := range files {
			folder := filepath.Dir(file)
			byName[filepath.Base(folder)] = folder
			folders = append(folders, folder)
		}
	}
	if name := fault.Nearest(filepath.Base(arg), slices.Sorted(maps.Keys(byName))); name != "" {
		return fmt.Sprintf(" (did you mean %q?)", byName[name])
	}
	slices.Sort(folders)
	folders = slices.Compact(folders)
	switch {
	case len(folders) == 0:
		return ": make a destination with landfall new destination SLUG --yaml"
	case len(folders) > maxListedFolders:
		return fmt.Sprintf(": there are %s, and %d more", strings.Join(folders[:maxListedFolders], ", "), len(folders)-maxListedFolders)
	}
	return ": there is " + strings.Join(folders, ", ")
}

// maxListedFolders is how many directories an error lists.
const maxListedFolders = 8

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// checkFolder runs the checks on the destination in a directory, and prints a line for each.
func (c *suiteCommand) checkFolder(folder string) {
	plugin := destination.InFolder(folder)
	d, err := plugin.Load()
	if err != nil {
		var messages []string
		for _, p := range fault.ProblemsOf(err) {
			messages = append(messages, p.String())
		}
		if hasCode, other := generate.HasPlugin(folder); other == nil && hasCode {
			messages = append(messages, folder+" has code in Go, which this command does not run: use go test in its directory")
		}
		c.printCheck(filepath.Base(folder), "the definition loads", messages)
		return
	}
	if err := plugin.Sandbox.Mistakes(nil); err != nil {
		c.printCheck(d.Slug, "the sandbox loads", strings.Split(err.Error(), "\n"))
		return
	}
	findings, err := suite.Find(plugin, folder, suite.Options{})
	if err != nil {
		c.printCheck(d.Slug, "cases and waivers can be used", strings.Split(err.Error(), "\n"))
		if !errors.Is(err, suite.ErrStaleWaiver) {
			return
		}
	}
	for _, name := range suite.Names() {
		var messages []string
		for _, f := range findings {
			if f.Check == name {
				messages = append(messages, f.String())
			}
		}
		c.printCheck(d.Slug, name, messages)
	}
}

// printCheck prints the result of a check. It has failed if there are messages.
func (c *suiteCommand) printCheck(slug, name string, messages []string) {
	c.counts.add(len(messages) == 0)
	if c.json {
		c.printJSON(struct {
			Destination string   `json:"destination"`
			Check       string   `json:"check"`
			Passed      bool     `json:"passed"`
			Problems    []string `json:"problems,omitempty"`
		}{slug, name, len(messages) == 0, messages})
		return
	}
	word := "ok  "
	if len(messages) > 0 {
		word = "FAIL"
	}
	fmt.Fprintf(c.out, "%s %s: %s\n", word, slug, name)
	c.printProblems(messages)
}

// passCounts are how many checks or cases passed, and how many failed.
type passCounts struct {
	Passed int `json:"passed"`
	Failed int `json:"failed"`
}

func (n *passCounts) add(passed bool) {
	if passed {
		n.Passed++
	} else {
		n.Failed++
	}
}

// printPassCounts prints counts. The error is a reportedError if something failed.
func (s streams) printPassCounts(n passCounts, json bool) error {
	if json {
		s.printJSON(n)
	} else {
		fmt.Fprintf(s.out, "%d passed, %d failed\n", n.Passed, n.Failed)
	}
	if n.Failed > 0 {
		return reportedError{}
	}
	return nil
}
