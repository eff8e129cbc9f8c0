package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/author/harness"
	"github.com/landfall-dev/landfall/internal/textfile"
)

type testCommand struct {
	streams
	json, update bool
	watch        bool
	counts       passCounts
}

func newTest(s streams) *cobra.Command {
	c := &testCommand{streams: s}
	var ignored bool
	cmd := &cobra.Command{
		Use:   "test [flags] FILE…",
		Short: "Run case files",
		Long: "Runs the cases in files (one case as JSON or YAML, several as NDJSON) and in all case files below directories. A case\n" +
			"states what a mapping, a query, fields or a destination must produce. Requests get the responses of the case, or go to\n" +
			"the destination's sandbox if it has none; nothing leaves this machine. A failure shows what the case sent and received, with\n" +
			"its settings as they are: invent the secrets in case files.",
		Example: "  landfall test fixtures/braze-cohorts/cases\n" +
			"  landfall test --update fixtures/braze-cohorts/cases/enter.yaml\n" +
			"  landfall test --definitions destinations --watch destinations/acme/testdata/cases",
		Args: minOneArg("case files or directories"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case c.watch && c.update:
				return usageErrorf("--watch cannot go with --update, which changes the files that are watched")
			case c.watch:
				return c.repeatOnChange(cmd.Context(), c.watchedPaths(args), func(ctx context.Context) error { return c.run(ctx, args) })
			}
			return c.run(cmd.Context(), args)
		},
	}
	addWatchFlag(cmd, &c.watch)
	cmd.Flags().BoolVar(&c.json, "json", false, "print one JSON object per case, then the counts")
	cmd.Flags().BoolVar(&c.update, "update", false, "replace the expectations of failed cases by the actual results; a case that cannot run is never updated")
	cmd.Flags().BoolVar(&ignored, "sandbox", true, "has no effect: requests without responses always go to the sandbox")
	return cmd
}

// watchedPaths returns the files and directories whose changes make the cases run again.
func (c *testCommand) watchedPaths(args []string) []string {
	if *c.definitions == "" {
		return args
	}
	return append(slices.Clone(args), *c.definitions)
}

func (c *testCommand) run(ctx context.Context, args []string) error {
	c.counts = passCounts{}
	registry, err := c.catalog().RegistryFor(nil)
	if err != nil {
		return err
	}
	files, err := caseFiles(args)
	if err != nil {
		return err
	}
	suite := &harness.Suite{Registry: registry}
	for _, file := range files {
		if err := c.runFile(ctx, suite, file); err != nil {
			return err
		}
	}
	return c.printPassCounts(c.counts, c.json)
}

// runFile runs the cases of one file. A file that cannot be parsed counts as one failed case. One that was found in a directory and has no case is
// skipped: configs and events are often beside cases.
func (c *testCommand) runFile(ctx context.Context, suite *harness.Suite, found caseFile) error {
	file := found.path
	text, err := readFile(file)
	if err != nil {
		return err
	}
	if found.inDirectory && !harness.HasCases(file, text) {
		fmt.Fprintf(c.err, "skipped %s: it has no cases\n", file)
		return nil
	}
	cases, err := harness.Parse(file, text)
	if err != nil {
		c.printResult(harness.Result{Case: harness.Case{File: file, Name: file}, Problems: []string{err.Error()}})
	}
	var results []harness.Result
	for _, one := range cases {
		if err := ctx.Err(); err != nil {
			return errors.New("interrupted")
		}
		results = append(results, suite.Run(ctx, one))
	}
	if c.update && err == nil {
		if err := c.updateFile(file, text, results); err != nil {
			return err
		}
	}
	for _, r := range results {
		c.printResult(r)
	}
	return nil
}

// updateFile replaces the expectations of failed cases in a file by the actual results. If one of them cannot be updated, the file stays
// unchanged and the cases count as failed.
func (c *testCommand) updateFile(file string, text []byte, results []harness.Result) error {
	updated, err := harness.Update(file, text, results)
	if err != nil {
		fmt.Fprintf(c.err, "%s is not updated:\n%v\n", file, err)
		return nil
	}
	if string(updated) == string(text) {
		return nil
	}
	if err := textfile.Update(file, updated, 0o644); err != nil {
		return err
	}
	for i, r := range results {
		if !r.Passed() {
			results[i].Problems = nil
			fmt.Fprintf(c.err, "updated %s: %s\n", file, r.Case.Name)
		}
	}
	return nil
}

func (c *testCommand) printResult(r harness.Result) {
	c.counts.add(r.Passed())
	if c.json {
		c.printJSON(struct {
			File     string   `json:"file"`
			Line     int      `json:"line,omitempty"`
			Name     string   `json:"name"`
			Passed   bool     `json:"passed"`
			Problems []string `json:"problems,omitempty"`
		}{r.Case.File, r.Case.Line, r.Case.Name, r.Passed(), r.Problems})
		return
	}
	if !r.Passed() {
		place := r.Case.File
		if r.Case.Line > 0 { // the file was read
			place = fmt.Sprintf("%s:%d", place, r.Case.Line)
		}
		fmt.Fprintf(c.out, "FAIL %s (%s)\n", r.Case.Name, place)
		c.printProblems(r.Problems)
		fmt.Fprintln(c.out)
	}
}

// caseFile is a file that may have cases.
type caseFile struct {
	path        string
	inDirectory bool // it was found below a directory, not named itself
}

// caseFiles returns the given files and the files with cases' extensions below the given directories, sorted within each directory.
func caseFiles(args []string) ([]caseFile, error) {
	var files []caseFile
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case err != nil:
			return nil, usageErrorf("%s: %s", arg, fault.FileReason(err))
		case !info.IsDir():
			files = append(files, caseFile{path: arg})
			continue
		}
		before := len(files)
		err = filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && slices.Contains(caseExtensions, filepath.Ext(path)) {
				files = append(files, caseFile{path, true})
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(files) == before {
			return nil, usageErrorf("%s: the directory has no case files (%s)", arg, strings.Join(caseExtensions, ", "))
		}
	}
	return files, nil
}

var caseExtensions = []string{".json", ".ndjson", ".yaml", ".yml"}
