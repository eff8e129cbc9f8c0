package state

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A connection runs a statement again while the rows of the same text are being read, after its schema has changed, and when it keeps no more
// statements.
func TestPreparedStatements(t *testing.T) {
	db, err := sqlite.connect(filepath.Join(t.TempDir(), "s.db"))
	require.NoError(t, err)
	defer db.Close()
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.ExecContext(t.Context(), `CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1), (2), (3)`)
	require.NoError(t, err)
	const text = `SELECT n FROM t WHERE n >= $1 ORDER BY n`
	read := func(from int64) (list []int64) {
		require.NoError(t, eachRow(t.Context(), conn, func(rows *sql.Rows) error {
			var n int64
			err := rows.Scan(&n)
			list = append(list, n)
			return err
		}, text, from))
		return list
	}
	assert.Equal(t, []int64{2, 3}, read(2))

	outer, err := conn.QueryContext(t.Context(), text, 1)
	require.NoError(t, err)
	require.True(t, outer.Next())
	assert.Equal(t, []int64{3}, read(3))
	assert.Equal(t, []int64{2, 3}, read(2))
	var first, second int64
	require.NoError(t, outer.Scan(&first))
	require.True(t, outer.Next())
	require.NoError(t, outer.Scan(&second))
	assert.Equal(t, []int64{1, 2}, []int64{first, second})
	require.NoError(t, outer.Close())

	_, err = conn.ExecContext(t.Context(), `ALTER TABLE t ADD COLUMN more TEXT`)
	require.NoError(t, err)
	for i := range maxPrepared + 5 {
		_, err := conn.ExecContext(t.Context(), fmt.Sprintf(`INSERT INTO t (n) VALUES ($1 + %d)`, i), 100)
		require.NoError(t, err)
	}
	assert.Len(t, read(100), maxPrepared+5)
	_, err = conn.ExecContext(t.Context(), `INSERT INTO missing VALUES ($1)`, 1)
	assert.ErrorContains(t, err, "missing")
	require.NoError(t, conn.Raw(func(c any) error {
		assert.Len(t, c.(*preparedConn).statements, maxPrepared)
		return nil
	}))
}
