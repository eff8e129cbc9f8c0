// Package sqlsource reads users from a query of a SQL database: PostgreSQL and servers that speak its protocol, MySQL and MariaDB,
// ClickHouse, BigQuery, Snowflake, and SQLite.
//
// [Open] starts a query that can only read, with a time limit. A [Result] is an audiencesync.Table: it streams the rows with bounded
// memory and returns their values as exact texts, and its end is io.EOF only if the server has confirmed that the result is complete.
package sqlsource

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
)

// DefaultTimeout is the time limit of a query, including the reading of its rows.
const DefaultTimeout = 30 * time.Minute

// maxQuery is the size of the largest query in bytes.
const maxQuery = 1 << 20

// Options says which query runs where.
type Options struct {
	URL     string // such as postgres://USER:PASSWORD@HOST/DATABASE
	Query   string
	Timeout time.Duration // DefaultTimeout if it is 0
	Changes *Changes      // reads only the rows that have changed; nil for all rows
}

// Error is the error of a query or its connection. Its text contains neither credentials nor values of rows.
type Error struct {
	Location string // the database, without credentials
	Reason   string
	Cause    error
}

func (e *Error) Error() string { return e.Location + ": " + e.Reason }

// Unwrap returns the error of the database.
func (e *Error) Unwrap() error { return e.Cause }

// OptionError means that a URL or a query cannot be used. Its text does not contain the URL.
type OptionError struct{ Reason string }

func (e *OptionError) Error() string { return e.Reason }

// cursor reads the rows of one engine.
type cursor interface {
	columns() []audiencesync.Column
	// next returns the texts of the used columns of the next row. The problem, if not "", says why a value cannot be used.
	next(used []int, record []string) (problem string, err error)
	// value returns the value of a column in the row that next has returned. The problem, if not "", says why it has no JSON form.
	value(column int) (v event.Value, problem string)
	clock() time.Time
	close()
}

// engine is a kind of database.
type engine struct {
	schemes []string
	example string
	open    func(ctx context.Context, o Options) (cursor, error)
	changes bool                   // it can read only the rows that have changed
	reason  func(err error) string // what the database reports; "" if err is not of the database
}

func engines() []engine {
	return []engine{
		{[]string{"postgres", "postgresql", "redshift"}, "postgres://USER:PASSWORD@HOST/DATABASE", openPostgres, true, postgresReason},
		{[]string{"mysql", "mariadb"}, "mysql://USER:PASSWORD@HOST/DATABASE", openMySQL, true, mysqlReason},
		{[]string{"clickhouse"}, "clickhouse://USER:PASSWORD@HOST/DATABASE", openClickHouse, false, clickhouseReason},
		{[]string{"bigquery"}, "bigquery://PROJECT/DATASET?key=PATH", openBigQuery, false, bigqueryReason},
		{[]string{"snowflake"}, "snowflake://USER@ACCOUNT/DATABASE/SCHEMA?key=PATH", openSnowflake, false, snowflakeReason},
		{[]string{"sqlite"}, "sqlite:PATH", openSQLite, true, sqliteReason},
	}
}

// findEngine returns the engine of a URL.
func findEngine(address string) (engine, error) {
	scheme, _, found := strings.Cut(address, ":")
	var examples, names []string
	for _, e := range engines() {
		if found && slices.Contains(e.schemes, strings.ToLower(scheme)) {
			return e, nil
		}
		examples, names = append(examples, e.example), append(names, e.schemes...)
	}
	near := ""
	if found {
		near = fault.DidYouMean(strings.ToLower(scheme), names)
	}
	return engine{}, &OptionError{"the URL has no known scheme" + near + ": it should be one of " + strings.Join(examples, ", ")}
}

// Check returns an *OptionError if the URL or the query cannot be used, without connecting.
func Check(o Options) error {
	e, err := findEngine(o.URL)
	switch {
	case err != nil:
		return err
	case o.Changes != nil && !e.changes:
		return &OptionError{"incremental runs are not possible with " + e.schemes[0] + ": leave incremental out, so that each run reads the whole result"}
	case o.Timeout < 0:
		return &OptionError{"the time limit of the query should be positive"}
	case len(o.Query) > maxQuery:
		return &OptionError{fmt.Sprintf("the query is longer than %d MB", maxQuery>>20)}
	}
	if scheme, _, _ := strings.Cut(o.URL, ":"); scheme != "sqlite" {
		if u, err := url.Parse(o.URL); err != nil || u.Host == "" && u.Path == "" {
			return &OptionError{"the URL cannot be read: write " + e.example + ", with special characters of the password percent-encoded"}
		}
	}
	return checkQuery(o.Query)
}

// Result is the result of a query. It is not safe for concurrent use.
type Result struct {
	// At is when the query began. The database takes the snapshot that the query reads after it.
	At time.Time
	// Clock is the time of the database's clock at which the query began, with Options.Changes.
	Clock time.Time

	ctx      context.Context // of the query, with its time limit
	cancel   context.CancelFunc
	engine   engine
	location string
	options  Options
	rows     cursor
	used     []int
	typed    []int // columns that Properties returns
	record   []string
	row      int
	ended    error
}

// Open connects to a database and starts a query. The error is an *OptionError or an *Error. The caller closes the Result.
func Open(ctx context.Context, o Options) (*Result, error) {
	if err := Check(o); err != nil {
		return nil, err
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	e, _ := findEngine(o.URL)
	r := &Result{At: time.Now(), engine: e, location: Location(o.URL), options: o}
	r.ctx, r.cancel = context.WithTimeout(ctx, o.Timeout)
	var err error
	if r.rows, err = e.open(r.ctx, o); err != nil {
		err = r.describe(err)
		r.cancel()
		return nil, err
	}
	r.Clock, r.record = r.rows.clock(), make([]string, len(r.rows.columns()))
	return r, nil
}

// Columns returns the columns of the result.
func (r *Result) Columns() []audiencesync.Column { return r.rows.columns() }

// Use says which columns Next returns.
func (r *Result) Use(columns []int) { r.used = columns }

// UseProperties says which columns Properties returns.
func (r *Result) UseProperties(columns []int) { r.typed = columns }

// Properties returns the values of these columns in the row that Next has returned, or why one of them has no JSON form.
func (r *Result) Properties() (values []event.Value, problem string) {
	columns := r.rows.columns()
	for _, i := range r.typed {
		v, problem := r.rows.value(i)
		if problem != "" {
			return nil, columns[i].Name + " " + problem
		}
		values = append(values, v)
	}
	return values, ""
}

// Next returns the next row. Its columns that are not used are empty. The slice is valid until the next call.
func (r *Result) Next() ([]string, error) {
	if r.ended != nil {
		return nil, r.ended
	}
	problem, err := r.rows.next(r.used, r.record)
	if err == nil {
		err = r.ctx.Err() // a driver may return rows that it has buffered
	}
	switch {
	case errors.Is(err, io.EOF):
		r.ended = io.EOF
	case err != nil:
		r.ended = r.describe(err)
	default:
		r.row++
		if problem != "" {
			return nil, &audiencesync.RowError{Line: r.row, Reason: problem}
		}
		return r.record, nil
	}
	return nil, r.ended
}

// Close ends the query and its connection.
func (r *Result) Close() {
	r.cancel()
	r.rows.close()
}

// ID identifies the database and the query, without credentials.
func (r *Result) ID() string { return r.options.ID() }

// ID identifies the database and the query, without credentials. With Changes it is another, since the types of columns may differ.
func (o *Options) ID() string {
	query := o.Query
	if o.Changes != nil {
		query += "\x00changes"
	}
	sum := sha256.Sum256([]byte(Location(o.URL) + "\x00" + query))
	return hex.EncodeToString(sum[:16])
}

// describe returns err as an error for people.
func (r *Result) describe(err error) error {
	var known *OptionError
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(r.ctx.Err(), context.Canceled):
		return r.ctx.Err()
	case errors.Is(r.ctx.Err(), context.DeadlineExceeded):
		return &Error{r.location, fmt.Sprintf("the query was stopped, since it took longer than its time limit, %v", r.options.Timeout), err}
	}
	reason := r.engine.reason(err)
	if reason == "" {
		reason = fault.NetworkReason(err)
	}
	if reason == "" {
		reason = "the connection failed"
	}
	if r.row > 0 {
		reason = fmt.Sprintf("the result is incomplete after row %d: %s", r.row, reason)
	}
	return &Error{r.location, reason, err}
}

// Location returns the database of a URL for messages, without its user, password and parameters.
func Location(address string) string {
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
		return "sqlite:" + path
	}
	u, err := url.Parse(address)
	if err != nil {
		return "the database"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/" + strings.TrimPrefix(u.Path, "/")}).String()
}
