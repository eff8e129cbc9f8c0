package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/language/mapping"
	"github.com/landfall-dev/landfall/internal/author/tutorial"
)

// TestGuides runs every block of the pages for people who come from other products: configs are validated, exports are imported, and queries
// and mappings run on the event before them.
func TestGuides(t *testing.T) {
	fence := regexp.MustCompile("(?s)```([^\n]*)\n(.*?)```")
	for _, name := range []string{"FROM_SEGMENT.md", "FROM_RUDDERSTACK.md", "FROM_HIGHTOUCH.md"} {
		t.Run(name, func(t *testing.T) {
			page, err := os.ReadFile("../../cmd/landfall/" + name)
			require.NoError(t, err)
			g := guide{T: t}
			t.Chdir(t.TempDir())
			blocks := fence.FindAllStringSubmatch(string(page), -1)
			require.NotEmpty(t, blocks)
			for _, block := range blocks {
				g.runBlock(block[1], block[2])
			}
		})
	}
}

// TestTutorialWithoutCode follows TUTORIAL_YAML.md in an empty directory.
func TestTutorialWithoutCode(t *testing.T) {
	if hasTutorialsDestination() {
		t.Skip("a tutorial was followed in this checkout, and its destination cannot be made twice")
	}
	text, err := os.ReadFile("../../destinations/TUTORIAL_YAML.md")
	require.NoError(t, err)
	program, err := binary()
	require.NoError(t, err)
	t.Setenv("PATH", filepath.Dir(program)+string(os.PathListSeparator)+os.Getenv("PATH"))
	tutorial.Follow(t, t.TempDir(), string(text))
}

// guide is a page whose blocks run in the current directory.
type guide struct {
	*testing.T
	event event.Value
}

func (g *guide) runBlock(kind, text string) {
	switch kind {
	case "json event":
		g.event = event.MustParse(text)
	case "fql":
		g.eachExample(text, func(query, want string) {
			q, err := fql.Compile(query)
			require.NoError(g, err, query)
			assert.Equal(g, want, fmt.Sprint(q.Match(g.event)), query)
		})
	case "mapping":
		g.eachExample(text, func(directives, want string) {
			m, err := mapping.Compile(event.MustParse(directives))
			require.NoError(g, err, directives)
			got, err := m.Resolve(g.event)
			require.NoError(g, err, directives)
			assert.True(g, event.Equal(event.MustParse(want), got), "%s => %s", directives, got.JSON())
		})
	case "yaml config":
		for _, name := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllStringSubmatch(text, -1) {
			g.Setenv(name[1], "postgres://localhost/shop")
		}
		require.NoError(g, os.WriteFile("landfall.yaml", []byte(text), 0o600))
		g.run("validate", "landfall.yaml")
	case "json export":
		require.NoError(g, os.WriteFile("exported.json", []byte(text), 0o600))
	case "yaml imported":
		out := g.run("import", "subscriptions", "exported.json", "--destination", "braze")
		assert.Equal(g, text, out)
	default:
		g.Errorf("nothing runs the block %q", kind)
	}
}

func (g *guide) eachExample(text string, check func(example, want string)) {
	for line := range strings.Lines(text) {
		example, want, ok := strings.Cut(strings.TrimSpace(line), " => ")
		require.True(g, ok, line)
		check(example, want)
	}
}

// run runs a command and returns what it prints on standard output.
func (g *guide) run(args ...string) string {
	code, out, errs := commandHere(g.Context(), args...)
	require.Equal(g, exitOK, code, "%s%s", out, errs)
	return out
}
