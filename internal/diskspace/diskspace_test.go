package diskspace_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/diskspace"
)

// TestOf checks a disk, and a directory that does not exist, of which nothing is known.
func TestOf(t *testing.T) {
	dir := t.TempDir()
	free, total, err := diskspace.Of(dir)
	require.NoError(t, err)
	assert.Positive(t, free)
	assert.GreaterOrEqual(t, total, free)
	assert.False(t, diskspace.IsFull(dir), "the tests need space")
	_, _, err = diskspace.Of(filepath.Join(dir, "none"))
	require.Error(t, err)
	assert.False(t, diskspace.IsFull(filepath.Join(dir, "none")))
	free, _, err = diskspace.Of("/proc")
	require.NoError(t, err)
	assert.Zero(t, free)
	assert.True(t, diskspace.IsFull("/proc"), "a file system without space")
}
