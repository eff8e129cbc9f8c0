package state

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestErrorsOfAFileNameIt makes SQLite fail in each call of a connection, and checks that the error has the file and what to do, without
// the words of SQLite.
func TestErrorsOfAFileNameIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), FileName)
	open := func() *sql.Conn {
		db, err := sqlite.connect(file)
		require.NoError(t, err)
		t.Cleanup(func() { _ = db.Close() })
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		_, err = conn.ExecContext(t.Context(), "PRAGMA busy_timeout = 0")
		require.NoError(t, err)
		return conn
	}
	conn, other := open(), open()
	exec := func(conn *sql.Conn, text string, args ...any) error {
		_, err := conn.ExecContext(t.Context(), text, args...)
		return err
	}
	require.NoError(t, exec(conn, "CREATE TABLE t (a)"))
	require.NoError(t, exec(conn, "INSERT INTO t VALUES ($1)", 1))
	check := func(err error, want string) {
		t.Helper()
		var named *FileError
		if assert.ErrorAs(t, err, &named) {
			assert.Equal(t, file+": "+want, named.Error())
			assert.Equal(t, want, named.Reason())
			assert.Equal(t, err.Error(), ErrorText(err))
		}
	}
	tx, err := other.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	const locked = "another program keeps the file locked: end it, and try again"
	check(exec(conn, "INSERT INTO t VALUES (2)"), locked)
	check(exec(conn, "INSERT INTO t VALUES ($1)", 2), locked)
	_, err = conn.BeginTx(t.Context(), nil)
	check(err, locked)
	require.NoError(t, tx.Rollback())

	require.NoError(t, exec(conn, "PRAGMA max_page_count = 2"))
	check(exec(conn, "INSERT INTO t VALUES (zeroblob($1))", 100000), "the disk is full: free disk space; a server then tries again, and a command can be repeated")
	require.NoError(t, exec(conn, "PRAGMA query_only = 1"))
	check(exec(conn, "INSERT INTO t VALUES (1)"), "the user of this process may not write the file, or its directory: check their owner and permissions, and that the file system is not read-only")
	require.NoError(t, exec(conn, "PRAGMA query_only = 0"))
	_, err = conn.PrepareContext(t.Context(), "SELECT a FROM missing")
	check(err, "SQLite reports: SQL logic error: no such table: missing (1)")
	statement, err := conn.PrepareContext(t.Context(), "INSERT INTO t VALUES (abs($1))")
	require.NoError(t, err)
	_, err = statement.ExecContext(t.Context(), int64(-1<<63))
	check(err, "SQLite reports: SQL logic error: integer overflow (1)")
	for _, args := range [][]any{nil, {1}} { // rows of a script, and of a statement that is kept
		text := "WITH x(n) AS (VALUES (1), (-9223372036854775808)) SELECT abs(n) FROM x"
		if args != nil {
			text += " WHERE $1 = 1"
		}
		check(eachRow(t.Context(), conn, func(rows *sql.Rows) error { return rows.Scan(new(int64)) }, text, args...), "SQLite reports: SQL logic error: integer overflow (1)")
	}
	require.NoError(t, exec(conn, "PRAGMA max_page_count = 100000; PRAGMA foreign_keys = 1; CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p DEFERRABLE INITIALLY DEFERRED)"))
	tx, err = conn.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.Exec("INSERT INTO c VALUES (7)")
	require.NoError(t, err)
	check(tx.Commit(), "SQLite reports: constraint failed: FOREIGN KEY constraint failed (787)")
}

// TestErrorsOfADamagedFile checks a file that is damaged behind the page with its schema.
func TestErrorsOfADamagedFile(t *testing.T) {
	dir := t.TempDir()
	s := openLocal(t, dir)
	for _, key := range []string{"a", "b"} {
		require.NoError(t, s.Ledger("main").Put(t.Context(), key, string(make([]byte, 20000))))
	}
	require.NoError(t, s.Close())
	file := filepath.Join(dir, FileName)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for i := 8192; i < len(text); i++ {
		text[i] = 0xff
	}
	require.NoError(t, os.WriteFile(file, text, 0o600))
	if s, err = Open(context.Background(), dir); err == nil {
		t.Cleanup(func() { _ = s.Close() })
		_, err = s.Ledger("main").Content(t.Context())
	}
	assert.ErrorContains(t, err, file)
	assert.ErrorContains(t, err, "the file is damaged: restore it from a backup (landfall restore)")
	assert.NotContains(t, ErrorText(err), "malformed")
}
