package server

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/textfile"
)

// TestTheAddressFileIsReplaced checks that the address file is replaced atomically, is readable for its user only, and is not
// written through a link.
func TestTheAddressFileIsReplaced(t *testing.T) {
	dir := t.TempDir()
	elsewhere, file := filepath.Join(dir, "elsewhere"), filepath.Join(dir, AddressFile)
	require.NoError(t, os.WriteFile(elsewhere, []byte("mine"), 0o644))
	require.NoError(t, os.Symlink(elsewhere, file))
	require.NoError(t, textfile.Replace(file, []byte("{}"), 0o600))
	text, err := os.ReadFile(elsewhere)
	require.NoError(t, err)
	assert.Equal(t, "mine", string(text))
	info, err := os.Lstat(file)
	require.NoError(t, err)
	assert.EqualValues(t, 0o600, info.Mode())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 2)
	assert.Error(t, textfile.Replace(filepath.Join(dir, "none", "file"), nil, 0o600))
}
