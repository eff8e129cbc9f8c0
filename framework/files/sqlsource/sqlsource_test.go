package sqlsource_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/files/sqlsource"
	"github.com/landfall-dev/landfall/framework/state/statetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// readAll returns the values of a query's first column.
func readAll(ctx context.Context, o sqlsource.Options) (values []string, err error) {
	result, err := sqlsource.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	defer result.Close()
	if c := result.Columns()[0]; c.Unfit != "" {
		return nil, errors.New(c.Type + " is unfit: " + c.Unfit)
	}
	result.Use([]int{0})
	for {
		row, err := result.Next()
		var bad *audiencesync.RowError
		switch {
		case errors.Is(err, io.EOF):
			return values, nil
		case errors.As(err, &bad):
			values = append(values, "! "+bad.Reason)
		case err != nil:
			return values, err
		default:
			values = append(values, row[0])
		}
	}
}

// valueCase is a query with the values of its first column, or a part of the error.
type valueCase struct{ query, want, failure string }

func checkValues(t *testing.T, address string, cases []valueCase) {
	t.Helper()
	for _, c := range cases {
		values, err := readAll(t.Context(), sqlsource.Options{URL: address, Query: c.query})
		if c.failure != "" {
			assert.ErrorContains(t, err, c.failure, c.query)
			continue
		}
		if assert.NoError(t, err, c.query) {
			assert.Equal(t, c.want, strings.Join(values, "|"), c.query)
		}
	}
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	server := statetest.Start(t)
	address := server.URL
	conn, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	_, err = conn.Exec(t.Context(), `CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `CREATE TYPE plan AS ENUM ('free', 'paid'); CREATE TABLE users (id bigint PRIMARY KEY, name text);
		INSERT INTO users SELECT i, 'n' || i FROM generate_series(1, 20000) i; CREATE FUNCTION erase() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
		CREATE TABLE changes AS SELECT 1 AS id, '2026-01-02 04:04:05.6779+01'::timestamptz AS moment, '2026-01-02 03:04:05.6779'::timestamp AS local, '2026-01-02'::date AS day,
			'2026-01-02 03:04:05.6779+00'::timestamptz AS "Odd name", 'x' AS text;
		INSERT INTO changes VALUES (2, '2026-01-02 04:04:05.678+01', '2026-01-02 03:04:05.678', '2026-01-03', 'infinity', NULL); INSERT INTO changes (id) VALUES (3)`)
	require.NoError(t, err)
	checkValues(t, address, []valueCase{
		{query: `SELECT NULL::text UNION ALL SELECT ''`, want: "|"},
		{query: `SELECT 9223372036854775807 UNION ALL SELECT -9223372036854775808`, want: "9223372036854775807|-9223372036854775808"},
		{query: `SELECT 123456789012345678901234567890::numeric UNION ALL SELECT 1.50`, want: "123456789012345678901234567890|1.50"},
		{query: `SELECT 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid`, want: "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{query: `SELECT 'ab'::char(5)`, want: "ab"},
		{query: `SELECT 'paid'::plan`, want: "paid"},
		{query: `SELECT 'Zoë ☃ 🎉'`, want: "Zoë ☃ 🎉"},
		{query: "-- a comment\n/* and\nanother */ WITH x AS (SELECT 7) TABLE x;", want: "7"},
		{query: `SELECT 1 WHERE false`, want: ""},
		{query: `SELECT '2026-01-01 00:00+02'::timestamptz::text`, want: "2025-12-31 22:00:00+00"},
		{query: `SELECT encode('\x00ff'::bytea, 'hex')`, want: "00ff"},
		{query: `SELECT '\x00'::bytea`, failure: "bytea is unfit"},
		{query: `SELECT 1.5::float8`, failure: "float8 is unfit"},
		{query: `SELECT true`, failure: "bool is unfit"},
		{query: `SELECT ARRAY[1]`, failure: "it is an array"},
		{query: `SELECT now()`, failure: "timestamptz is unfit"},
		{query: `SELECT '{}'::jsonb`, failure: "jsonb is unfit"},
		{query: `SELECT erase()`, failure: "it runs in a read-only transaction"},
		{query: `WITH gone AS (DELETE FROM users RETURNING id) SELECT id FROM gone`, failure: "it runs in a read-only transaction"},
		{query: `SELECT 1; DELETE FROM users`, failure: "cannot insert multiple commands"},
		{query: `DELETE FROM users`, failure: "the query begins with DELETE"},
		{query: `SELECT nme FROM users`, failure: `column "nme" does not exist (at character 8 of the query) (SQLSTATE 42703)`},
		{query: `SELECT name::int FROM users`, failure: "invalid input syntax for type integer: … (SQLSTATE 22P02)"},
		{query: `SELECT 10 / (10 - id) FROM users ORDER BY id`, failure: "division by zero"},
	})
	checkChanges(t, address, `SELECT id, moment, local, day, "Odd name", text FROM changes ORDER BY id -- the end`, time.Date(2026, 1, 2, 3, 4, 5, 678000000, time.UTC), map[string]string{
		"moment": "2|3", "local": "2|3", "day": "1|2|3", "Odd name": "2|3", "text": "the column text has the type text: when a row has changed should be one of the types timestamptz, timestamp, date",
		"updated": "column landfall_rows.updated does not exist",
	})
	checkProperties(t, address, map[string]string{
		`SELECT 9223372036854775807 AS n, 123456789012345678901234567890.50::numeric AS d, 0.1::float4 AS f, 'NaN'::float8 AS nan, true AS yes, NULL::int AS none`:       `{"n":9223372036854775807,"d":123456789012345678901234567890.50,"f":0.1,"nan":"NaN","yes":true,"none":null}`,
		`SELECT '2026-01-02 03:04:05.678+02'::timestamptz AS at, '2026-01-02 03:04:05'::timestamp AS local, '2026-01-02'::date AS day, 'infinity'::timestamptz AS never`: `{"at":"2026-01-02T01:04:05.678Z","local":"2026-01-02T03:04:05","day":"2026-01-02","never":"infinity"}`,
		`SELECT '{"a": [1, "x"]}'::jsonb AS j, 'null'::json AS n, 'ab'::char(4) AS c, '{1,2}'::int[] AS list, '\x00'::bytea AS raw`:                                      `{"j":{"a":[1,"x"]},"n":null,"c":"ab","list":"{1,2}"}`,
	})
	checkValues(t, strings.Replace(address, "/postgres?", "/latin?", 1), []valueCase{{query: `SELECT chr(235)`, want: "ë"}})
	values, err := readAll(t.Context(), sqlsource.Options{URL: address, Query: `SELECT id FROM users ORDER BY id`})
	require.NoError(t, err)
	require.Len(t, values, 20000)

	t.Run("an error in the middle of the result", func(t *testing.T) {
		values, err := readAll(t.Context(), sqlsource.Options{URL: address, Query: `SELECT 1 / (15000 - id) FROM users`})
		assert.NotEmpty(t, values)
		assert.ErrorContains(t, err, "the result is incomplete after row ")
		assert.ErrorContains(t, err, "division by zero")
	})
	t.Run("a time limit", func(t *testing.T) {
		_, err := readAll(t.Context(), sqlsource.Options{URL: address, Query: `SELECT id, pg_sleep(0.01) FROM users`, Timeout: 200 * time.Millisecond})
		var failed *sqlsource.Error
		require.ErrorAs(t, err, &failed)
		assert.Regexp(t, "its time limit", failed.Reason)
	})
	t.Run("a cancelled command", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := readAll(ctx, sqlsource.Options{URL: address, Query: `SELECT 1`})
		assert.ErrorIs(t, err, context.Canceled)
	})
	t.Run("a connection that is lost in the middle of the result", func(t *testing.T) {
		result, err := sqlsource.Open(t.Context(), sqlsource.Options{URL: address, Query: `SELECT id, repeat('x', 1000), pg_sleep(id / 15000) FROM users`})
		require.NoError(t, err)
		defer result.Close()
		result.Use([]int{0})
		_, err = result.Next()
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'landfall'`)
		require.NoError(t, err)
		for err == nil {
			_, err = result.Next()
		}
		assert.NotErrorIs(t, err, io.EOF)
		assert.ErrorContains(t, err, "the result is incomplete after row ")
		_, again := result.Next()
		assert.Equal(t, err, again)
	})
	t.Run("a server that is down", func(t *testing.T) {
		_ = conn.Close(t.Context())
		server.Stop()
		_, err := readAll(t.Context(), sqlsource.Options{URL: strings.Replace(address, "postgres@", "postgres:s3cret@", 1), Query: `SELECT 1`})
		var failed *sqlsource.Error
		require.ErrorAs(t, err, &failed)
		assert.NotContains(t, err.Error(), "s3cret")
	})
}

func TestMariaDB(t *testing.T) {
	t.Parallel()
	address, db := mariaDB(t)
	for _, statement := range []string{
		`CREATE TABLE shop.users (id bigint unsigned PRIMARY KEY, name varchar(40) CHARACTER SET latin1, raw varbinary(16), plan enum('free', 'paid'), price decimal(38, 2), ratio double, at timestamp NULL)`,
		`INSERT INTO shop.users VALUES (18446744073709551615, 'Zoë', x'00ff', 'paid', 123456789012345678901234567890.50, 1.5, '2026-01-01 00:00:00'), (1, NULL, NULL, NULL, NULL, NULL, NULL)`,
		`CREATE TABLE shop.many (id int PRIMARY KEY)`,
		`INSERT INTO shop.many WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT a.i * 1000 + b.i FROM n a JOIN n b ON b.i <= 10`,
		`SET time_zone = '+01:00'`,
		`CREATE TABLE shop.changes (id int, moment timestamp(6) NULL, local datetime(6), day date, text text)`,
		`INSERT INTO shop.changes VALUES (1, '2026-01-02 04:04:05.677999', '2026-01-02 03:04:05.677999', '2026-01-02', 'x'), (2, '2026-01-02 04:04:05.678', '2026-01-02 03:04:05.678', '2026-01-03', 'x'), (3, NULL, NULL, NULL, NULL)`,
		`CREATE FUNCTION shop.erase() RETURNS INT BEGIN DELETE FROM shop.users; RETURN 1; END`,
	} {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	checkValues(t, address, []valueCase{
		{query: `SELECT id FROM users ORDER BY id`, want: "1|18446744073709551615"},
		{query: `SELECT name FROM users ORDER BY id`, want: "|Zoë"},
		{query: `SELECT price FROM users ORDER BY id`, want: "|123456789012345678901234567890.50"},
		{query: `SELECT plan FROM users ORDER BY id`, want: "|paid"},
		{query: `SELECT HEX(raw) FROM users ORDER BY id`, want: "|00FF"},
		{query: `SELECT CAST('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' AS uuid)`, want: "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{query: `SELECT '🎉'`, want: "🎉"},
		{query: `SELECT CAST(FROM_UNIXTIME(0) AS char)`, want: "1970-01-01 00:00:00"},
		{query: `SELECT 1 FROM users WHERE false`, want: ""},
		{query: `SELECT raw FROM users`, failure: "varbinary is unfit"},
		{query: `SELECT ratio FROM users`, failure: "double is unfit"},
		{query: `SELECT at FROM users`, failure: "timestamp is unfit"},
		{query: `SELECT erase()`, failure: "it runs in a read-only transaction"},
		{query: `SELECT 1; DELETE FROM users`, failure: "error 1064"},
		{query: `SELECT nme FROM users`, failure: "Unknown column 'nme'"},
	})
	checkChanges(t, address, `SELECT id, moment, local, day, text FROM changes ORDER BY id`, time.Date(2026, 1, 2, 3, 4, 5, 678000000, time.UTC), map[string]string{
		"moment": "2|3", "local": "2|3", "day": "the column day has the type date: when a row has changed should be one of the types timestamp, datetime",
		"updated": "Unknown column 'landfall_rows.updated'",
	})
	checkProperties(t, address, map[string]string{
		`SELECT * FROM users ORDER BY id DESC`: `{"id":18446744073709551615,"name":"Zoë","plan":"paid","price":123456789012345678901234567890.50,"ratio":1.5,"at":"2026-01-01T00:00:00Z"}`,
		`SELECT * FROM users ORDER BY id`:      `{"id":1,"name":null,"plan":null,"price":null,"ratio":null,"at":null}`,
		`SELECT CAST('2026-01-02 03:04:05.5' AS datetime(3)) AS at, CAST('2026-01-02' AS date) AS day, true AS yes, '🎉' AS text`: `{"at":"2026-01-02T03:04:05.500","day":"2026-01-02","yes":1,"text":"🎉"}`,
	})
	values, err := readAll(t.Context(), sqlsource.Options{URL: address, Query: `SELECT id FROM many`})
	require.NoError(t, err)
	assert.Len(t, values, 9000)

	_, err = readAll(t.Context(), sqlsource.Options{URL: address, Query: `SELECT id, SLEEP(0.01) FROM many`, Timeout: 300 * time.Millisecond})
	assert.ErrorContains(t, err, "its time limit")

	result, err := sqlsource.Open(t.Context(), sqlsource.Options{URL: address, Query: `SELECT id, REPEAT('x', 10000) FROM many`})
	require.NoError(t, err)
	defer result.Close()
	result.Use([]int{0})
	_, err = result.Next()
	require.NoError(t, err)
	var id int
	require.NoError(t, db.QueryRow(`SELECT id FROM information_schema.processlist WHERE db = 'shop' AND info LIKE '%REPEAT%'`).Scan(&id), "connections of earlier queries may be there still")
	_, err = db.Exec("KILL ?", id)
	require.NoError(t, err)
	for err == nil {
		_, err = result.Next()
	}
	assert.ErrorContains(t, err, "the result is incomplete after row ")
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a shop?.db")
	db, err := sql.Open("sqlite", "file:"+strings.Replace(strings.Replace(path, " ", "%20", 1), "?", "%3f", 1))
	require.NoError(t, err)
	_, err = db.Exec(`PRAGMA encoding = 'UTF-16'; CREATE TABLE users (id INTEGER PRIMARY KEY, name); INSERT INTO users VALUES (9223372036854775807, 'Zoë;'), (1, NULL), (2, 1.5), (3, x'00')`)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	checkValues(t, "sqlite:"+path, []valueCase{
		{query: `SELECT id FROM users ORDER BY id DESC LIMIT 2`, want: "9223372036854775807|3"},
		{query: `SELECT name FROM users WHERE id <> 2 AND id <> 3 ORDER BY id`, want: "|Zoë;"},
		{query: `SELECT name FROM users WHERE id = 2`, want: "! name is a real number: its values are not exact; select an integer, numeric or text column, or CAST(… AS decimal(38))"},
		{query: `SELECT name FROM users WHERE id = 3`, want: "! name is a blob: select it as text, such as with hex(…)"},
		{query: `SELECT id FROM users WHERE name = 'Zoë;' -- the end;`, want: "9223372036854775807"},
		{query: `SELECT 1; SELECT 2`, failure: "it should be a single one"},
		{query: `SELECT 1; PRAGMA query_only = 0`, failure: "it should be a single one"},
		{query: `WITH x AS (SELECT 1) DELETE FROM users`, failure: "opened for reading only"},
		{query: `SELECT nme FROM users`, failure: "no such column: nme"},
	})
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, before, after)
	_, err = readAll(t.Context(), sqlsource.Options{
		URL: "sqlite:" + path, Query: `WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0`, Timeout: 100 * time.Millisecond,
	})
	assert.ErrorContains(t, err, "longer than its time limit, 100ms")
	text := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(text, []byte(strings.Repeat("no database ", 100)), 0o600))
	checkValues(t, "sqlite:"+text, []valueCase{{query: "SELECT 1 FROM users", failure: "is not a database of SQLite"}})
	checkValues(t, "sqlite:"+text+"2", []valueCase{{query: "SELECT 1", failure: "text2: there is no such file"}})
}

func TestOptionsAreChecked(t *testing.T) {
	for _, c := range []struct{ url, query, want string }{
		{"oracle://scott:tiger@host/x", "SELECT 1", "the URL has no known scheme"},
		{"postgre://scott:tiger@host/x", "SELECT 1", `did you mean "postgres"?`},
		{"postgres://scott:ti%ger@host/x", "SELECT 1", "the URL cannot be read"},
		{"postgres://scott:tiger@host:port/x", "SELECT 1", "the URL cannot be read"},
		{"mysql://scott:tiger@host/x?allowAllFiles=true", "SELECT 1", `unknown parameter or value for "allowAllFiles"`},
		{"mysql://scott:tiger@host/x", "LOAD DATA LOCAL INFILE 'x' INTO TABLE y", "the query begins with LOAD"},
		{"mysql://scott:tiger@host/x", " /* nothing */ ; ", "the query is empty"},
		{"sqlite:x", "", "the query is empty"},
		{"sqlite:" + t.TempDir(), "SELECT 1", "is a directory, not a database of SQLite"},
		{"postgres://host/x", "-- SELECT\nDROP TABLE users", "the query begins with DROP"},
		{"postgres://host/x", strings.Repeat(" ", 1<<20) + "SELECT 1", "the query is longer than 1 MB"},
		{"postgres:", "SELECT 1", "the URL cannot be read"},
		{"bigquery://shop/crm", "SELECT 1", "the URL has no credentials"},
	} {
		_, err := readAll(t.Context(), sqlsource.Options{URL: c.url, Query: c.query})
		var wrong *sqlsource.OptionError
		if assert.ErrorAs(t, err, &wrong, c.url) {
			assert.Contains(t, err.Error(), c.want)
			assert.NotContains(t, err.Error(), "tiger")
		}
	}
	for _, query := range []string{"(SELECT 1)", "/* a */ -- b\n# c\nwith x AS (SELECT 1) SELECT * FROM x", "TABLE users", "values (1)"} {
		assert.NoError(t, sqlsource.Check(sqlsource.Options{URL: "postgres://host/x", Query: query}), query)
	}
	assert.EqualError(t, sqlsource.Check(sqlsource.Options{URL: "postgres://host/x", Query: "SELECT 1", Timeout: -1}), "the time limit of the query should be positive")
	changes := sqlsource.Options{URL: "clickhouse://h/x", Query: "SELECT 1", Changes: &sqlsource.Changes{Column: "at"}}
	assert.EqualError(t, sqlsource.Check(changes), "incremental runs are not possible with clickhouse: leave incremental out, so that each run reads the whole result")
	assert.Equal(t, "postgres://host:5432/shop", sqlsource.Location("postgres://scott:tiger@host:5432/shop?password=tiger"))
}
