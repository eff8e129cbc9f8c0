package cli

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	pages "github.com/landfall-dev/landfall"
	"github.com/landfall-dev/landfall/destinations"
)

// TestCommandsOfPages checks that the commands in the documentation exist, with their flags.
func TestCommandsOfPages(t *testing.T) {
	commands := regexp.MustCompile("(?m)(?:^    (?:sudo |go run \\./cmd/)?|`)landfall ([^#&|\n`]*)")
	notes := regexp.MustCompile(`^(COMMAND |--version|completion |sandbox SLUG)`) // placeholders, and what Cobra adds when a command runs
	checked := 0
	require.NoError(t, fs.WalkDir(pages.Pages, ".", func(page string, d fs.DirEntry, err error) error {
		if err != nil || path.Ext(page) != ".md" || page == "CHANGELOG.md" {
			return err // the changelog names commands of earlier versions
		}
		text, err := pages.Pages.ReadFile(page)
		require.NoError(t, err)
		for _, m := range commands.FindAllStringSubmatch(string(text), -1) {
			if notes.MatchString(m[1]) {
				continue
			}
			cmd, args, err := newRoot(streams{definitions: new(string), plugins: destinations.All()}).Find(strings.Fields(m[1]))
			if assert.NoError(t, err, "%s: %s", page, m[1]) {
				assert.True(t, cmd.HasParent(), "%s: %s", page, m[1])
				assert.NoError(t, cmd.ParseFlags(args), "%s: %s", page, m[1])
				checked++
			}
		}
		return nil
	}))
	assert.Greater(t, checked, 200)
}
