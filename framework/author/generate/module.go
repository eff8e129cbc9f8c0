package generate

import (
	"errors"
	"fmt"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
)

// DirectoryPackage returns the name of the Go package in a directory of destinations: the name of the directory as a valid Go name.
func DirectoryPackage(dir string) (string, error) {
	whole, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	name := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' {
			return unicode.ToLower(r)
		}
		return -1
	}, filepath.Base(whole))
	if !token.IsIdentifier(name) {
		return "", fmt.Errorf("the directory %s gives no name for a Go package: rename it", whole)
	}
	return name, nil
}

var moduleLine = regexp.MustCompile(`(?m)^module\s+"?([^\s"]+)`)

// ImportPath returns the Go import path of a directory, from the nearest go.mod in it or above it.
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
