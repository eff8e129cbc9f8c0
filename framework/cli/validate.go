package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
	"github.com/landfall-dev/landfall/framework/server/devicemode"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/internal/author/harness"
	"github.com/landfall-dev/landfall/internal/textfile"
)

func newValidate(s streams) *cobra.Command {
	var (
		asJSON, strict bool
		configs        []string
	)
	cmd := &cobra.Command{
		Use:   "validate [FILE…]",
		Short: "Check definitions and configs",
		Long: "Checks files: a file with actions is the definition of a destination, one with routes is its sandbox.yaml, one with the keys\n" +
			"of a case is a case file, and any other file is a config. With a definition, the sandbox.yaml and the case files beside\n" +
			"it are checked. It shows every mistake and every warning with its place. Without files, it checks the built-in\n" +
			"destinations and those of --definitions.\n\n" +
			"A subscription that would refuse every event is a mistake: a required field without a mapping, a constant of the wrong\n" +
			"type, a broken path, a payload that never names a user. Samples of the payloads are passed to the destination's code, which\n" +
			"sends nothing. A problem with only some events is a warning.",
		Example: "  landfall validate landfall.yaml\n  landfall validate --strict landfall.yaml\n  landfall validate destinations/*/destination.yaml",
		RunE: func(_ *cobra.Command, args []string) error {
			c := validateCommand{streams: s, json: asJSON, strict: strict, what: "file"}
			c.loadCatalog = sync.OnceValues(func() (instances.Catalog, error) { return s.catalog().Load() })
			if args = append(configs, args...); len(args) == 0 {
				return c.checkBuiltIn()
			}
			for _, file := range args {
				c.checkFile(file)
			}
			return c.printCounts()
		},
	}
	cmd.Flags().StringArrayVar(&configs, "config", nil, "a `FILE` to check, the same as an argument")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per mistake, then the counts")
	cmd.Flags().BoolVar(&strict, "strict", false, "exit with 1 for warnings, too")
	return cmd
}

type validateCommand struct {
	streams
	json, strict              bool
	what                      string // the kind of what is counted in files
	files, mistakes, warnings int

	loadCatalog func() (instances.Catalog, error)
}

// checkBuiltIn checks the definitions of --definitions, and then that they and the built-in ones can be loaded together.
func (c *validateCommand) checkBuiltIn() error {
	if err := c.checkDirectory(*c.definitions); err != nil {
		return err
	}
	if c.mistakes > 0 {
		return c.printCounts()
	}
	registry, err := c.catalog().RegistryFor(nil)
	var entries []destination.Entry
	if err == nil {
		entries, err = registry.Entries()
	}
	var wrong fault.Problems
	switch {
	case errors.As(err, &wrong):
		c.printProblems("error", wrong)
		return c.printCounts()
	case err != nil:
		return err
	}
	c.files, c.what = len(entries), "destination"
	return c.printCounts()
}

// checkDirectory checks the definitions in a directory; none if it is "".
func (c *validateCommand) checkDirectory(dir string) error {
	if dir == "" {
		return nil
	}
	plugins, err := destination.FromDirectory(dir)
	for _, p := range plugins {
		c.files++
		c.printProblemsOf(p.File, c.checkDefinition)
	}
	return err
}

func (c *validateCommand) checkFile(path string) {
	c.files++
	if c.printProblemsOf(path, c.checkText) && !c.json {
		fmt.Fprintf(c.out, "%s: ok\n", path)
	}
}

// printProblemsOf prints what a check finds in a file, and reports whether it has no mistakes.
func (c *validateCommand) printProblemsOf(path string, check func(path string, text []byte) (problems, warnings fault.Problems)) (ok bool) {
	text, err := textfile.ReadAtMost(path, yamldoc.MaxBytes)
	if err != nil {
		c.printProblems("error", fault.Problems{{File: path, Message: fault.FileReason(err)}})
		return false
	}
	problems, warnings := check(path, text)
	type place struct{ file, pointer string }
	wrong := map[place]bool{}
	for _, p := range problems {
		wrong[place{p.File, p.Pointer}] = p.Pointer != ""
	}
	warnings = slices.DeleteFunc(warnings, func(w fault.Problem) bool { return wrong[place{w.File, w.Pointer}] })
	sortByPlace(path, problems)
	sortByPlace(path, warnings)
	c.printProblems("error", problems)
	c.printProblems("warning", warnings)
	return len(problems) == 0
}

// sortByPlace sorts the problems of a file, which come from several checks, by their places. Those of other files are behind.
func sortByPlace(path string, list fault.Problems) {
	isElsewhere := func(p fault.Problem) int {
		if p.File == path {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b fault.Problem) int {
		return cmp.Or(cmp.Compare(isElsewhere(a), isElsewhere(b)), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// checkText finds the mistakes in a definition or a config.
func (c *validateCommand) checkText(path string, text []byte) (problems, warnings fault.Problems) {
	if harness.IsNDJSON(path) && harness.HasCases(path, text) {
		return checkCase(path, text), nil
	}
	doc, problems := yamldoc.Read(path, text)
	if doc == nil {
		return problems, nil
	}
	switch {
	case isDefinition(path, doc.Value()):
		return c.checkDefinition(path, text)
	case isSandbox(path, doc.Value()):
		return checkSandbox(path, text), nil
	case isCase(doc.Value()):
		return checkCase(path, text), nil
	}
	cfg, problems := config.LoadText(path, text, config.Env{})
	if cfg == nil {
		return problems, nil
	}
	catalog, err := c.loadCatalog()
	if err != nil {
		return append(problems, fault.ProblemsOf(err)...), nil
	}
	found, warnings := checkConfig(path, cfg, catalog)
	problems.AddNew(found)
	left, err := c.removedLedgers(cfg)
	if err != nil {
		warnings = append(warnings, fault.Problem{File: path, Message: "the local state cannot be read: " + err.Error()})
	}
	for _, text := range left {
		warnings = append(warnings, fault.Problem{File: path, Message: text})
	}
	return problems, warnings
}

// isDefinition reports whether a file is the definition of a destination: it has its name or its keys, of which one may be misspelt.
func isDefinition(path string, v event.Value) bool {
	isConfig := v.Get("destinations").Exists() || v.Get("sources").Exists()
	return v.Get("actions").Exists() || !isConfig && (v.Get("slug").Exists() || v.Get("authentication").Exists() || filepath.Base(path) == destination.DefinitionFile)
}

// checkConfig finds the mistakes in a config that only its destinations show, and its warnings.
func checkConfig(path string, cfg *config.Config, catalog instances.Catalog) (problems, warnings fault.Problems) {
	warnings = cfg.Warnings()
	registry, err := catalog.ReadRegistryFor(cfg)
	problems = fault.ProblemsOf(err)
	if registry == nil {
		return problems, warnings
	}
	h := instances.Options{Target: &instances.Target{DryRun: true}, Catalog: catalog}
	cfg, unsealed := h.OpenSecrets(context.Background(), cfg)
	problems = append(problems, unsealed...)
	for _, in := range cfg.Instances {
		plan, more, err := runtime.CheckInstance(cfg, in, registry, func(in config.Instance, of destination.Entry) (runtime.Host, error) {
			_, host, err := h.HostFor(cfg, in, of)
			return host, err
		})
		problems = append(problems, fault.ProblemsOf(err)...)
		warnings = append(warnings, more...)
		if plan != nil {
			for _, text := range devicemode.Missing(plan, cfg) {
				warnings = append(warnings, cfg.Document.Locate(fault.Problems{{File: path, Pointer: in.Pointer, Message: text}})...)
			}
		}
	}
	warnings = append(warnings, missingKey(path, cfg, registry)...)
	problems = append(problems, audienceruns.Check(cfg, registry)...)
	if cert := cfg.Server.TLSCert; cert != "" {
		if text := server.CheckCertificate(cfg.ResolvePath(cert), cfg.ResolvePath(cfg.Server.TLSKey)); text != "" {
			warnings = append(warnings, cfg.Document.Locate(fault.Problems{{File: path, Pointer: "/tls", Message: text}})...)
		}
	}
	return problems, warnings
}

// missingKey returns a warning for each instance that needs a login, if the config has no key for its tokens: it only runs with a sandbox.
func missingKey(path string, cfg *config.Config, registry *destination.Registry) (warnings fault.Problems) {
	for _, in := range cfg.Instances {
		entry, err := registry.Find(in.Destination)
		if err == nil && in.Enabled && cfg.StateKey == "" && runtime.NeedsLogin(entry.Definition, in) && !cfg.Document.Value().Get("state").Get("key").Exists() {
			warnings = append(warnings, fault.Problem{File: path, Pointer: in.Pointer + "/auth", Message: "is delivered to the sandbox only: tokens are stored encrypted, and the config has no key; " + instances.KeyHint})
		}
	}
	return cfg.Document.Locate(warnings)
}

// removedLedgers returns the ledgers in the config's local state whose instances are not in the config. It does not query a database.
func (c *validateCommand) removedLedgers(cfg *config.Config) (texts []string, err error) {
	if _, err := os.Stat(filepath.Join(instances.DataDir(cfg, ""), state.FileName)); err != nil || cfg.StateURL != "" {
		return nil, nil
	}
	store, err := instances.OpenState(context.Background(), cfg, "", "")
	if err != nil {
		return nil, err
	}
	defer store.Close()
	err = warnLedgers(context.Background(), cfg, store, func(text string) { texts = append(texts, text) })
	slices.Sort(texts)
	return texts, err
}

func (c *validateCommand) printProblems(level string, list fault.Problems) {
	if level == "error" {
		c.mistakes += len(list)
	} else {
		c.warnings += len(list)
	}
	for _, p := range list {
		switch {
		case c.json:
			_ = json.NewEncoder(c.out).Encode(struct {
				Level string `json:"level"`
				fault.Problem
			}{level, p})
		case level == "error":
			fmt.Fprintln(c.out, p)
		default:
			fmt.Fprintf(c.out, "warning: %s\n", p)
		}
	}
}

func (c *validateCommand) printCounts() error {
	switch {
	case c.json:
		_ = json.NewEncoder(c.out).Encode(map[string]int{"files": c.files, "errors": c.mistakes, "warnings": c.warnings})
	case c.mistakes == 1:
		fmt.Fprint(c.out, "\n1 mistake\n")
	case c.mistakes > 1:
		fmt.Fprintf(c.out, "\n%d mistakes\n", c.mistakes)
	default:
		fmt.Fprintf(c.out, "%s checked, no mistakes\n", fault.Count(c.files, c.what))
	}
	if c.mistakes > 0 || c.strict && c.warnings > 0 {
		return reportedError{}
	}
	return nil
}
