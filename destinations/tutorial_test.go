package destinations_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/author/generate"
	"github.com/landfall-dev/landfall/internal/author/tutorial"
)

// TestTutorial follows TUTORIAL.md in a copy of the module: see tutorial.Follow.
func TestTutorial(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a copy of the module")
	}
	text, err := os.ReadFile("TUTORIAL.md")
	require.NoError(t, err)
	root := copyModule(t)
	tutorial.Follow(t, root, string(text))
	handler, err := os.ReadFile(filepath.Join(root, "destinations", "acme", "deletecontact.go"))
	require.NoError(t, err)
	require.Contains(t, string(handler), "http.MethodDelete")
	// The tests of the module that list destinations, or have one called acme of their own, pass with acme present.
	tutorial.Run(t, root, "go test -short ./destinations -run (Destinations|BadInput)/acme|TestConfigs|TestMainPage", "ok …")
	tutorial.Run(t, root, "go test -short ./framework/cli -run TestScripts/(definitions|import|validate|new|suite)$", "ok …")
}

// copyModule copies the files of the module, except those that begin with a dot and an existing destination acme.
func copyModule(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel("..", path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || name == "fixtures/conformance" || name == filepath.Join("destinations", "acme")):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(root, name), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(root, name), content, 0o644)
	})
	require.NoError(t, err)
	_, err = generate.All(filepath.Join(root, "destinations"), "destinations", "github.com/landfall-dev/landfall/destinations")
	require.NoError(t, err)
	return root
}
