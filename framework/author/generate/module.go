package generate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
)

var moduleLine = regexp.MustCompile(`(?m)^module\s+"?([^\s"]+)`)

// ImportPath is the Go import path of a directory, by the go.mod above it.
func ImportPath(dir string) (string, error) {
	whole, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for root := whole; ; root = filepath.Dir(root) {
		text, err := os.ReadFile(filepath.Join(root, "go.mod"))
		if errors.Is(err, fs.ErrNotExist) {
			if filepath.Dir(root) == root {
				return "", fmt.Errorf("%s is in no Go module: there is no go.mod above it", dir)
			}
			continue
		} else if err != nil {
			return "", err
		}
		m := moduleLine.FindSubmatch(text)
		if m == nil {
			return "", fmt.Errorf("%s names no module", filepath.Join(root, "go.mod"))
		}
		inside, err := filepath.Rel(root, whole)
		return path.Join(string(m[1]), filepath.ToSlash(inside)), err
	}
}
