package sqlsource

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
)

// fakeCursor returns a row for each of its problems and then an error.
type fakeCursor struct {
	problems []string
	end      error
	closed   int
	asked    int
}

func (c *fakeCursor) columns() []audiencesync.Column { return []audiencesync.Column{{Name: "id"}} }

func (c *fakeCursor) next([]int, []string) (string, error) {
	c.asked++
	if len(c.problems) == 0 {
		return "", c.end
	}
	problem := c.problems[0]
	c.problems = c.problems[1:]
	return problem, nil
}

func (c *fakeCursor) value(int) (event.Value, string) { return event.Value{}, "is odd" }

func (c *fakeCursor) clock() time.Time { return time.Time{} }

func (c *fakeCursor) close() { c.closed++ }

// fakeResult returns a result of a cursor, whose context ends after a minute.
func fakeResult(ctx context.Context, c *fakeCursor) *Result {
	r := &Result{rows: c, record: []string{"x"}, location: "db", engine: engine{reason: mysqlReason}, options: Options{Timeout: time.Minute}}
	r.ctx, r.cancel = context.WithTimeout(ctx, time.Minute)
	return r
}

// A result ends once: with io.EOF, or with an error that says after which row. A value that cannot be used is an error of its row alone.
func TestEndsOfResults(t *testing.T) {
	for want, end := range map[string]error{
		"EOF": io.EOF,
		"db: the result is incomplete after row 2: the server closed the connection": io.ErrUnexpectedEOF,
		"db: the result is incomplete after row 2: the connection failed":            errors.New("secret"),
		"the query has several results":                                              &OptionError{"the query has several results"},
	} {
		c := &fakeCursor{problems: []string{"", "id is odd"}, end: end}
		r := fakeResult(t.Context(), c)
		r.UseProperties([]int{0})
		_, err := r.Next()
		require.NoError(t, err)
		_, problem := r.Properties()
		assert.Equal(t, "id is odd", problem)
		_, err = r.Next()
		assert.Equal(t, &audiencesync.RowError{Line: 2, Reason: "id is odd"}, err)
		for range 2 {
			row, err := r.Next()
			assert.Nil(t, row)
			assert.EqualError(t, err, want)
			assert.ErrorIs(t, err, end)
		}
		assert.Equal(t, 3, c.asked)
		r.Close()
		assert.Error(t, r.ctx.Err())
		assert.Equal(t, 1, c.closed)
	}
	_, err := fakeResult(t.Context(), &fakeCursor{end: &fault.Error{Message: "x", Err: context.DeadlineExceeded}}).Next()
	assert.EqualError(t, err, "db: no answer in time")
}

// A command that is cancelled, and a time limit that is over, end a result whose rows a driver has already.
func TestLimitsOfResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeCursor{problems: []string{"", "", ""}, end: io.EOF}
		r := fakeResult(t.Context(), c)
		_, err := r.Next()
		require.NoError(t, err)
		time.Sleep(time.Minute)
		synctest.Wait() // the limit ends at the same moment
		_, err = r.Next()
		assert.EqualError(t, err, "db: the query was stopped, since it took longer than its time limit, 1m0s")
		_, again := r.Next()
		assert.Equal(t, err, again)

		ctx, cancel := context.WithCancel(t.Context())
		r = fakeResult(ctx, &fakeCursor{problems: []string{"", ""}, end: io.EOF})
		cancel()
		synctest.Wait()
		_, err = r.Next()
		assert.Equal(t, context.Canceled, err)
	})
}

// watchedContext counts what waits for its end.
type watchedContext struct {
	context.Context
	done                chan struct{}
	registered, stopped int
}

func (c *watchedContext) Done() <-chan struct{} { return c.done }

func (c *watchedContext) AfterFunc(func()) (stop func() bool) {
	c.registered++
	return func() bool {
		c.stopped++
		return true
	}
}

// A result that is closed or cannot be opened leaves nothing behind that waits for the end of the command.
func TestClosedResultsLeaveNothingBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	db, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	_, err = db.Exec("CREATE TABLE users (id); INSERT INTO users VALUES (1)")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	for _, prefix := range []string{"sqlite:", "sqlite://"} { // an absolute path, also as a URL
		ctx := &watchedContext{Context: t.Context(), done: make(chan struct{})}
		r, err := Open(ctx, Options{URL: prefix + path, Query: "SELECT id FROM users"})
		require.NoError(t, err, prefix)
		deadline, _ := r.ctx.Deadline()
		assert.WithinRange(t, deadline, r.At.Add(DefaultTimeout-time.Minute), r.At.Add(DefaultTimeout+time.Minute))
		assert.Zero(t, r.Clock)
		assert.Equal(t, []int{1, 0}, []int{ctx.registered, ctx.stopped})
		r.Close()
		assert.Equal(t, 1, ctx.stopped)
	}
	ctx := &watchedContext{Context: t.Context(), done: make(chan struct{})}
	_, err = Open(ctx, Options{URL: "sqlite:" + path, Query: "SELECT nme FROM users"})
	assert.EqualError(t, err, "sqlite:"+path+": SQLite reports: SQL logic error: no such column: nme (1)")
	assert.Equal(t, []int{1, 1}, []int{ctx.registered, ctx.stopped})
}

func TestIDsOfQueries(t *testing.T) {
	base := Options{URL: "postgres://scott:tiger@host/shop?sslmode=require", Query: "SELECT 1"}
	same, query, place, changes := base, base, base, base
	same.URL = "postgres://other:secret@host/shop"
	query.Query += " "
	place.URL = "postgres://host/shop2"
	changes.Changes = &Changes{Column: "at"}
	assert.Equal(t, base.ID(), same.ID())
	assert.Len(t, base.ID(), 32)
	assert.NotEqual(t, base.ID(), query.ID())
	assert.NotEqual(t, base.ID(), place.ID())
	assert.NotEqual(t, base.ID(), changes.ID())
	assert.Equal(t, base.ID(), (&Result{options: base}).ID())
	for address, want := range map[string]string{
		"sqlite:/a b": "sqlite:/a b", "postgres://u:secret@h:1/d?x=secret#secret": "postgres://h:1/d", "postgres://h": "postgres://h/", "postgres://u:sec%zz": "the database",
	} {
		assert.Equal(t, want, Location(address))
	}
}

func TestLimitsOfQueries(t *testing.T) {
	o := Options{URL: "postgres://h/x", Query: "SELECT 1" + strings.Repeat(" ", maxQuery-8)}
	assert.NoError(t, Check(o))
	o.Query += " "
	assert.EqualError(t, Check(o), "the query is longer than 1 MB")
	for _, address := range []string{"postgres:", "mysql:", "h/x", ""} {
		var wrong *OptionError
		assert.ErrorAs(t, Check(Options{URL: address, Query: "SELECT 1"}), &wrong, address)
	}
	for _, address := range []string{"POSTGRES://h", "postgres:///d", "mariadb://h/d", "redshift://h/d", "sqlite:%zz"} {
		assert.NoError(t, Check(Options{URL: address, Query: "SELECT 1"}), address)
	}
}

// fakeDriver is a connection of database/sql whose results are scripted: the rows of each, and the error after its last row.
type fakeDriver struct {
	names   []string
	results [][]any
	ends    []error
	closed  int // rows, connections and the pool
}

func (d *fakeDriver) Connect(context.Context) (driver.Conn, error) { return d, nil }
func (d *fakeDriver) Driver() driver.Driver                        { return nil }
func (d *fakeDriver) Prepare(string) (driver.Stmt, error)          { return nil, errors.ErrUnsupported }
func (d *fakeDriver) Begin() (driver.Tx, error)                    { return nil, errors.ErrUnsupported }
func (d *fakeDriver) Columns() []string                            { return d.names }
func (d *fakeDriver) HasNextResultSet() bool                       { return len(d.results) > 1 }

func (d *fakeDriver) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return d, nil
}

func (d *fakeDriver) Close() error {
	d.closed++
	return nil
}

func (d *fakeDriver) Next(dest []driver.Value) error {
	if len(d.results[0]) == 0 {
		return d.ends[0]
	}
	dest[0], d.results[0] = d.results[0][0], d.results[0][1:]
	return nil
}

func (d *fakeDriver) NextResultSet() error {
	d.results, d.ends = d.results[1:], d.ends[1:]
	return nil
}

// The end that a driver reports is the end of a result only without an error and without further results. Drivers report lost connections as io.EOF.
func TestEndsThatDriversReport(t *testing.T) {
	failed, lost := errors.New("failed"), errors.Join(errors.New("read"), io.EOF)
	for name, c := range map[string]struct {
		results [][]any
		ends    []error
		want    string
	}{
		"complete":           {[][]any{{"a", "b"}}, []error{io.EOF}, "EOF"},
		"a failure":          {[][]any{{"a", "b"}}, []error{failed}, "failed"},
		"a lost connection":  {[][]any{{"a", "b"}}, []error{lost}, "unexpected EOF"},
		"several results":    {[][]any{{"a", "b"}, {}}, []error{io.EOF, io.EOF}, "the query has several results: it should be a single statement"},
		"results and an end": {[][]any{{"a", "b"}, {}}, []error{failed, io.EOF}, "failed"},
	} {
		d := &fakeDriver{names: []string{"id"}, results: c.results, ends: c.ends}
		cursor := &databaseCursor{db: sql.OpenDB(d), text: sqliteText, json: anyValue, values: []any{new(any)}}
		require.NoError(t, cursor.startQuery(t.Context(), cursor.db, "SELECT id"))
		record := make([]string, 1)
		for _, want := range []string{"a", "b"} {
			problem, err := cursor.next([]int{0}, record)
			require.NoError(t, err)
			assert.Empty(t, problem)
			assert.Equal(t, want, record[0])
			v, _ := cursor.value(0)
			assert.Equal(t, want, v.Text())
		}
		_, err := cursor.next([]int{0}, record)
		assert.EqualError(t, err, c.want, name)
		assert.Equal(t, c.want == "EOF", err == io.EOF)
		cursor.close()
		assert.Equal(t, 3, d.closed, "the rows, the connection and the pool")
	}
}

func TestRowsThatDriversCannotRead(t *testing.T) {
	d := &fakeDriver{names: []string{"id"}, results: [][]any{{1.5, "x"}}, ends: []error{io.EOF}}
	cursor := &databaseCursor{db: sql.OpenDB(d), text: sqliteText, json: anyValue, values: []any{new(any)}}
	require.NoError(t, cursor.startQuery(t.Context(), cursor.db, "SELECT id"))
	record := make([]string, 1)
	problem, err := cursor.next([]int{0}, record)
	require.NoError(t, err)
	assert.Contains(t, problem, "id is a real number")
	cursor.values = []any{new(int)}
	_, err = cursor.next([]int{0}, record)
	assert.ErrorContains(t, err, "converting")
	cursor.close()

	none := &fakeDriver{}
	cursor = &databaseCursor{db: sql.OpenDB(none)}
	assert.EqualError(t, cursor.startQuery(t.Context(), cursor.db, "SELECT"), "the query returns no columns")
	cursor.close()
	assert.Equal(t, 3, none.closed)
}
