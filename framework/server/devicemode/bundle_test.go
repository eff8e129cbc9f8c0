package devicemode

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRuntimeIsSmall(t *testing.T) {
	script, err := bundleOf("landfall_a", []byte("export default {}"))
	require.NoError(t, err)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write(script)
	require.NoError(t, w.Close())
	assert.Less(t, zipped.Len(), 6<<10)
}

// The modules of all destinations of this repository can be bundled.
func TestModulesOfDestinations(t *testing.T) {
	files, err := filepath.Glob("../../../destinations/*/browser.js")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		module, err := os.ReadFile(file)
		require.NoError(t, err)
		_, err = bundleOf("landfall_a", module)
		assert.NoError(t, err, file)
	}
}

func TestModulesThatCannotBeBundled(t *testing.T) {
	for module, problem := range map[string]string{
		"const a = 1;":                              "one line that starts with export default",
		"export default 1;\nexport default 2":       "one line that starts with export default",
		"import a from './a.js';\nexport default a": "no import",
		"export const a = 1;\nexport default a":     "no export",
	} {
		_, err := bundleOf("landfall_a", []byte(module))
		assert.ErrorContains(t, err, problem, module)
	}
}
