package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/spf13/cobra"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/internal/author/generate"
	"github.com/landfall-dev/landfall/internal/author/scaffold"
)

func newModule(s streams) *cobra.Command {
	var m scaffold.Module
	cmd := &cobra.Command{
		Use:   "module PATH",
		Short: "Create a repository with a program and destinations of its own",
		Long: "Creates a Go module with a program that has all commands of landfall, one destination, tests, a config and events to try it\n" +
			"with, a script for CI and a README. The program has the destinations of Landfall and those of the module.\n\n" +
			"The module requires the version of Landfall that this program was built from, or the one that --version names. With --replace\n" +
			"it uses a checkout of Landfall instead, for development.",
		Example: "  landfall new module example.com/acme/landfall\n" +
			"  landfall new module example.com/acme/landfall --dir . --destination acme-crm --scheme oauth2\n" +
			"  landfall new module example.com/acme/landfall --dir ../acme --replace .    # in a checkout of Landfall",
		Args: exactArgs(1, "the path of the module, such as example.com/acme/landfall"),
		RunE: func(_ *cobra.Command, args []string) error {
			m.Path = args[0]
			return s.createModule(m)
		},
	}
	f := cmd.Flags()
	f.StringVar(&m.Dir, "dir", "", "the `DIRECTORY` of the module, which must be empty or new; by default the last part of PATH")
	f.StringVar(&m.Replace, "replace", "", "use the checkout of Landfall in this `DIRECTORY`")
	f.StringVar(&m.Version, "version", "", "require this `VERSION` of Landfall")
	f.StringVar(&m.Destination.Slug, "destination", "", "the `SLUG` of the destination; by default made from PATH")
	f.BoolVar(&m.Destination.Batch, "batch", true, "the action accepts batches; --batch=false sends one request per event")
	addDestinationFlags(cmd, &m.Destination)
	return cmd
}

// createModule writes a module, and prints what to do next.
func (s streams) createModule(m scaffold.Module) error {
	registry, err := destination.NewRegistry(s.plugins)
	if err != nil {
		return err
	}
	m.Taken = registry.Has
	built := m.Version == "" && m.Replace == ""
	if built {
		if m.Version = builtVersion(); m.Version == "" {
			return usageErrorf("this program does not know its version, since it was built from a checkout: give --replace with the directory of the checkout, or --version with a release of Landfall, such as v0.1.0")
		}
	}
	m, made, err := scaffold.NewModule(m)
	s.printWritten(m.Dir, made)
	if err != nil {
		return err
	}
	s.noteSurroundings(m.Dir)
	fmt.Fprintln(s.out)
	switch {
	case m.Replace != "":
		checkout, err := filepath.Abs(m.Replace)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "go.mod uses the checkout of Landfall in %s\n", checkout)
	case built:
		fmt.Fprintf(s.out, "go.mod requires Landfall %s, the version of this program.\n", m.Version)
	default:
		fmt.Fprintf(s.out, "go.mod requires Landfall %s.\n", m.Version)
	}
	if m.Replace == "" && module.IsPseudoVersion(m.Version) {
		fmt.Fprintln(s.out, "That is a commit, not a release. If go mod tidy cannot find it, run go mod edit -replace="+generate.Framework+"=DIR with a checkout.")
	}
	fmt.Fprint(s.out, "\nTry it:\n")
	if m.Dir != "." {
		fmt.Fprintf(s.out, "  cd %s\n", m.Dir)
	}
	fmt.Fprint(s.out, "  go mod tidy\n  go test ./...\n  go run . run --sandbox --allow-refused events.ndjson\nREADME.md says more.\n")
	return nil
}

// builtVersion returns the version of Landfall in this program, or "" if it is not known.
func builtVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return frameworkVersion(info)
}

// frameworkVersion returns the version of Landfall in a program, or "" if it was built from a checkout that has no version, from one with
// changes, or with a replacement.
func frameworkVersion(info *debug.BuildInfo) string {
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == generate.Framework && m.Replace == nil && module.CanonicalVersion(m.Version) == m.Version && semver.Build(m.Version) == "" {
			return m.Version
		}
	}
	return ""
}

// noteSurroundings notes what above a new module affects it: the go.mod of another module, or a go.work.
func (s streams) noteSurroundings(dir string) {
	above := filepath.Join(dir, "..")
	if root, path, err := generate.ModuleOf(above); err == nil {
		fmt.Fprintf(s.err, "note: the new module is inside the module %s in %s; a repository of its own is usually elsewhere: see --dir\n", path, root)
	}
	if work := os.Getenv("GOWORK"); work == "off" {
		return
	}
	whole, err := filepath.Abs(above)
	if err != nil {
		return
	}
	for ; ; whole = filepath.Dir(whole) {
		file := filepath.Join(whole, "go.work")
		if _, err := os.Stat(file); err == nil {
			fmt.Fprintf(s.err, "note: %s applies to the new module: add it with go work use %s, or set GOWORK=off\n", file, cmp.Or(dir, "."))
			return
		} else if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(whole) == whole {
			return
		}
	}
}
