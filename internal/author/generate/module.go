package generate

import (
	"errors"
	"fmt"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode"

	"golang.org/x/mod/modfile"
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

// ImportPath returns the Go import path of a directory, from the nearest go.mod in it or above it.
func ImportPath(dir string) (string, error) {
	root, modulePath, err := ModuleOf(dir)
	if err != nil {
		return "", err
	}
	whole, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	inside, err := filepath.Rel(root, whole)
	return path.Join(modulePath, filepath.ToSlash(inside)), err
}

// NoModuleError is the error of a directory that is in no Go module.
type NoModuleError struct{ Dir string }

func (e *NoModuleError) Error() string {
	return e.Dir + " is in no Go module: there is no go.mod above it"
}

// ModuleOf returns the root directory and the path of the Go module that a directory is in. The directory need not exist. The error is a
// *NoModuleError if there is no go.mod in it or above it.
func ModuleOf(dir string) (root, modulePath string, err error) {
	if root, err = filepath.Abs(dir); err != nil {
		return "", "", err
	}
	for ; ; root = filepath.Dir(root) {
		text, err := os.ReadFile(filepath.Join(root, "go.mod"))
		if errors.Is(err, fs.ErrNotExist) {
			if filepath.Dir(root) == root {
				return "", "", &NoModuleError{dir}
			}
			continue
		} else if err != nil {
			return "", "", err
		}
		if modulePath = modfile.ModulePath(text); modulePath == "" {
			return "", "", fmt.Errorf("%s names no module", filepath.Join(root, "go.mod"))
		}
		return root, modulePath, nil
	}
}
