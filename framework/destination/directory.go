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
		folder := path.Dir(file)
		plugins[i] = Plugin{
			Definition: os.DirFS(filepath.Join(dir, folder)), File: filepath.Join(dir, folder, DefinitionFile),
			Sandbox: &Sandbox{Name: folder, New: newRecorderSandbox},
		}
		if _, err := fs.Stat(plugins[i].Definition, SandboxFile); err == nil {
			plugins[i].Sandbox = DeclaredSandbox(folder, plugins[i].Definition)
		}
	}
	return plugins, nil
}

func newRecorderSandbox(map[string][]string) http.Handler {
	return sandbox.New(sandbox.Config{API: sandbox.NewRecorder()})
}

// checkFolder refuses a definition whose directory does not have the name of its slug.
func (p Plugin) checkFolder(d *Definition) error {
	if p.File == "" {
		return nil
	}
	if folder := filepath.Base(filepath.Dir(p.File)); folder != d.Slug {
		return d.Document.Locate(fault.Problems{{Pointer: "/slug", Message: fmt.Sprintf("is %q, but the directory is called %q", d.Slug, folder)}})
	}
	return nil
}
