package state

import (
	"database/sql"
	"net/url"
	"strings"
)

// dialect holds the differences between the two databases.
type dialect struct {
	isLocal     bool
	newest      int // version of the schema that this program knows
	connect     func(location string) (*sql.DB, error)
	connections int
	lockSchema  []string                         // prevents concurrent migrations
	schema      *strings.Replacer                // expands placeholders in migrations
	query       *strings.Replacer                // expands placeholders in statements
	list        func(identities []string) string // returns the argument for {listed}
	rowLock     string                           // the clause that locks selected rows for a transaction; empty for SQLite, whose write transactions lock the whole database

	tuneBlobs    []string // statements after the creation of a table with the column changes
	countColumns string   // counts the columns of the table $1 with the name $2
}

// In statements, {listed} is true for the identities of list in $2, and {now} is the time in milliseconds since 1970.
var (
	sqlite = dialect{
		isLocal: true, newest: filesVersion, connections: 4,
		connect: func(file string) (*sql.DB, error) { return sql.OpenDB(sqliteConnector{file, sqliteSource(file)}), nil },
		schema:  strings.NewReplacer("{serial}", "INTEGER PRIMARY KEY", "{bytes}", "", "{blob}", "BLOB", "{clustered}", "WITHOUT ROWID"),
		query: strings.NewReplacer("{listed}", "IN (SELECT value FROM json_each($2))",
			"{now}", "CAST(unixepoch('subsec') * 1000 AS INTEGER)"),
		list:         identityList,
		countColumns: `SELECT COUNT(*) FROM pragma_table_info($1) WHERE name = $2`,
	}
	postgres = dialect{
		newest: filesVersion, connections: 16,
		connect:    func(location string) (*sql.DB, error) { return sql.Open("pgx", location) },
		lockSchema: []string{`SELECT pg_advisory_xact_lock(7236174)`},
		schema: strings.NewReplacer("{serial}", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "{bytes}", `COLLATE "C"`,
			"{blob}", "BYTEA", "{clustered}", ""),
		query: strings.NewReplacer("{listed}", "= ANY((string_to_array($2, "+textSeparatorSQL+"))[2:])",
			"{now}", "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"),
		list: listedTexts, rowLock: "FOR UPDATE",
		tuneBlobs:    []string{`ALTER TABLE {table} ALTER COLUMN changes SET STORAGE EXTERNAL`}, // compressing short-lived rows costs more than it saves
		countColumns: `SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1 AND column_name = $2`,
	}
)

// sqliteSource returns the data source name of a file: many concurrent readers and one writer, other writers wait, and a committed
// transaction is on disk.
func sqliteSource(file string) string {
	pragmas := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(30000)", "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-131072)", "wal_autocheckpoint(16384)", "temp_store(MEMORY)",
	}}
	return (&url.URL{Scheme: "file", Path: file, RawQuery: pragmas.Encode()}).String()
}

// toSQL escapes zero bytes, which PostgreSQL cannot store, and keeps the byte order of texts. fromSQL reverses it.
var (
	toSQL   = strings.NewReplacer("\x00", "\x01\x01", "\x01", "\x01\x02")
	fromSQL = strings.NewReplacer("\x01\x01", "\x00", "\x01\x02", "\x01")
)

// escapeByte begins what toSQL writes in place of other bytes.
const escapeByte = 1
