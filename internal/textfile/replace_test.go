package textfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/textfile"
)

func TestReplaceAndUpdate(t *testing.T) {
	for name, c := range map[string]struct {
		write      func(path string) error
		link, file string // the contents afterwards, through the link and of the file that it pointed to
		mode       os.FileMode
	}{
		"replace replaces the link": {func(path string) error { return textfile.Replace(path, []byte("new"), 0o600) }, "new", "old", 0o600},
		"update follows the link":   {func(path string) error { return textfile.Update(path, []byte("new"), 0o600) }, "new", "new", 0o640},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
			require.NoError(t, os.WriteFile(file, []byte("old"), 0o640))
			require.NoError(t, os.Chmod(file, 0o640))
			require.NoError(t, os.Symlink(file, link))
			require.NoError(t, c.write(link))
			for path, want := range map[string]string{link: c.link, file: c.file} {
				text, err := os.ReadFile(path)
				require.NoError(t, err)
				assert.Equal(t, want, string(text), path)
			}
			info, err := os.Stat(link)
			require.NoError(t, err)
			assert.Equal(t, c.mode, info.Mode().Perm())
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			assert.Len(t, entries, 2, "no temporary file is left")
		})
	}
}

func TestReplaceFailsWithoutATrace(t *testing.T) {
	dir := t.TempDir()
	full := filepath.Join(dir, "directory")
	require.NoError(t, os.MkdirAll(filepath.Join(full, "sub"), 0o700))
	require.Error(t, textfile.Replace(full, []byte("x"), 0o600), "a directory that is not empty")
	require.Error(t, textfile.Replace(filepath.Join(dir, "none", "file"), nil, 0o600))
	require.NoError(t, textfile.Update(filepath.Join(dir, "new"), []byte("x"), 0o640))
	info, err := os.Stat(filepath.Join(dir, "new"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode().Perm())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 2)
}

func TestUnnamedFileLeavesNoName(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	file, err := textfile.Unnamed("landfall-")
	require.NoError(t, err)
	_, err = file.WriteString("text")
	require.NoError(t, err)
	text := make([]byte, 4)
	_, err = file.ReadAt(text, 0)
	require.NoError(t, err)
	assert.Equal(t, "text", string(text))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
	require.NoError(t, file.Close())

	t.Setenv("TMPDIR", filepath.Join(dir, "none"))
	_, err = textfile.Unnamed("landfall-")
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestSyncDirNeedsADirectory(t *testing.T) {
	dir := t.TempDir()
	assert.NoError(t, textfile.SyncDir(dir))
	assert.ErrorIs(t, textfile.SyncDir(filepath.Join(dir, "none")), os.ErrNotExist)
}

// TestReadAtMost checks that a file that is too large can be told from one that is not.
func TestReadAtMost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("12345"), 0o600))
	for most, want := range map[int]string{3: "1234", 4: "12345", 5: "12345", 9: "12345"} {
		text, err := textfile.ReadAtMost(path, most)
		require.NoError(t, err)
		assert.Equal(t, want, string(text), most)
	}
	_, err := textfile.ReadAtMost(path+"x", 3)
	assert.ErrorIs(t, err, os.ErrNotExist)
}
