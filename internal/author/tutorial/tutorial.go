// Package tutorial follows the pages that teach how to write destinations, in tests: it does what the pages say, and compares what happens.
package tutorial

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Follow runs the console blocks of a page in a directory and compares their output, and applies each diff block to the file below
// destinations/acme that was named last.
func Follow(t *testing.T, root, text string) {
	t.Helper()
	blocks := regexp.MustCompile("(?ms)^```(console|diff)\n(.*?)^```$").FindAllStringSubmatchIndex(text, -1)
	require.NotEmpty(t, blocks)
	for _, at := range blocks {
		kind, body := text[at[2]:at[3]], text[at[4]:at[5]]
		if kind == "diff" {
			applyDiff(t, filepath.Join(root, lastFile(t, text[:at[0]])), body)
			continue
		}
		for _, part := range strings.Split("\n"+body, "\n$ ")[1:] {
			command, want, _ := strings.Cut(part, "\n")
			Run(t, root, command, want)
		}
	}
}

var fileName = regexp.MustCompile("`(destinations/acme/[^`]+)`")

// lastFile returns the file that a text names last.
func lastFile(t *testing.T, before string) string {
	t.Helper()
	names := fileName.FindAllStringSubmatch(before, -1)
	require.NotEmpty(t, names)
	return names[len(names)-1][1]
}

// applyDiff replaces the lines that a diff shows. They must occur exactly once in the file.
func applyDiff(t *testing.T, file, diff string) {
	t.Helper()
	var before, after strings.Builder
	for line := range strings.Lines(diff) {
		if line[0] != '+' {
			before.WriteString(line[1:])
		}
		if line[0] != '-' {
			after.WriteString(line[1:])
		}
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(text), before.String()), "%s should hold once:\n%s", file, before.String())
	changed := strings.Replace(string(text), before.String(), after.String(), 1)
	require.NoError(t, os.WriteFile(file, []byte(changed), 0o644))
}

// Run runs a command in a directory and compares its output, in which … matches anything and runs of spaces count as one. The command must
// fail if the page shows a failure.
func Run(t *testing.T, root, command, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	words := strings.Fields(command)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	require.Equal(t, strings.Contains(want, "FAIL"), err != nil, "%s\n%s", command, out)
	require.Regexp(t, pattern(want), oneSpace(string(out)), fmt.Sprintf("$ %s\nsays\n%s", command, out))
}

// pattern returns a regular expression for output in which … matches anything.
func pattern(want string) string {
	quoted := regexp.QuoteMeta(strings.TrimSpace(oneSpace(want)))
	return `(?s)^\s*` + strings.ReplaceAll(quoted, "…", ".*") + `\s*$`
}

var spaces = regexp.MustCompile(`(?m)[ \t]+|^[ \t]+`)

// oneSpace replaces runs of spaces by one space and trims lines.
func oneSpace(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimSpace(spaces.ReplaceAllString(line, " ")) + "\n")
	}
	return b.String()
}
