package scaffold_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/author/scaffold"
)

// TestModulesThatAreRefused checks that a module which could not be built is refused, and that nothing is written.
func TestModulesThatAreRefused(t *testing.T) {
	for want, m := range map[string]scaffold.Module{
		"needs a version of Landfall, or a checkout":  {Path: "example.com/acme/landfall"},
		"the version of Landfall should be a release": {Path: "example.com/acme/landfall", Version: "1.2"},
		"cannot be the path of a Go module":           {Path: "acme landfall", Version: "v0.1.0"},
		"belongs to Landfall itself":                  {Path: "github.com/landfall-dev/landfall/x", Version: "v0.1.0"},
		"which cannot be destinations":                {Path: "example.com/acme/destinations/", Version: "v0.1.0"},
		"go.mod":                                      {Path: "example.com/acme/landfall", Replace: t.TempDir()},
		"exists in Landfall":                          {Path: "example.com/acme/landfall", Version: "v0.1.0", Taken: func(string) bool { return true }},
	} {
		m.Dir = filepath.Join(t.TempDir(), "new")
		_, made, err := scaffold.NewModule(m)
		assert.ErrorContains(t, err, want)
		assert.Empty(t, made)
		assert.NoDirExists(t, m.Dir)
	}
	used := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(used, "main.go"), nil, 0o600))
	_, _, err := scaffold.NewModule(scaffold.Module{Dir: used, Path: "example.com/acme/landfall", Version: "v0.1.0"})
	assert.ErrorContains(t, err, used)
}

func TestPathsOfModulesMayEndInASlash(t *testing.T) {
	m, made, err := scaffold.NewModule(scaffold.Module{Dir: filepath.Join(t.TempDir(), "acme"), Path: "example.com/acme/landfall/", Version: "v0.1.0"})
	require.NoError(t, err)
	assert.Equal(t, "example.com/acme/landfall", m.Path)
	assert.NotEmpty(t, made)
	text, err := os.ReadFile(filepath.Join(m.Dir, "go.mod"))
	require.NoError(t, err)
	assert.Contains(t, string(text), "module example.com/acme/landfall\n")
}

// TestActionsOverwriteNoFile checks that an action whose file exists already, perhaps by hand, is refused.
func TestActionsOverwriteNoFile(t *testing.T) {
	_, dir := place(t)
	_, err := scaffold.Destination(scaffold.New{Dir: dir, Slug: "acme"})
	require.NoError(t, err)
	file := filepath.Join(dir, "acme", "refundorder.go")
	require.NoError(t, os.WriteFile(file, []byte("package acme\n"), 0o600))
	_, _, err = scaffold.Action(scaffold.New{Dir: dir, Slug: "acme", Action: "refundOrder"})
	assert.ErrorContains(t, err, "refundorder.go already exists")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "package acme\n", string(text))
}
