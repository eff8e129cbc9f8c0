package main_test

//go:generate go test -run TestNotice -update .

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the NOTICE of the repository")

// licenceFile matches the names of files with the terms of a dependency.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([.-].*)?$`)

// standardLibrary has the licence of golang.org/x/sys, from the same authors. Not every package of Go has the file LICENSE.
const standardLibrary = "the Go standard library"

// TestNotice checks that NOTICE has the terms of every module of which code is in the program, on any system.
func TestNotice(t *testing.T) {
	want := noticeText(t, programModules(t))
	if *update {
		require.NoError(t, os.WriteFile("../../NOTICE", []byte(want), 0o644))
	}
	got, err := os.ReadFile("../../NOTICE")
	require.NoError(t, err)
	assert.True(t, want == string(got), "NOTICE does not match the dependencies of cmd/landfall: run go generate ./cmd/landfall")
}

// programModules returns the directories of the modules that the program contains, by their paths.
func programModules(t *testing.T) map[string]string {
	modules := map[string]string{}
	for _, system := range []string{"linux", "darwin", "windows"} {
		list := exec.Command("go", "list", "-deps", "-f", `{{with .Module}}{{if not .Main}}{{.Path}} {{.Dir}}{{end}}{{end}}`, ".")
		list.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0")
		out, err := list.Output()
		require.NoError(t, err)
		for line := range strings.Lines(string(out)) {
			if path, dir, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
				modules[path] = dir
			}
		}
	}
	require.Greater(t, len(modules), 40)
	modules[standardLibrary] = modules["golang.org/x/sys"]
	return modules
}

// noticeText returns the terms of modules. Modules with the same text share it.
func noticeText(t *testing.T, modules map[string]string) string {
	users := map[string][]string{}
	for _, path := range slices.Sorted(maps.Keys(modules)) {
		found := false
		entries, err := os.ReadDir(modules[path])
		require.NoError(t, err)
		for _, e := range entries {
			if e.IsDir() || !licenceFile.MatchString(e.Name()) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(modules[path], e.Name()))
			require.NoError(t, err)
			users[normalLines(string(text))] = append(users[normalLines(string(text))], path+" ("+e.Name()+")")
			found = true
		}
		assert.True(t, found, "%s has no licence in %s", path, modules[path])
	}
	texts := slices.SortedFunc(maps.Keys(users), func(a, b string) int { return strings.Compare(users[a][0], users[b][0]) })
	var b strings.Builder
	b.WriteString("Landfall is published under the MIT licence in the file LICENSE. The program landfall contains code of the modules below,\nunder the terms that follow each list. go generate ./cmd/landfall writes this file.\n")
	for _, text := range texts {
		fmt.Fprintf(&b, "\n%s\n%s\n%[1]s\n\n%[3]s", strings.Repeat("=", 80), strings.Join(users[text], "\n"), text)
	}
	return b.String()
}

// normalLines removes carriage returns, spaces at the ends of lines, and empty lines around a text.
func normalLines(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " \t\f")
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n") + "\n"
}
