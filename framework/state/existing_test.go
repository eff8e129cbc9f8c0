package state_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/state"
)

// TestMissingStatesNameThoseOfOtherTargets checks what is said when a directory has no state of a target, but perhaps of another one.
func TestMissingStatesNameThoseOfOtherTargets(t *testing.T) {
	dir := t.TempDir()
	missing := func(sandbox string) string {
		_, err := state.OpenExisting(t.Context(), dir, sandbox)
		require.ErrorAs(t, err, new(*state.MissingError))
		return err.Error()
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	assert.Equal(t, "there is no ledger "+file("state.db")+": give the data directory of the server with --data, or start landfall serve, which creates it", missing(""))
	open := func(sandbox string) {
		s, err := state.OpenSandbox(t.Context(), dir, sandbox)
		require.NoError(t, err)
		require.NoError(t, s.Close())
	}
	open("sandbox")
	assert.Equal(t, "there is no ledger "+file("state.db")+" of real remotes, only of a sandbox (state-sandbox.db): say which with --sandbox or --sandbox-url", missing(""))
	open("")
	assert.Equal(t, "there is no ledger "+file("state-sandbox-host.db")+" of this sandbox, only state-sandbox.db, state.db: state.db is the one of real remotes, for which --sandbox and --sandbox-url are left out",
		missing("sandbox-host"))
}
