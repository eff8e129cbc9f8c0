package sortedfile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestErrorsOfTheFileStay(t *testing.T) {
	w, err := Create(filepath.Join(t.TempDir(), "rows"), nil)
	require.NoError(t, err)
	require.NoError(t, w.file.Close())
	n := 0
	for ; err == nil && n < 1000; n++ {
		err = w.Add(fmt.Sprintf("%04d", n), make([]byte, 1000))
	}
	require.ErrorIs(t, err, fs.ErrClosed)
	require.Greater(t, n, 100)
	require.Equal(t, err, w.Add("x", nil))
	_, again := w.Finish()
	require.Equal(t, err, again)
	require.NoError(t, w.Abort())
	require.NoFileExists(t, w.file.Name())
}

func TestFinishFails(t *testing.T) {
	w, err := Create(filepath.Join(t.TempDir(), "rows"), nil)
	require.NoError(t, err)
	require.NoError(t, w.Add("x", nil))
	require.NoError(t, w.file.Close())
	_, err = w.Finish()
	require.ErrorIs(t, err, fs.ErrClosed)
	require.Error(t, w.Add("y", nil))
	require.NoError(t, w.Abort())
	require.NoFileExists(t, w.file.Name())
}

// TestFormatIsStable reads a file that was written when the format was introduced.
func TestFormatIsStable(t *testing.T) {
	file, keys := smallFile(t)
	const name = "testdata/version1.file"
	stored, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, read(t, file, keys), read(t, stored, keys))
	require.Equal(t, file, stored, "files are written in another way: if the format has changed, it needs another version")
}

func TestTooManyBlocksAreRefused(t *testing.T) {
	w, err := Create(filepath.Join(t.TempDir(), "rows"), nil)
	require.NoError(t, err)
	require.NoError(t, w.Add("a", nil))
	w.index.blocks = maxBlocks - 1
	require.ErrorContains(t, w.Add("b", make([]byte, blockSize)), "too long or too many")
	require.ErrorContains(t, w.Add("c", nil), "too long or too many")
	_, err = w.Finish()
	require.Error(t, err)
	require.NoError(t, w.Abort())
}
