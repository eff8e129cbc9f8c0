package sqlsource_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/files/sqlsource"
)

// checkProperties compares the columns of a query's first row as JSON. A problem begins with an exclamation mark.
func checkProperties(t *testing.T, address string, cases map[string]string) {
	t.Helper()
	for query, want := range cases {
		result, err := sqlsource.Open(t.Context(), sqlsource.Options{URL: address, Query: query})
		require.NoError(t, err, query)
		var members []event.Member
		var columns []int
		for i, c := range result.Columns() {
			if !c.Bytes {
				columns = append(columns, i)
			}
		}
		result.Use(nil)
		result.UseProperties(columns)
		_, err = result.Next()
		require.NoError(t, err, query)
		values, problem := result.Properties()
		for i := range values {
			members = append(members, event.Member{Key: result.Columns()[columns[i]].Name, Value: values[i]})
		}
		if problem != "" {
			assert.Equal(t, want, "! "+problem, query)
		} else {
			assert.Equal(t, want, event.NewObject(members).JSON(), query)
		}
		result.Close()
	}
}

func TestSQLiteProperties(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	db, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	_, err = db.Exec(`CREATE TABLE p (day DATE, at DATETIME, paid BOOLEAN, raw BLOB, name TEXT);
		INSERT INTO p VALUES ('2026-01-02', '2026-01-02 03:04:05.5', 1, x'00ff', NULL)`)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	checkProperties(t, "sqlite:"+path, map[string]string{
		`SELECT 9223372036854775807 AS n, 0.1 AS f, 'Zoë' AS s, NULL AS none`: `{"n":9223372036854775807,"f":0.1,"s":"Zoë","none":null}`,
		`SELECT day, at, paid, name FROM p`:                                   `{"day":"2026-01-02","at":"2026-01-02T03:04:05.5Z","paid":1,"name":null}`,
		`SELECT raw FROM p`:                                                   `! raw is a blob: select it as text, such as with hex(…)`,
		`SELECT CAST(x'ff' AS TEXT) AS s`:                                     `! s is not valid text in UTF-8: select it in another encoding`,
	})
}
