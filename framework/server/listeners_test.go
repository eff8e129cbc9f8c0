package server

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestListenUnixReplacesOnlyAnAbandonedSocket(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("mine"), 0o600))
	_, err := listenUnix(file)
	assert.ErrorContains(t, err, "is not a socket")
	assert.FileExists(t, file)
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(file, link))
	_, err = listenUnix(link)
	assert.ErrorContains(t, err, "is not a socket")

	path := filepath.Join(dir, "s")
	first, err := listenUnix(path)
	require.NoError(t, err)
	_, err = listenUnix(path)
	assert.ErrorIs(t, err, syscall.EADDRINUSE)
	first.(*unixSocket).file = nil // so that it stays, as after a crash
	require.NoError(t, first.Close())
	require.FileExists(t, path)
	second, err := listenUnix(path)
	require.NoError(t, err)
	require.NoError(t, second.Close())
	assert.NoFileExists(t, path)
	_, err = listenUnix(filepath.Join(dir, "none", "s"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}
