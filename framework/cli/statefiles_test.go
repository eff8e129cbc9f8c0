package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/state"
)

// A large audience is in a file beside the ledger: commands read it there, doctor finds that it is missing, and state downgrade moves it back.
func TestLargeAudiencesInCommands(t *testing.T) {
	dir := t.TempDir()
	file, data := filepath.Join(dir, "landfall.yaml"), filepath.Join(dir, "data")
	require.NoError(t, os.WriteFile(file, []byte(`listen: 127.0.0.1:0
sources: [{id: web, writeKey: wk}]
destinations:
  - id: braze-main
    destination: braze-cohorts
    settings: {endpoint: https://rest.iad-01.braze.com, client_secret: s, partner_api_key: p}
    subscriptions: [{name: Audiences, action: syncAudiences, subscribe: event = "Audience Entered", mapping: {personas_audience_key: vip}}]
`), 0o600))
	store, err := state.Open(t.Context(), data)
	require.NoError(t, err)
	l, changes := store.Ledger("braze-main"), make([]destination.Change, 1000)
	vip := destination.Audience{ID: "aud_vip", Name: "vip"}
	for n := range 30 {
		for i := range changes {
			changes[i] = destination.Change{Identity: fmt.Sprintf("external_id:user-with-a-long-name-%06d", 1000*n+i), Member: true, At: time.Unix(1700000000, 0)}
		}
		require.NoError(t, l.Record(t.Context(), vip, changes))
	}
	require.NoError(t, store.Close())

	run := func(code int, args ...string) string {
		t.Helper()
		got, out, errs := commandHere(t.Context(), append(args, "--config", file, "--data", data)...)
		require.Equal(t, code, got, out+errs)
		return out + errs
	}
	list := func() { assert.Contains(t, run(0, "members", "export", "aud_vip"), "user-with-a-long-name-029999") }
	list()
	files := filepath.Join(data, "state.db-members")
	entries, err := os.ReadDir(files)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	assert.Regexp(t, `state\.db is intact, with 1 member file \([0-9.]+ MB\)`, run(0, "doctor"))
	assert.Contains(t, run(0, "state", "downgrade", "--dry-run"), "stop all servers first")

	moved := filepath.Join(dir, "moved")
	require.NoError(t, os.Rename(filepath.Join(files, entries[0].Name()), moved))
	assert.Contains(t, run(1, "doctor"), entries[0].Name())
	assert.Contains(t, run(1, "members", "export", "aud_vip"), "is missing: the directory")
	require.NoError(t, os.Rename(moved, filepath.Join(files, entries[0].Name())))

	assert.Contains(t, run(0, "state", "downgrade", "--yes"), "done")
	entries, err = os.ReadDir(files)
	require.NoError(t, err)
	assert.Empty(t, entries)
	assert.Contains(t, run(0, "state", "downgrade", "--yes"), "nothing to do: all members in "+filepath.Join(data, "state.db"))
	list()
}
