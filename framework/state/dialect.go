package state

import (
	"net/url"
	"strings"
)

// dialect is what differs between the two databases.
type dialect struct {
	driver      string
	source      func(place string) string // what the driver opens
	connections int
	lockSchema  []string          // keeps other processes from migrating at the same time
	schema      *strings.Replacer // of migrations
	query       *strings.Replacer // of statements
}

// In statements, {rows} is the JSON array $2 as rows j, whose column value is an item; {lock} keeps the rows of a SELECT for
// the transaction; {now} is the time in milliseconds since 1970.
var (
	sqlite = dialect{
		driver: "sqlite", source: sqliteSource, connections: 4,
		schema: strings.NewReplacer("{serial}", "INTEGER PRIMARY KEY", "{bytes}", "", "{clustered}", "WITHOUT ROWID"),
		query: strings.NewReplacer("{rows}", "json_each($2) AS j", "{lock}", "",
			"{now}", "CAST(unixepoch('subsec') * 1000 AS INTEGER)"), // a transaction locks everything
	}
	postgres = dialect{
		driver: "pgx", source: func(place string) string { return place }, connections: 16,
		lockSchema: []string{`SELECT pg_advisory_xact_lock(7236174)`},
		schema: strings.NewReplacer("{serial}", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "{bytes}", `COLLATE "C"`,
			"{clustered}", ""),
		query: strings.NewReplacer("{rows}", "json_array_elements($2::json) AS j(value)", "{lock}", "FOR UPDATE",
			"{now}", "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"),
	}
)

// sqliteSource opens a file for readers beside one writer, which waits for its turn; a transaction is on disk when it ends.
func sqliteSource(file string) string {
	pragmas := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(30000)", "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-131072)", "wal_autocheckpoint(16384)", "temp_store(MEMORY)",
	}}
	return (&url.URL{Scheme: "file", Path: file, RawQuery: pragmas.Encode()}).String()
}

// Identities in SQL hold no zero byte, which PostgreSQL cannot keep; the order of bytes stays as it is.
var (
	toSQL   = strings.NewReplacer("\x00", "\x01\x01", "\x01", "\x01\x02")
	fromSQL = strings.NewReplacer("\x01\x01", "\x00", "\x01\x02", "\x01")
)
