package cli

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/buildinfo"
)

func TestVersion(t *testing.T) {
	show := func(program string, args ...string) string {
		var out bytes.Buffer
		require.Equal(t, exitOK, executeCommand(t.Context(), args, streams{in: &bytes.Buffer{}, out: &out, err: &out, program: program}))
		return out.String()
	}
	line := show("", "version")
	assert.Equal(t, "landfall "+buildinfo.Read().String()+"\n", line)
	assert.Equal(t, line, show("", "--version"))
	assert.Regexp(t, `^acme .*\(.*go1\.`, show("acme", "--version"))
	var got buildinfo.Info
	require.NoError(t, json.Unmarshal([]byte(show("", "version", "--json")), &got))
	assert.Equal(t, buildinfo.Read(), got)
}
