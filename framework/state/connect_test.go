package state

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/testport"
)

func TestOpenErrorsSayWhatToDo(t *testing.T) {
	address := testport.Free(t)
	_, err := Open(t.Context(), "postgres://u:not-to-be-seen@"+address+"/x")
	assert.EqualError(t, err, "opening the state at postgres://u:xxxxx@"+address+"/x: connection refused: nothing listens there; check state.url, and that PostgreSQL runs and accepts connections from this machine")
	_, err = Open(t.Context(), "postgres://u:not-to-be-seen@127.0.0.1/x?sslmode=nonsense")
	assert.ErrorContains(t, err, ": the URL cannot be read: write state.url as postgres://USER:PASSWORD@HOST:PORT/DATABASE")
	assert.NotContains(t, err.Error(), "not-to-be-seen")
	for name, text := range map[string]string{"no database": strings.Repeat("no database at all. ", 50), "damaged": "SQLite format 3\x00"} {
		dir := t.TempDir()
		if name == "damaged" {
			s, err := Open(t.Context(), dir)
			require.NoError(t, err)
			require.NoError(t, s.Close())
			whole, err := os.ReadFile(filepath.Join(dir, FileName))
			require.NoError(t, err)
			text = string(whole[:5000])
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, FileName), []byte(text), 0o600))
		_, err := Open(t.Context(), dir)
		assert.ErrorContains(t, err, "the file is damaged", name)
		assert.ErrorContains(t, err, "landfall restore", name)
		assert.NotRegexp(t, `\(\d+\)`, err.Error(), "the code of SQLite")
	}
	for code, want := range map[string]string{
		"28P01": "check the user and the password in state.url", "28000": "check the user and the password in state.url", "3D000": "create it, or change its name in state.url",
		"42501": "lacks the permission to create the tables of the state: words", "53300": "raise its max_connections", "XX000": "PostgreSQL reports words (SQLSTATE XX000)",
	} {
		assert.ErrorContains(t, openError("postgres://h/d", fmt.Errorf("migrating: %w", &pgconn.PgError{Code: code, Message: "words"})), want, code)
	}
}

// TestErrorText checks errors of databases that are open.
func TestErrorText(t *testing.T) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "x.db"))
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec("CREATE TABLE t (a); PRAGMA max_page_count = 2")
	require.NoError(t, err)
	_, full := db.Exec("INSERT INTO t VALUES (zeroblob(100000))")
	_, err = db.Exec("PRAGMA query_only = 1")
	require.NoError(t, err)
	_, readOnly := db.Exec("INSERT INTO t VALUES (1)")
	_, other := db.Exec("INSERT INTO missing VALUES (1)")
	_, cannotOpen := db.Exec("ATTACH 'file:/nowhere/x.db?mode=ro' AS y")
	for _, tc := range []struct {
		err  error
		want string
	}{
		{full, "reading: the disk is full: free disk space; a server then tries again, and a command can be repeated"},
		{readOnly, "reading: the user of this process may not write the file, or its directory: check their owner and permissions, and that the file system is not read-only"},
		{cannotOpen, "reading: the file cannot be opened: check the owner and the permissions of it and its directory"},
		{other, "reading: SQLite reports: SQL logic error: no such table: missing (1)"},
		{&pgconn.PgError{Code: "53300"}, "reading: the server accepts no more connections: raise its max_connections, or close other connections"},
		{errors.New("other"), "reading: other"},
	} {
		assert.Equal(t, tc.want, ErrorText(fmt.Errorf("reading: %w", tc.err)))
	}
}
