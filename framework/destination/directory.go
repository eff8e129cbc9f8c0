package destination

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"

	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/fault"
)

// FromDirectory returns a destination without code for each file <slug>/destination.yaml below dir. The files are read here and
// checked by Load. The sandbox of each follows its sandbox.yaml, or
// accepts every request if there is none.
func FromDirectory(dir string) ([]Plugin, error) {
	files, err := fs.Glob(os.DirFS(dir), "*/"+DefinitionFile)
	if err != nil {
		return nil, err
	}
	if _, err := os.ReadDir(dir); err != nil && len(files) == 0 {
		return nil, fault.File(err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no <slug>/%s found in the directory %s", DefinitionFile, dir)
	}
	plugins := make([]Plugin, len(files))
	for i, file := range files {
		plugins[i] = InFolder(filepath.Join(dir, path.Dir(file)))
	}
	return plugins, nil
}

// InFolder is FromDirectory for the one destination whose destination.yaml is in a folder.
func InFolder(folder string) Plugin {
	name := nameOfFolder(folder)
	p := Plugin{
		Definition: os.DirFS(folder), File: filepath.Join(folder, DefinitionFile),
		Sandbox: &Sandbox{Name: name, New: newRecorderSandbox},
	}
	if _, err := fs.Stat(p.Definition, SandboxFile); err == nil {
		p.Sandbox = declaredSandbox(name, filepath.Join(folder, SandboxFile), p.Definition)
	}
	return p
}

// nameOfFolder returns the name of a folder, also of one like "." whose path does not have it.
func nameOfFolder(folder string) string {
	if whole, err := filepath.Abs(folder); err == nil {
		folder = whole
	}
	return filepath.Base(folder)
}

// hasCode reports whether the plugin's definition was read from a directory that has code in Go as well.
func (p Plugin) hasCode() bool {
	if p.File == "" {
		return false
	}
	files, err := fs.Glob(p.Definition, "*.go")
	return err == nil && len(files) > 0
}

func newRecorderSandbox(map[string][]string) http.Handler {
	return sandbox.New(sandbox.Config{API: sandbox.NewRecorder()})
}

// checkFolder refuses a definition whose directory does not have the name of its slug.
func (p Plugin) checkFolder(d *Definition) error {
	if p.File == "" {
		return nil
	}
	if folder := nameOfFolder(filepath.Dir(p.File)); folder != d.Slug {
		return d.Document.Locate(fault.Problems{{Pointer: "/slug", Message: fmt.Sprintf("is %q, but the directory is called %q", d.Slug, folder)}})
	}
	return nil
}
