package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
)

func TestByteOrderMarksOfFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	const text = "\xef\xbb\xbfsources: [{id: web, writeKey: 'file:key'}]\ndestinations: [{id: a, destination: webhook, subscriptions: []}]\n"
	file := write("landfall.yaml", text)
	write("key", "\xef\xbb\xbfsecret\r\n")
	cfg, problems := config.Load(file, config.Env{})
	require.Empty(t, problems)
	assert.Equal(t, "secret", cfg.Sources[0].WriteKey)
	write("key", "\xff\xfes\x00")
	_, problems = config.Load(file, config.Env{})
	require.Len(t, problems, 1)
	assert.Contains(t, problems[0].String(), "the text is UTF-16: save it as UTF-8")
}
