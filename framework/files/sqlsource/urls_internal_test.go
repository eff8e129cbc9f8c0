package sqlsource

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/big"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Only the parameters that are documented have an effect, and each only with the values that it is documented with.
func TestURLsOfMySQL(t *testing.T) {
	for address, want := range map[string]string{
		"mysql://u:p%40w@host/shop":                   "u p@w tcp host:3306 shop preferred",
		"mariadb://u@host:3307/shop/":                 "u  tcp host:3307 shop preferred",
		"mysql://u@[::1]/shop":                        "u  tcp [::1]:3306 shop preferred",
		"mysql://u@host/shop?tls=true":                "u  tcp host:3306 shop true",
		"mysql://u@host/shop?tls=false":               "u  tcp host:3306 shop false",
		"mysql://u@host/shop?tls=skip-verify":         "u  tcp host:3306 shop skip-verify",
		"mysql://u@host/shop?tls=preferred":           "u  tcp host:3306 shop preferred",
		"mysql://u@host/shop?socket=/run/mysqld.sock": "u  unix /run/mysqld.sock shop false",
	} {
		c, err := mysqlConfig(address)
		require.NoError(t, err, address)
		assert.Equal(t, want, fmt.Sprint(c.User, " ", c.Passwd, " ", c.Net, " ", c.Addr, " ", c.DBName, " ", c.TLSConfig), address)
		assert.Equal(t, map[string]string{"time_zone": "'+00:00'"}, c.Params)
		assert.False(t, c.ParseTime || c.MultiStatements || c.AllowAllFiles || c.InterpolateParams)
		assert.Equal(t, silentLogger{}, c.Logger)
	}
	for _, parameter := range []string{"tls=no", "tls=", "tl=true", "true=true", "multiStatements=true", "sockets=/x"} {
		_, err := mysqlConfig("mysql://u:secret@host/shop?" + parameter)
		assert.ErrorContains(t, err, "the URL has an unknown parameter or value for ", parameter)
	}
	_, err := mysqlConfig("mysql://u:sec%zzret@host")
	assert.ErrorContains(t, err, "the URL cannot be read: write mysql://")
	assert.NotContains(t, err.Error(), "ret@")
}

func TestURLsOfClickHouse(t *testing.T) {
	for address, want := range map[string]string{
		"clickhouse://u:p%40w@host/shop":                          "u p@w [host:9000] shop false false",
		"clickhouse://u@host:9001/shop/":                          "u  [host:9001] shop false false",
		"clickhouse://u@host/shop?secure=true":                    "u  [host:9440] shop true true",
		"clickhouse://u@host:9001?secure=true&skip_verify=false":  "u  [host:9001]  true true",
		"clickhouse://u@host/shop?secure=true&skip_verify=true":   "u  [host:9440] shop true false",
		"clickhouse://u@host/shop?secure=false&skip_verify=false": "u  [host:9000] shop false false",
		"clickhouse://u@[::1]/shop":                               "u  [[::1]:9000] shop false false",
	} {
		c, err := clickhouseConfig(Options{URL: address, Query: "SELECT 1", Timeout: time.Minute})
		require.NoError(t, err, address)
		secure, verify := c.TLS != nil, false
		if secure {
			assert.Equal(t, "host", c.TLS.ServerName)
			verify = !c.TLS.InsecureSkipVerify
		}
		assert.Equal(t, want, fmt.Sprint(c.Auth.Username, " ", c.Auth.Password, " ", c.Addr, " ", c.Auth.Database, " ", secure, " ", verify), address)
		assert.Equal(t, 2*time.Minute, c.ReadTimeout, "longer than the query may take")
	}
	for _, parameters := range []string{"skip_verify=true", "secure=1", "secure=", "secure=true&secure=true", "compress=true", "secure=false&skip_verify=true"} {
		_, err := clickhouseConfig(Options{URL: "clickhouse://u:secret@host/shop?" + parameters})
		if assert.Error(t, err, parameters) {
			assert.NotContains(t, err.Error(), "u:secret")
		}
	}
}

// What the server says about the text of a query is shown; what it says about data is shown without the values.
func TestMessagesOfServers(t *testing.T) {
	const (
		stopped = "the server has stopped the query: its time limit is over, or an administrator has cancelled it"
		refuses = "the server refuses this user or its password"
		closed  = "the server closed the connection"
	)
	for number, want := range map[uint16]string{
		1045: refuses, 1698: refuses, 1792: "the query would write, and it runs in a read-only transaction", 1969: stopped, 3024: stopped, 1317: stopped,
		1044: "MySQL reports: about 'x' (error 1044)", 1049: "MySQL reports: about 'x' (error 1049)", 1054: "MySQL reports: about 'x' (error 1054)", 1064: "MySQL reports: about 'x' (error 1064)",
		1142: "MySQL reports: about 'x' (error 1142)", 1146: "MySQL reports: about 'x' (error 1146)", 1292: "MySQL reports: about … (error 1292)", 1062: "MySQL reports: about … (error 1062)",
	} {
		assert.Equal(t, want, mysqlReason(fmt.Errorf("x: %w", &mysql.MySQLError{Number: number, Message: "about 'x'"})), number)
	}
	assert.Equal(t, []string{closed, closed, ""}, []string{mysqlReason(mysql.ErrInvalidConn), mysqlReason(io.ErrUnexpectedEOF), mysqlReason(errors.New("x"))})
	for code, want := range map[string]string{
		"28P01": refuses, "28000": refuses, "25006": "the query would write, and it runs in a read-only transaction: about 'x'", "57014": stopped,
		"42703": "PostgreSQL reports: about 'x' (SQLSTATE 42703)", "3D000": "PostgreSQL reports: about 'x' (SQLSTATE 3D000)",
		"22P02": "PostgreSQL reports: about … (SQLSTATE 22P02)", "23505": "PostgreSQL reports: about … (SQLSTATE 23505)",
	} {
		assert.Equal(t, want, postgresReason(fmt.Errorf("x: %w", &pgconn.PgError{Code: code, Message: "about 'x'"})), code)
	}
	assert.Equal(t, "PostgreSQL reports: no (at character 1 of the query) (SQLSTATE 42601)", postgresReason(&pgconn.PgError{Code: "42601", Message: "no", Position: 1}))
	assert.Equal(t, []string{closed, ""}, []string{postgresReason(io.ErrUnexpectedEOF), postgresReason(errors.New("x"))})
	for code, want := range map[int32]string{
		192: refuses, 193: refuses, 194: refuses, 516: refuses, 159: stopped, 160: stopped, 394: stopped, 164: "the query would write or change a setting, and it runs with readonly = 1: about 'x'",
		396: "the result is larger than the server allows its user: about 'x'", 47: "ClickHouse reports: about 'x' (code 47)", 62: "ClickHouse reports: about 'x' (code 62)",
		6: "ClickHouse reports: about … (code 6)",
	} {
		assert.Equal(t, want, clickhouseReason(fmt.Errorf("x: %w", &clickhouse.Exception{Code: code, Message: "about 'x'"})), code)
	}
	assert.Equal(t, []string{closed, closed, "the server does not tell the setting readonly of its user", ""},
		[]string{clickhouseReason(io.EOF), clickhouseReason(io.ErrUnexpectedEOF), clickhouseReason(sql.ErrNoRows), clickhouseReason(errors.New("x"))})
	assert.Empty(t, sqliteReason(errors.New("x")))
}

// Texts and integers identify users; other values are a problem of their row.
func TestTextsOfDrivers(t *testing.T) {
	n, text := int64(-7), "x"
	for _, c := range []struct {
		typeName string
		value    any
		want     string
	}{
		{"string", "a\x00", "a\x00"}, {"fixedstring(4)", "ab\x00\x00", "ab"}, {"nullable(fixedstring(4))", "ab\x00\x00", "ab"}, {"int64", n, "-7"}, {"nullable(int64)", &n, "-7"},
		{"nullable(string)", &text, "x"}, {"uint8", uint8(255), "255"}, {"int128", *big.NewInt(5), "5"}, {"nullable(nothing)", nil, ""},
	} {
		got, problem := clickhouseText(c.typeName, &c.value)
		assert.Equal(t, c.want, got, c.typeName)
		assert.Empty(t, problem, c.typeName)
	}
	var list any = []int{1}
	_, problem := clickhouseText("array(int64)", &list)
	assert.Contains(t, problem, "has the type []int: select it with toString(…)")
	for _, c := range []struct {
		value         any
		want, problem string
	}{
		{nil, "", ""}, {"x", "x", ""}, {n, "-7", ""}, {1.5, "", "is a real number"}, {[]byte("x"), "", "is a blob"}, {time.Time{}, "", "is a time or a boolean"}, {true, "", "is a time or a boolean"},
		{5, "", "has the type int: CAST it to text"},
	} {
		got, problem := sqliteText("", &c.value)
		assert.Equal(t, c.want, got)
		assert.Equal(t, c.problem == "", problem == "", c.value)
		assert.Contains(t, problem, c.problem)
	}
	raw, null := sql.RawBytes("2026-01-02 03:04:05"), sql.RawBytes(nil)
	got, _ := rawText("", &raw)
	assert.Equal(t, "2026-01-02 03:04:05", got)
	got, _ = rawText("", &null)
	assert.Empty(t, got)
	for typeName, want := range map[string]string{"timestamp": `"2026-01-02T03:04:05Z"`, "datetime": `"2026-01-02T03:04:05"`} {
		v, problem := rawValue(typeName, &raw)
		assert.Empty(t, problem)
		assert.Equal(t, want, v.JSON(), typeName)
	}
	v, _ := rawValue("timestamp", &null)
	assert.Equal(t, "null", v.JSON())
}
