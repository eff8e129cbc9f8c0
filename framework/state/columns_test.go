package state_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/state"
)

// TestColumnsAreAddedWithoutVersion opens a database that lacks a column, as an earlier version leaves it, twice. The version of the
// schema stays, so that the earlier version can open the database again.
func TestColumnsAreAddedWithoutVersion(t *testing.T) {
	dir := t.TempDir()
	open := func() *state.Store {
		s, err := state.Open(t.Context(), dir)
		require.NoError(t, err)
		return s
	}
	require.NoError(t, open().Close())
	db, err := sql.Open("sqlite", filepath.Join(dir, state.FileName))
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec(`ALTER TABLE audiences DROP COLUMN decided`)
	require.NoError(t, err)
	version := func() (n int) {
		require.NoError(t, db.QueryRow(`SELECT MAX(version) FROM migrations`).Scan(&n))
		return n
	}
	was := version()
	for range 2 {
		s := open()
		require.NoError(t, s.Ledger("main").DecideAll(t.Context(), vip, at(10)))
		require.NoError(t, s.Close())
	}
	assert.Equal(t, was, version())
	assert.Equal(t, 2, was)
}
