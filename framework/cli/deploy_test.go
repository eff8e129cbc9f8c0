package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// TestDeployFiles checks that the config in the operations page is valid, and that the metrics of the page and the dashboard exist.
func TestDeployFiles(t *testing.T) {
	page, err := os.ReadFile("../../cmd/landfall/deploy/README.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1)
	require.Len(t, blocks, 2)
	text := bytes.Join([][]byte{blocks[0][1], blocks[1][1]}, nil)
	_, problems := config.Parse("README.md", text, config.Env{
		Lookup: func(string) (string, bool) { return "x", true }, ReadFile: func(string) ([]byte, error) { return []byte("x"), nil },
	})
	assert.Empty(t, problems)

	s := newServed(t, serveConfig, "--sandbox")
	s.start()
	s.post(entered("u1", "vip"))
	s.post(entered("u1", "vip"))
	s.waitSettled(2)
	_, metrics := s.ask("/metrics")
	dashboard, err := os.ReadFile("../../cmd/landfall/deploy/grafana.json")
	require.NoError(t, err)
	require.True(t, json.Valid(dashboard))
	names := regexp.MustCompile(`landfall_[a-z_]+`)
	for _, asked := range append(names.FindAll(dashboard, -1), names.FindAll(page, -1)...) {
		if string(asked) != "landfall_retries_total" { // nothing was tried again
			assert.Contains(t, metrics, string(asked))
		}
	}
}
