package sqlsource

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/files/audiencesync"
)

// Changes restricts a query to the rows that have changed since a time, by one of its columns.
type Changes struct {
	Column string
	Since  time.Time // by the clock of the database; zero for all rows
}

// changesDialect says how an engine reads the rows that have changed.
type changesDialect struct {
	quote     string // before and after a name
	condition string // of the column %[1]s and the time, which is bound
	types     []string
}

// rowsName is the name of the query's result in the query around it.
const rowsName = "landfall_rows"

// wrap returns the query that reads the rows of a query that have changed. hasTime reports whether it has the bound time.
func (d *changesDialect) wrap(query string, c *Changes) (wrapped string, hasTime bool) {
	wrapped = "SELECT * FROM (\n" + withoutSemicolon(query) + "\n) AS " + rowsName
	if c.Since.IsZero() {
		return wrapped, false
	}
	column := rowsName + "." + d.quote + strings.ReplaceAll(c.Column, d.quote, d.quote+d.quote) + d.quote
	return wrapped + " WHERE " + column + " IS NULL OR " + fmt.Sprintf(d.condition, column), true
}

// check returns an error unless a result has the column, with a type of times.
func (d *changesDialect) check(columns []audiencesync.Column, c *Changes) error {
	at := slices.IndexFunc(columns, func(column audiencesync.Column) bool { return column.Name == c.Column })
	if at < 0 {
		return &OptionError{fmt.Sprintf("the query has no column %s, which should say when a row has changed", c.Column)}
	}
	if len(d.types) > 0 && !slices.Contains(d.types, columns[at].Type) {
		return &OptionError{fmt.Sprintf("the column %s has the type %s: when a row has changed should be one of the types %s", c.Column, columns[at].Type, strings.Join(d.types, ", "))}
	}
	return nil
}

// postgresChanges compares with a bound text, which has the type of the column.
func postgresChanges() *changesDialect {
	return &changesDialect{`"`, "%[1]s >= $1", []string{"timestamptz", "timestamp", "date"}}
}

// postgresTime returns a time as all its types read it: those without a zone ignore that of the text.
func postgresTime(at time.Time) []byte {
	return []byte(at.UTC().Format("2006-01-02 15:04:05.999999") + "+00")
}

// parseEpoch parses seconds since 1970 with all their digits.
func parseEpoch(text string) (time.Time, error) {
	seconds, fraction, _ := strings.Cut(text, ".")
	whole, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	nanos, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	return time.Unix(whole, nanos).UTC(), err
}

// mysqlChanges compares with a variable, so that the query itself has no parameters and its result arrives as text. A date would be compared as its
// midnight, so that changes of a day would be missed.
func mysqlChanges() *changesDialect {
	return &changesDialect{"`", "%[1]s >= CAST(@landfall_since AS datetime(6))", []string{"timestamp", "datetime"}}
}

const mysqlTime = "2006-01-02 15:04:05.000000"

// sqliteChanges compares in seconds: SQLite has no type of times. Numbers are seconds or milliseconds since 1970, or Julian days, and texts are dates as
// SQLite writes them. A row with another value is read in any case.
func sqliteChanges() *changesDialect {
	return &changesDialect{quote: `"`, condition: `COALESCE(CASE
		WHEN typeof(%[1]s) IN ('integer', 'real') AND %[1]s > 1e11 THEN %[1]s / 1000.0
		WHEN typeof(%[1]s) IN ('integer', 'real') AND %[1]s > 1e7 THEN %[1]s
		ELSE unixepoch(%[1]s) END >= ?, true)`}
}

// startChanges is startQuery for the rows that have changed. Its parameters are args.
func (c *databaseCursor) startChanges(ctx context.Context, q querier, d *changesDialect, o *Options, args ...any) error {
	query, hasTime := d.wrap(o.Query, o.Changes)
	if !hasTime {
		args = nil
	}
	if err := c.startQuery(ctx, q, query, args...); err != nil {
		return err
	}
	return d.check(c.names, o.Changes)
}

// startMySQLChanges reads the server's clock and starts the query of the rows that have changed.
func (c *databaseCursor) startMySQLChanges(ctx context.Context, o *Options) error {
	var now string
	if err := c.tx.QueryRowContext(ctx, "SELECT UTC_TIMESTAMP(6)").Scan(&now); err != nil {
		return err
	}
	var err error
	if c.now, err = time.Parse(mysqlTime, now); err != nil {
		return err
	}
	if !o.Changes.Since.IsZero() {
		if _, err := c.tx.ExecContext(ctx, "SET @landfall_since = ?", o.Changes.Since.UTC().Format(mysqlTime)); err != nil {
			return err
		}
	}
	return c.startChanges(ctx, c.tx, mysqlChanges(), o)
}

// startSQLite starts a query, with Changes that of the rows that have changed. The clock is that of this machine.
func (c *databaseCursor) startSQLite(ctx context.Context, o *Options) error {
	if o.Changes == nil {
		return c.startQuery(ctx, c.tx, o.Query)
	}
	c.now = time.Now()
	return c.startChanges(ctx, c.tx, sqliteChanges(), o, o.Changes.Since.Unix())
}
