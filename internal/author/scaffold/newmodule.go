package scaffold

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/landfall-dev/landfall/internal/author/generate"
)

// Module describes a new module: a repository with a program of its own, one destination, and their tests.
type Module struct {
	Dir     string // a directory that does not exist or is empty; by default the name of the program
	Path    string // of the module, such as example.com/acme/landfall
	Version string // of Landfall, such as v0.1.0; may be empty if Replace is set
	Replace string // a checkout of Landfall that replaces the released one; may be empty

	Destination New                    // its Dir is set, and its Slug is by default made from Path
	Taken       func(slug string) bool // reports whether a destination of Landfall has this name; may be nil
}

// goVersion is the Go version that a new module requires: that of Landfall's go.mod.
const goVersion = "1.26.0"

// NewModule writes a new module. It returns the module with its defaults filled in, and the new files, relative to Dir.
func NewModule(m Module) (Module, []string, error) {
	m.Path = strings.TrimSuffix(m.Path, "/")
	if err := m.checkPath(); err != nil {
		return m, nil, err
	}
	m.Dir = filepath.Clean(cmp.Or(m.Dir, m.Program()))
	m.Destination.Slug = cmp.Or(m.Destination.Slug, m.defaultSlug())
	m.Destination.Dir = filepath.Join(m.Dir, "destinations")
	m.Destination = m.Destination.withDefaults()
	n := m.Destination
	if err := errors.Join(checkEmpty(m.Dir), m.checkSource(), n.checkSlug(), n.checkAction(nil), m.checkTaken()); err != nil {
		return m, nil, err
	}
	made, err := m.writeFiles()
	if err != nil {
		return m, made, err
	}
	destinationFiles, err := Destination(n)
	for _, file := range destinationFiles {
		made = append(made, filepath.Join("destinations", file))
	}
	if err != nil {
		return m, made, err
	}
	changed, err := generate.All(m.Destination.Dir, "destinations", m.Path+"/destinations")
	for _, file := range changed {
		if relative, err := filepath.Rel(m.Dir, file); err == nil && !slices.Contains(made, relative) {
			made = append(made, relative)
		}
	}
	slices.Sort(made)
	return m, made, err
}

// Program returns the name of the module's program: the last element of its path that is no major version.
func (m Module) Program() string {
	prefix, _, _ := module.SplitPathVersion(m.Path)
	return prefix[strings.LastIndexByte(prefix, '/')+1:]
}

// checkPath checks that Go can build and download a module with this path.
func (m Module) checkPath() error {
	var invalid *module.InvalidPathError
	err := module.CheckPath(m.Path)
	switch {
	case errors.As(err, &invalid):
		return fmt.Errorf("%q cannot be the path of a Go module: %w; it is where the repository can be found, such as example.com/acme/landfall", m.Path, invalid.Err)
	case err != nil:
		return err
	case m.Path == generate.Framework || strings.HasPrefix(m.Path, generate.Framework+"/"):
		return fmt.Errorf("%s belongs to Landfall itself: give the module a path of your own, such as example.com/acme/landfall", m.Path)
	case m.Program() == "destinations":
		return fmt.Errorf("%s ends in the name of the program, which cannot be destinations: that is the directory of the destinations", m.Path)
	}
	return nil
}

// defaultSlug makes the name of a destination from the path of the module: example.com/acme/landfall gives acme.
func (m Module) defaultSlug() string {
	prefix, _, _ := module.SplitPathVersion(m.Path)
	elements := strings.Split(prefix, "/")
	slices.Reverse(elements)
	for _, element := range elements[:len(elements)-1] { // without the host
		n := New{Slug: strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(element))}.withDefaults()
		if n.Slug != "landfall" && n.checkSlug() == nil && !m.isTaken(n.Slug) {
			return n.Slug
		}
	}
	return "acme"
}

func (m Module) isTaken(slug string) bool { return m.Taken != nil && m.Taken(slug) }

func (m Module) checkTaken() error {
	if m.isTaken(m.Destination.Slug) {
		return fmt.Errorf("the destination %q exists in Landfall, and two destinations of a program cannot have one name: give another with --destination", m.Destination.Slug)
	}
	return nil
}

// checkEmpty returns an error if a directory exists and has anything but the data of git.
func checkEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("the new module needs an empty directory: %w", err)
	}
	for _, entry := range entries {
		if entry.Name() != ".git" {
			return fmt.Errorf("%s is not empty: it has %s. Give an empty directory, or one that does not exist, with --dir", dir, entry.Name())
		}
	}
	return nil
}

// checkSource checks where the module takes Landfall from.
func (m Module) checkSource() error {
	if m.Version != "" && (module.CanonicalVersion(m.Version) != m.Version || semver.Build(m.Version) != "" || module.CheckPathMajor(m.Version, "") != nil) {
		return fmt.Errorf("the version of Landfall should be a release such as v0.1.0, or a pseudo-version such as v0.0.0-20260102030405-0123456789ab, but is %q", m.Version)
	}
	if m.Replace == "" {
		if m.Version == "" {
			return errors.New("the module needs a version of Landfall, or a checkout that replaces it")
		}
		return nil
	}
	file := filepath.Join(m.Replace, "go.mod")
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%s is not a checkout of Landfall: %w", m.Replace, err)
	}
	if path := modfile.ModulePath(text); path != generate.Framework {
		return fmt.Errorf("%s is not a checkout of Landfall: its go.mod is that of the module %s, not of %s", m.Replace, path, generate.Framework)
	}
	return nil
}

// modFile returns the content of go.mod.
func (m Module) modFile() ([]byte, error) {
	f := new(modfile.File)
	err := errors.Join(f.AddModuleStmt(m.Path), f.AddGoStmt(goVersion), f.AddRequire(generate.Framework, cmp.Or(m.Version, "v0.0.0")), f.AddTool(generate.Framework+"/cmd/landfall"))
	if err == nil && m.Replace != "" {
		var to string
		if to, err = m.replacement(); err == nil {
			err = errors.Join(f.AddReplace(generate.Framework, "", to, ""), m.requireAsCheckout(f))
		}
	}
	if err != nil {
		return nil, err
	}
	f.Cleanup()
	return f.Format()
}

// requireAsCheckout requires all modules that the checkout requires, so that the module builds before go mod tidy has been run. That
// removes those that it does not need.
func (m Module) requireAsCheckout(f *modfile.File) error {
	path := filepath.Join(m.Replace, "go.mod")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	checkout, err := modfile.Parse(path, text, nil)
	if err != nil {
		return err
	}
	for _, r := range checkout.Require {
		f.AddNewRequire(r.Mod.Path, r.Mod.Version, true)
	}
	return nil
}

// replacement returns the checkout as a replace directive names it: relative to the module unless Replace is absolute.
func (m Module) replacement() (string, error) {
	if filepath.IsAbs(m.Replace) {
		return filepath.Clean(m.Replace), nil
	}
	from, err := filepath.Abs(m.Dir)
	if err != nil {
		return "", err
	}
	to, err := filepath.Abs(m.Replace)
	if err != nil {
		return "", err
	}
	relative, err := relativeSlash(from, to)
	if err != nil {
		return "", err
	}
	return packageArgument(relative), nil
}

// moduleView is the data of the templates of a module.
type moduleView struct {
	view
	Path, Program, Env, Replace string
}

// writeFiles writes the files of the module outside of its destinations, and an empty registry.
func (m Module) writeFiles() (made []string, err error) {
	contents, err := m.fileContents()
	if err != nil {
		return nil, err
	}
	for path, text := range contents {
		whole, mode := filepath.Join(m.Dir, path), fs.FileMode(0o644)
		if path == filepath.Join(".ci", "run") {
			mode = 0o755
		}
		if err := os.MkdirAll(filepath.Dir(whole), 0o755); err != nil {
			return made, err
		}
		if err := os.WriteFile(whole, text, mode); err != nil {
			return made, err
		}
		made = append(made, path)
	}
	if err := os.MkdirAll(m.Destination.Dir, 0o755); err != nil {
		return made, err
	}
	_, err = generate.All(m.Destination.Dir, "destinations", m.Path+"/destinations")
	return append(made, filepath.Join("destinations", registryFile)), err
}

// fileContents returns the files of the module outside of its destinations, by path.
func (m Module) fileContents() (map[string][]byte, error) {
	v := moduleView{
		view: m.Destination.view(location{importPath: m.Path + "/destinations"}),
		Path: m.Path, Program: m.Program(), Env: strings.ToUpper(strings.ReplaceAll(m.Destination.Slug, "-", "_")),
	}
	mod, err := m.modFile()
	if err != nil {
		return nil, err
	}
	contents := map[string][]byte{"go.mod": mod}
	if m.Replace != "" {
		if v.Replace, err = m.replacement(); err != nil {
			return nil, err
		}
		if contents["go.sum"], err = os.ReadFile(filepath.Join(m.Replace, "go.sum")); err != nil {
			return nil, err
		}
	}
	for path, name := range map[string]string{
		"main.go": "module-main.go.tmpl", "main_test.go": "module-main_test.go.tmpl", "README.md": "module-README.md.tmpl", ".gitignore": "module-gitignore.tmpl",
		"landfall.yaml": "module-landfall.yaml.tmpl", "events.ndjson": "events.ndjson.tmpl", filepath.Join(".ci", "run"): "module-ci.tmpl",
	} {
		text, err := executeTemplate(name, v)
		if err == nil && strings.HasSuffix(path, ".go") {
			text, err = formatGo(path, text)
		}
		if err != nil {
			return nil, err
		}
		contents[path] = text
	}
	return contents, nil
}
