package destinations_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/author/generate"
)

// TestTutorial follows TUTORIAL.md in a copy of the module: it runs the console blocks and compares their output, and applies each
// diff block to the file that was named last. In output, … matches anything, and runs of spaces count as one.
func TestTutorial(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a copy of the module")
	}
	text, err := os.ReadFile("TUTORIAL.md")
	require.NoError(t, err)
	root := copyModule(t)
	blocks := regexp.MustCompile("(?ms)^```(console|diff)\n(.*?)^```$").FindAllStringSubmatchIndex(string(text), -1)
	require.NotEmpty(t, blocks)
	for _, at := range blocks {
		kind, body := string(text[at[2]:at[3]]), string(text[at[4]:at[5]])
		if kind == "diff" {
			applyDiff(t, filepath.Join(root, lastFile(t, string(text[:at[0]]))), body)
			continue
		}
		for _, part := range strings.Split("\n"+body, "\n$ ")[1:] {
			command, want, _ := strings.Cut(part, "\n")
			runStep(t, root, command, want)
		}
	}
	handler, err := os.ReadFile(filepath.Join(root, "destinations", "acme", "deletecontact.go"))
	require.NoError(t, err)
	require.Contains(t, string(handler), "http.MethodDelete")
	// The tests of the module that list destinations, or have one called acme of their own, pass with acme present.
	runStep(t, root, "go test -short ./destinations -run TestDestinations/acme|TestConfigs", "ok …")
	runStep(t, root, "go test -short ./framework/cli -run TestScripts/(definitions|import|validate|new)$", "ok …")
}

// copyModule copies the files of the module, except those that begin with a dot and an existing destination acme.
func copyModule(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel("..", path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || name == "fixtures/conformance" || name == filepath.Join("destinations", "acme")):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(root, name), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(root, name), content, 0o644)
	})
	require.NoError(t, err)
	_, err = generate.All(filepath.Join(root, "destinations"), "destinations", "github.com/landfall-dev/landfall/destinations")
	require.NoError(t, err)
	return root
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

// runStep runs a command and compares its output. The command must fail if the page shows a failure.
func runStep(t *testing.T, root, command, want string) {
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
