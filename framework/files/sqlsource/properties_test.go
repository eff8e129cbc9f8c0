package sqlsource_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// checkChanges reads the first column of the rows that have changed since a time, for each column that says so.
func checkChanges(t *testing.T, address, query string, since time.Time, want map[string]string) {
	t.Helper()
	good := ""
	for column, want := range want {
		o := sqlsource.Options{URL: address, Query: query, Changes: &sqlsource.Changes{Column: column, Since: since}}
		values, err := readAll(t.Context(), o)
		if err != nil {
			assert.Contains(t, err.Error(), want, column)
			continue
		}
		good = column
		assert.Equal(t, want, strings.Join(values, "|"), column)
		o.Changes.Since = time.Time{}
		all, err := readAll(t.Context(), o)
		require.NoError(t, err)
		whole, err := readAll(t.Context(), sqlsource.Options{URL: address, Query: query})
		require.NoError(t, err)
		assert.Equal(t, whole, all, column)
	}
	before := time.Now()
	result, err := sqlsource.Open(t.Context(), sqlsource.Options{URL: address, Query: query, Changes: &sqlsource.Changes{Column: good}})
	require.NoError(t, err)
	defer result.Close()
	assert.WithinRange(t, result.Clock, before.Add(-time.Millisecond), time.Now(), "the clock of the database, which is on this machine")
}

func TestSQLiteChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	db, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	_, err = db.Exec(`CREATE TABLE users (id INTEGER PRIMARY KEY, at, "odd ""name" DATETIME)`)
	require.NoError(t, err)
	for i, at := range []any{ // on 2 January 2026 at 3:04:05
		"2026-01-02 03:04:04", "2026-01-02 03:04:05", "2026-01-02T03:04:05.123Z", "2026-01-02T05:04:04+02:00", "2026-01-02", "2026-01-03",
		1767323044, 1767323045, 1767323044999, 1767323045000, 2461042.0, 2461043.0, nil, "yesterday",
	} {
		_, err = db.Exec(`INSERT INTO users VALUES (?, ?, '2026-01-02 03:04:05')`, i, at)
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
	checkChanges(t, "sqlite:"+path, `SELECT id, at, "odd ""name" FROM users; -- with; odd names
/* all */`, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), map[string]string{
		"at": "1|2|5|7|9|11|12|13", `odd "name`: "0|1|2|3|4|5|6|7|8|9|10|11|12|13", "updated": "no such column: landfall_rows.updated",
	})
}
