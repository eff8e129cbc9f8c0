package textfile_test

import (
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/textfile"
)

// TestGlobBelowAnyDirectory checks that files are found whatever their directory is called.
func TestGlobBelowAnyDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{"", "plain", "data [live]", "a*b", "[", "what?"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o700))
		for _, name := range []string{"b.go", "a.go", "c.txt", "sub/.hidden"} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
		}
		for pattern, want := range map[string][]string{"*.go": {filepath.Join(dir, "a.go"), filepath.Join(dir, "b.go")}, "*/.*": {filepath.Join(dir, "sub", ".hidden")}, "none": nil} {
			found, err := textfile.Glob(dir, pattern)
			require.NoError(t, err)
			assert.Equal(t, want, found, "%q %s", dir, pattern)
		}
	}
	found, err := textfile.Glob("none", "*")
	require.NoError(t, err)
	assert.Empty(t, found)
	_, err = textfile.Glob("", "[")
	assert.ErrorIs(t, err, path.ErrBadPattern)
}
