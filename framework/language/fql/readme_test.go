package fql

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

var fence = regexp.MustCompile("(?s)```([^\n]*)\n(.*?)```")

// TestReadme runs every example of README.md against the event that it contains.
func TestReadme(t *testing.T) {
	page, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var v event.Value
	examples := 0
	for _, block := range fence.FindAllStringSubmatch(string(page), -1) {
		switch block[1] {
		case "json event":
			v = event.MustParse(block[2])
		case "fql":
			for line := range strings.Lines(block[2]) {
				text, want, ok := strings.Cut(strings.TrimSpace(line), " => ")
				require.True(t, ok, line)
				q, err := Compile(text)
				require.NoError(t, err, text)
				assert.Equal(t, want, fmt.Sprint(q.Match(v)), text)
				examples++
			}
		case "refused":
			for line := range strings.Lines(block[2]) {
				text, message, ok := strings.Cut(strings.TrimSpace(line), " => ")
				require.True(t, ok, line)
				_, err := Compile(text)
				require.Error(t, err, text)
				assert.Equal(t, message, fault.ProblemsOf(err)[0].Message, text)
				examples++
			}
		}
	}
	assert.Greater(t, examples, 40)
}
