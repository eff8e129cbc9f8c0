package state

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
)

var errInjected = errors.New("the disk failed")

// faultyDriver opens connections of which one call fails: a statement, a commit, or the read of a row.
type faultyDriver struct {
	of     sqliteConnector
	calls  int
	failAt int // the number of the call that fails; 0 for none
}

func (f *faultyDriver) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := f.of.Connect(ctx)
	return &faultyConn{c, f}, err
}

// fail counts a call and reports whether it fails.
func (f *faultyDriver) fail() error {
	if f.calls++; f.calls == f.failAt {
		return errInjected
	}
	return nil
}

func (f *faultyDriver) Driver() driver.Driver { return f.of.Driver() }

type faultyConn struct {
	driver.Conn
	f *faultyDriver
}

func (c *faultyConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if err := c.f.fail(); err != nil {
		return nil, err
	}
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
	return faultyTx{tx, c.f}, err
}

func (c *faultyConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.f.fail(); err != nil {
		return nil, err
	}
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c *faultyConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.f.fail(); err != nil {
		return nil, err
	}
	rows, err := c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
	return faultyRows{rows, c.f}, err
}

func (c *faultyConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if err := c.f.fail(); err != nil {
		return nil, err
	}
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	return faultyStmt{s, c.f}, err
}

type faultyTx struct {
	driver.Tx
	f *faultyDriver
}

func (t faultyTx) Commit() error {
	if err := t.f.fail(); err != nil {
		return errors.Join(err, t.Tx.Rollback())
	}
	return t.Tx.Commit()
}

type faultyStmt struct {
	driver.Stmt
	f *faultyDriver
}

func (s faultyStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.f.fail(); err != nil {
		return nil, err
	}
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

type faultyRows struct {
	driver.Rows
	f *faultyDriver
}

func (r faultyRows) Next(values []driver.Value) error {
	if err := r.f.fail(); err != nil {
		return err
	}
	return r.Rows.Next(values)
}

// makeFaulty replaces the connections of a store by those of a faultyDriver.
func makeFaulty(t *testing.T, s *Store, file string) *faultyDriver {
	t.Helper()
	f := &faultyDriver{of: sqliteConnector{file, strings.Replace(sqliteSource(file), "FULL", "OFF", 1)}}
	require.NoError(t, s.closeConnections())
	s.db, s.hot = sql.OpenDB(f), sql.OpenDB(f)
	s.hot.SetMaxOpenConns(1)
	return f
}

// Every statement, commit and read of a row that fails is an error of the call that needs it, which then changes nothing: the same call
// succeeds afterwards.
func TestEveryFailureOfTheDatabaseIsAnError(t *testing.T) {
	t.Run("members in tables", func(t *testing.T) { checkFailures(t, math.MaxInt64) })
	t.Run("members in files", func(t *testing.T) { checkFailures(t, 0) })
}

// checkFailures is TestEveryFailureOfTheDatabaseIsAnError for ledgers that merge unmerged writes of so many bytes to files.
func checkFailures(t *testing.T, flush int64) {
	dir := t.TempDir()
	s := openLocal(t, dir)
	s.limits.flush = flush
	l := s.Ledger("main")
	f := makeFaulty(t, s, dir+"/"+FileName)
	n := 0
	fill := func() {
		n++
		require.NoError(t, s.mergeAllWrites(t.Context()))
		if flush == 0 {
			for _, instance := range []string{"main", "other", "third"} {
				require.NoError(t, s.Ledger(instance).settle(t.Context(), vipAudience.ID))
			}
		}
		request := []destination.Change{{Identity: "u1", Member: n%2 == 0, At: second(n)}, {Identity: "u2", Member: true, At: second(n)}}
		for _, instance := range []string{"main", "other"} {
			ledger := s.Ledger(instance)
			require.NoError(t, ledger.Put(t.Context(), "k", "v"))
			require.NoError(t, ledger.Record(t.Context(), vipAudience, request))
			require.NoError(t, ledger.MarkUncertain(t.Context(), vipAudience, []destination.Change{{Identity: "u3", At: second(n)}}))
		}
	}
	require.NoError(t, fillStore(t.Context(), s))
	a := vipAudience
	operations := storeOperations(s)
	maps.Copy(operations, map[string]func(context.Context) error{
		"lookup":   func(ctx context.Context) error { _, err := l.Lookup(ctx, a.ID, []string{"u1", "u9"}); return err },
		"find":     func(ctx context.Context) error { _, _, _, err := l.Find(ctx, a.ID, "u1"); return err },
		"each":     func(ctx context.Context) error { return l.Each(ctx, a.ID, "", func(Membership) error { return nil }) },
		"sizes":    func(ctx context.Context) error { _, err := l.Sizes(ctx); return err },
		"audience": func(ctx context.Context) error { _, _, err := l.Audience(ctx, a.ID); return err },
		"content":  func(ctx context.Context) error { _, err := l.Content(ctx); return err },
		"record": func(ctx context.Context) error {
			return l.Record(ctx, destination.Audience{ID: a.ID, Name: fmt.Sprint("n", n)}, []destination.Change{{Identity: "u3", Member: true, At: second(n)}, {Identity: "u8", At: second(n)}})
		},
		"annotate": func(ctx context.Context) error {
			return l.Annotate(ctx, a, []destination.Note{{Identity: "u1", Outcome: "refused", Reason: "r"}})
		},
		"mark": func(ctx context.Context) error {
			return l.MarkUncertain(ctx, a, []destination.Change{{Identity: "u1"}})
		},
		"purge":    func(ctx context.Context) error { return l.Purge(ctx, a, second(n)) },
		"mark all": s.MarkAllUncertain,
		"merge":    s.mergeAllWrites,
		"merge of a large audience": func(ctx context.Context) error {
			s.limits.unmerged = 1
			defer func() { s.limits.unmerged = defaultLimits.unmerged }()
			return lookupAndAnnotate(ctx, l, l)
		},
		"merge of the largest audience": func(ctx context.Context) error {
			s.limits.unmergedTotal = 1
			defer func() { s.limits.unmergedTotal = defaultLimits.unmergedTotal }()
			return lookupAndAnnotate(ctx, l, s.Ledger("third"))
		},
		"get":       func(ctx context.Context) error { _, _, err := l.Get(ctx, "k"); return err },
		"put":       func(ctx context.Context) error { return l.Put(ctx, "k", "v") },
		"swap":      func(ctx context.Context) error { _, err := l.Swap(ctx, "k", "v", "v"); return err },
		"instances": func(ctx context.Context) error { _, err := s.Instances(ctx); return err },
		"target":    func(ctx context.Context) error { _, _, err := l.Target(ctx); return err },
		"claim":     func(ctx context.Context) error { _, err := l.Claim(ctx, Target{Destination: "d"}); return err },
		"rename":    func(ctx context.Context) error { return l.Rename(ctx, "other") },
		"forget":    l.Forget,
		"check":     func(ctx context.Context) error { _, err := s.Check(ctx); return err },
		"backup":    func(ctx context.Context) error { return s.Backup(ctx, fmt.Sprint(dir, "/copy", f.failAt, n)) },
	})
	if flush == 0 { // then the calls that start merges do not wait for them
		delete(operations, "merge of a large audience")
		delete(operations, "merge of the largest audience")
		operations["downgrade"] = s.Downgrade
	}
	for name, do := range operations {
		for at := 1; ; at++ {
			fill()
			s.recent = map[recentKey]*recentRows{} // as in a new process
			f.calls, f.failAt = 0, at
			err := do(t.Context())
			calls := f.calls
			f.failAt = 0
			if calls < at {
				require.NoError(t, err, name)
				break
			}
			assert.ErrorIs(t, err, errInjected, "%s, call %d", name, at)
			require.Less(t, at, 200, name)
		}
	}
}

// lookupAndAnnotate reads the unmerged writes of one ledger, and writes to another.
func lookupAndAnnotate(ctx context.Context, read, write *Ledger) error {
	if _, err := read.Lookup(ctx, vipAudience.ID, []string{"u1"}); err != nil {
		return err
	}
	return write.Annotate(ctx, vipAudience, []destination.Note{{Identity: "u1", Outcome: "refused", Reason: "r"}})
}
