package state_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/framework/state/statetest"
)

// TestInspectDatabaseChangesNothing checks an empty database, one with a schema, and one of a newer program.
func TestInspectDatabaseChangesNothing(t *testing.T) {
	location := statetest.Postgres(t)
	db, err := sql.Open("pgx", location)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	count := func(query string) (n int) {
		require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&n))
		return n
	}
	const tables = `SELECT COUNT(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace`
	for _, sandbox := range []string{"", "sandbox"} {
		found, err := state.InspectDatabase(t.Context(), location, sandbox)
		require.NoError(t, err)
		assert.Zero(t, found.Version)
		assert.Empty(t, found.Problem())
		assert.Less(t, found.ClockSkew.Abs(), time.Minute)
	}
	assert.Zero(t, count(tables))
	assert.Zero(t, count(`SELECT COUNT(*) FROM pg_namespace WHERE nspname LIKE 'landfall%'`))

	s, err := state.Open(t.Context(), location)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	version := count(`SELECT MAX(version) FROM migrations`)
	found, err := state.InspectDatabase(t.Context(), location, "")
	require.NoError(t, err)
	assert.Equal(t, version, found.Version)
	assert.Empty(t, found.Problem())

	_, err = db.ExecContext(t.Context(), `DELETE FROM migrations WHERE version > 1`)
	require.NoError(t, err)
	before := count(`SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = current_schema()`)
	found, err = state.InspectDatabase(t.Context(), location, "")
	require.NoError(t, err)
	assert.Equal(t, 1, found.Version)
	assert.Equal(t, 1, count(`SELECT MAX(version) FROM migrations`), "an old schema is not migrated")
	assert.Equal(t, before, count(`SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = current_schema()`))

	_, err = db.ExecContext(t.Context(), `INSERT INTO migrations (version) VALUES (9999)`)
	require.NoError(t, err)
	found, err = state.InspectDatabase(t.Context(), location, "")
	require.NoError(t, err)
	assert.Contains(t, found.Problem(), "its schema is version 9999")
	_, err = state.InspectDatabase(t.Context(), "postgres://h:1:2/x", "sandbox")
	require.Error(t, err)
}
