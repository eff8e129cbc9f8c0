package devicemode

import (
	"bytes"
	"compress/gzip"
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
