package cli

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCommandsOfPages checks that the commands in the documentation exist, with their flags.
func TestCommandsOfPages(t *testing.T) {
	commands := regexp.MustCompile("(?m)(?:^    (?:sudo |go run \\./cmd/)?|`)landfall ([^#&|\n`]*)")
	for _, page := range []string{
		"README.md", "cmd/landfall/WAREHOUSE.md", "cmd/landfall/deploy/README.md", "cmd/landfall/deploy/TROUBLESHOOTING.md",
		"cmd/landfall/FROM_SEGMENT.md", "cmd/landfall/FROM_RUDDERSTACK.md", "cmd/landfall/FROM_HIGHTOUCH.md", "framework/PERSONAL_DATA.md", "framework/server/console/README.md",
	} {
		text, err := os.ReadFile("../../" + page)
		require.NoError(t, err)
		for _, m := range commands.FindAllStringSubmatch(string(text), -1) {
			cmd, args, err := newRoot(streams{definitions: new(string)}).Find(strings.Fields(m[1]))
			if assert.NoError(t, err, "%s: %s", page, m[1]) {
				assert.True(t, cmd.HasParent(), "%s: %s", page, m[1])
				assert.NoError(t, cmd.ParseFlags(args), "%s: %s", page, m[1])
			}
		}
	}
}
