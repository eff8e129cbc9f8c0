package server

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// consoleConfig is a config with a source and no destinations.
const consoleConfig = "\nsources: [{id: web, writeKey: wk}]\ndestinations: []\n"

// TestConsoleKeyOutlivesTheFile checks that the console requires the key of its config, and denies access while the config or the
// key cannot be read.
func TestConsoleKeyOutlivesTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "landfall.yaml")
	k := &fileKey{path: file, locked: "locked"}
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	assert.Empty(t, k.readKey(), "there is no file yet")
	write(consoleConfig)
	assert.Empty(t, k.readKey())
	write("destinations: [")
	assert.Equal(t, "locked", k.readKey(), "whether it sets a key cannot be told")
	write(`admin: {key: "${LANDFALL_TEST_UNSET_KEY}"}` + consoleConfig)
	assert.Equal(t, "locked", k.readKey())
	write("admin: {key: first}" + consoleConfig)
	assert.Equal(t, "first", k.readKey())
	for _, broken := range []string{"destinations: [", `admin: {key: "${LANDFALL_TEST_UNSET_KEY}"}` + consoleConfig, `admin: {key: "file:none"}` + consoleConfig, "admin: {key: 5}" + consoleConfig, "admin: {key: ''}" + consoleConfig} {
		write(broken)
		assert.Equal(t, "first", k.readKey(), broken)
	}
	require.NoError(t, os.Remove(file))
	assert.Equal(t, "first", k.readKey())
	write("admin: {key: second}" + consoleConfig)
	assert.Equal(t, "second", k.readKey())
	write(consoleConfig)
	assert.Empty(t, k.readKey(), "it was taken out")
}
