package scaffold

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/landfall-dev/landfall/internal/author/generate"
)

// location is where a directory of destinations is.
type location struct {
	importPath string // of the directory
	framework  bool   // the module is the framework's own
}

// registryFile is a file that every directory of destinations has.
const registryFile = "registry_gen.go"

// findLocation returns the location of a directory of destinations. It returns an error if the directory is not one, or is in no module.
func findLocation(dir string) (location, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return location{}, fmt.Errorf("there is no directory %s: run this at the root of a module with destinations, which landfall new module makes, or give the directory with --dir", dir)
	}
	if _, err := os.Stat(filepath.Join(dir, registryFile)); err != nil {
		return location{}, fmt.Errorf("%s is not a directory of destinations: it has no %s. Run this at the root of the module, give the directory with --dir, or make it one with landfall generate --dir %[1]s", dir, registryFile)
	}
	importPath, err := generate.ImportPath(dir)
	return location{importPath, importPath == generate.Framework+"/destinations"}, err
}
