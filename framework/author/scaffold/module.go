package scaffold

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/landfall-dev/landfall/framework/author/generate"
)

// module is the Go module that a directory of destinations is in.
type module struct {
	importPath string // of the directory
	framework  bool   // the module is the framework's own
}

// registryFile is a file that every directory of destinations has.
const registryFile = "registry_gen.go"

// findModule returns the module of a directory of destinations. It returns an error if the directory is not one, or is in no module.
func findModule(dir string) (module, error) {
	if _, err := os.Stat(filepath.Join(dir, registryFile)); err != nil {
		return module{}, fmt.Errorf("%s is not a directory of destinations: it has no %s. Run this at the root of the module, give the directory with --dir, or make it one with landfall generate", dir, registryFile)
	}
	importPath, err := generate.ImportPath(dir)
	return module{importPath, importPath == framework+"/destinations"}, err
}
