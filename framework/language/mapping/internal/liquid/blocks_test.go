package liquid_test

import (
	_ "embed"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/language/mapping/internal/liquid"
)

//go:embed testdata/blocks.ndjson
var blocks string

// TestBlocks renders templates that combine tags, blocks, white space control, comments and mistakes. An earlier implementation, on
// another parser of blocks, gave the same output.
func TestBlocks(t *testing.T) {
	for line := range strings.Lines(blocks) {
		var c struct{ Template, Output, Fails string }
		require.NoError(t, json.Unmarshal([]byte(line), &c), line)
		template, err := liquid.Compile(c.Template)
		if c.Fails == "compile" {
			assert.Error(t, err, c.Template)
			continue
		}
		require.NoError(t, err, c.Template)
		got, err := template.Render(sample)
		assert.Equal(t, c.Fails == "render", err != nil, "%q: %v", c.Template, err)
		assert.Equal(t, c.Output, got, "%q", c.Template)
	}
}
