package scaffold

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
)

// TestGoVersion compares the Go version that new modules require with Landfall's.
func TestGoVersion(t *testing.T) {
	const file = "../../../go.mod"
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	f, err := modfile.Parse(file, text, nil)
	require.NoError(t, err)
	assert.Equal(t, f.Go.Version, goVersion)
}
