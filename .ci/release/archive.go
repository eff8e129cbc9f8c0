package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// copied are the files of the checkout that an archive contains, at the same place, so that the commands of README.md work in it.
var copied = []string{
	"LICENSE", "NOTICE", "README.md", "CHANGELOG.md", "SECURITY.md", "STABILITY.md", "cmd/landfall/deploy/*",
	"fixtures/braze-cohorts/audience.ndjson", "fixtures/braze-cohorts/landfall.yaml",
}

// shells are the shells with completion, and the names of their files.
var shells = map[string]string{"bash": "landfall.bash", "zsh": "_landfall", "fish": "landfall.fish"}

// Where the files that the program writes itself are.
const (
	manualDir     = "man/man1/"
	completionDir = "completions/"
)

// sharedFiles returns the files that each archive contains. host is a program that runs here.
func (r *release) sharedFiles(ctx context.Context, host string) ([]file, error) {
	var files []file
	for _, pattern := range copied {
		found, err := filepath.Glob(filepath.Join(r.root, pattern))
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("there is no %s", pattern)
		}
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			if info, err := os.Stat(name); err != nil || info.IsDir() {
				continue
			}
			content, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			relative, err := filepath.Rel(r.root, name)
			if err != nil {
				return nil, err
			}
			files = append(files, file{filepath.ToSlash(relative), content, 0o644})
		}
	}
	written, err := r.writtenFiles(ctx, host)
	return append(files, written...), err
}

// writtenFiles returns the manual pages and the scripts of shells, which the program writes.
func (r *release) writtenFiles(ctx context.Context, host string) (files []file, err error) {
	for _, shell := range slices.Sorted(maps.Keys(shells)) {
		script, err := exec.CommandContext(ctx, host, "completion", shell).Output()
		if err != nil {
			return nil, fmt.Errorf("the completion of %s: %w", shell, err)
		}
		files = append(files, file{completionDir + shells[shell], script, 0o644})
	}
	dir := filepath.Join(r.work, "man1")
	if out, err := exec.CommandContext(ctx, host, "man", dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the manual pages: %w: %s", err, out)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil {
		return nil, err
	}
	for _, page := range pages {
		content, err := os.ReadFile(page)
		if err != nil {
			return nil, err
		}
		files = append(files, file{manualDir + filepath.Base(page), content, 0o644})
	}
	return files, nil
}

// writeArchive writes the archive of a target and returns its name.
func (r *release) writeArchive(b binary) (string, error) {
	content, err := os.ReadFile(b.path)
	if err != nil {
		return "", err
	}
	top := r.fileName(b.target, "")
	files := []file{{path.Join(top, program), content, 0o755}}
	for _, f := range r.shared {
		f.name = path.Join(top, f.name)
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	plain, err := tarOf(files, nil, r.time)
	if err != nil {
		return "", err
	}
	name := top + ".tar.gz"
	return name, os.WriteFile(filepath.Join(r.out, name), gzipped(plain), 0o644)
}

// gzipped returns a compressed content.
func gzipped(content []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(content) // a buffer never fails
	_ = w.Close()
	return b.Bytes()
}
