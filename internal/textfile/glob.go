package textfile

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
)

// Glob returns the paths below a directory that match a pattern, in order. The pattern is one of io/fs.Glob, relative to the directory, in
// whose own name no character has a meaning: with filepath.Glob, nothing would be found in a directory such as "data [live]".
func Glob(dir, pattern string) ([]string, error) {
	files, err := fs.Glob(os.DirFS(cmp.Or(dir, ".")), pattern)
	for i, file := range files {
		files[i] = filepath.Join(dir, filepath.FromSlash(file))
	}
	return files, err
}
