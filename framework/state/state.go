// Package state stores data that must outlive a process in an SQL database: the ledger of audience members, OAuth tokens, and
// values of handlers.
//
// A SQLite file serves one machine; several machines share a PostgreSQL database. Both have the same schema and use the same
// code; dialect.go holds most differences. No other package uses SQL. Every write is durable when its method returns. A Store is
// safe for concurrent use, also by several processes.
//
// A program opens a [Store] once, with [Open], and gives each instance its [Ledger] (runtime.Host's State and Members) and the
// [Tokens] (package oauth). [OpenSandbox] keeps the state of sandboxes apart.
//
// If the database does not respond, methods return a *fault.Error with fault.CodeState; the call may be retried.
package state

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx

	"github.com/landfall-dev/landfall/framework/fault"
)

// FileName is the name of the SQLite file in a data directory.
const FileName = "state.db"

//go:embed migrations/*.sql
var migrations embed.FS

// Store is an open database.
type Store struct {
	db       *sql.DB
	hot      *sql.DB // for transactions and lookups; the same as db, except for a file
	dialect  dialect
	version  atomic.Int64  // newest version that a PostgreSQL database is known to have, or that this process has given a file
	maxAhead time.Duration // how far the time of an event may be ahead of the server's clock when it is recorded

	limits        recentLimits
	merger        merger
	flusher       flusher
	files         *memberFiles
	groups        writeGroups
	recentMu      sync.Mutex
	recent        map[recentKey]*recentRows
	recentKept    int          // audiences in recent when those without rows were dropped last
	unmergedTotal atomic.Int64 // bytes of the unmerged writes of recent
	readTotal     atomic.Int64 // bytes of the rows in recent that were read or merged
}

// WithMaxFuture sets how far the time of an event may be ahead of the time when it was recorded; see event.LimitFuture. It is
// ingest.maxFuture of the configuration, one minute by default. It must be called before the Store is used.
func (s *Store) WithMaxFuture(d time.Duration) *Store {
	if d > 0 {
		s.maxAhead = d
	}
	return s
}

// Open opens a database and applies pending migrations. The location is a postgres:// URL, or the directory of the SQLite file;
// directory and file are created if they do not exist.
func Open(ctx context.Context, location string) (*Store, error) {
	return OpenSandbox(ctx, location, "")
}

// OpenSandbox is Open for the state of a sandbox, which has its own SQLite file or PostgreSQL schema. sandbox is a name from
// SandboxName; "" opens the state of the real destinations.
func OpenSandbox(ctx context.Context, location, sandbox string) (*Store, error) {
	if strings.HasPrefix(location, "postgres://") || strings.HasPrefix(location, "postgresql://") {
		return openPostgres(ctx, location, sandbox)
	}
	if strings.Contains(location, "://") {
		return nil, fmt.Errorf("the state should be a directory or a postgres:// URL but is %s", withoutSecrets(location))
	}
	if err := os.MkdirAll(location, 0o700); err != nil {
		return nil, dataDirError(err, "give a directory, which is created if it does not exist")
	}
	file, err := filepath.Abs(filepath.Join(location, File(sandbox)))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if err := (fileDir{file + memberFilesSuffix}).requireNone(); err != nil {
			return nil, openError(file, err)
		}
	}
	if err := createPrivateFile(file); err != nil {
		return nil, dataDirError(err, "give a directory that the user of this process may write")
	}
	return openStore(ctx, sqlite, file)
}

// dataDirError returns the error of a data directory that cannot be used, with what to do unless the cause is one that another text fits better.
func dataDirError(err error, advice string) error {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		advice = "make the directory, and give it to the user of this process with chown, or give another one"
	case errors.Is(err, syscall.ENOSPC): // its text says what to do
		return fmt.Errorf("the data directory: %w", fault.File(err))
	}
	return fmt.Errorf("the data directory: %w: %s", fault.File(err), advice)
}

// createPrivateFile creates a file that only this user can read, if it does not exist. SQLite would create it with wider permissions,
// and it gives the files beside it the same permissions.
func createPrivateFile(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// openStore connects to a database and migrates its schema.
func openStore(ctx context.Context, d dialect, location string) (*Store, error) {
	db, err := d.connect(location)
	if err != nil {
		return nil, fmt.Errorf("opening the state: %w", err)
	}
	db.SetMaxOpenConns(d.connections)
	db.SetMaxIdleConns(d.connections)
	s := &Store{db: db, hot: db, dialect: d, maxAhead: time.Minute, recent: map[recentKey]*recentRows{}, limits: defaultLimits, files: newMemberFiles(fileParts{})}
	if s.IsLocal() { // a connection of SQLite drops its cache when another one has written
		if s.hot, err = d.connect(location); err != nil {
			return nil, errors.Join(fmt.Errorf("opening the state: %w", err), db.Close())
		}
		s.hot.SetMaxOpenConns(1)
		s.files = newMemberFiles(fileDir{location + memberFilesSuffix})
	}
	err = s.migrateSchema(ctx)
	if err == nil {
		err = s.limitMarks(ctx, time.Now())
	}
	if err != nil {
		_ = s.closeConnections()
		return nil, openError(location, err)
	}
	return s, nil
}

// withoutSecrets returns the location without its password, for messages.
func withoutSecrets(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return "the given URL"
	}
	return u.Redacted()
}

// Close closes the database.
func (s *Store) Close() error {
	s.flusher.close()
	return errors.Join(s.allowEarlierPrograms(), s.closeConnections())
}

func (s *Store) closeConnections() error {
	s.flusher.close()
	err := errors.Join(s.hot.Close(), s.db.Close())
	if s.files != nil {
		err = errors.Join(err, s.files.close())
	}
	return err
}

// Ping returns an error if the database does not respond.
func (s *Store) Ping(ctx context.Context) error { return s.db.PingContext(ctx) }

// migrateSchema applies the pending migrations in one transaction. Other processes that start at the same time wait for it.
func (s *Store) migrateSchema(ctx context.Context) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	return s.inTransaction(ctx, func(tx *sql.Tx) error {
		for _, statement := range s.dialect.lockSchema {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY)`); err != nil {
			return err
		}
		done, err := readVersion(ctx, tx)
		if err != nil {
			return err
		}
		if done > s.dialect.newest {
			return errors.New(newerSchema(done, s.dialect.newest))
		}
		for i, file := range files[min(done, len(files)):] {
			if err := s.applyMigration(ctx, tx, file, done+i+1); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
		if done == 0 && !s.IsLocal() { // no earlier program uses it
			if err := setVersion(ctx, tx, s.dialect.newest); err != nil {
				return err
			}
			done = s.dialect.newest
		}
		if !s.IsLocal() {
			s.version.Store(int64(done))
		}
		if err := s.addColumns(ctx, tx); err != nil {
			return err
		}
		return s.addMemberFiles(ctx, tx)
	})
}

// newerSchema says that a newer program has migrated the database.
func newerSchema(version, newest int) string {
	return fmt.Sprintf("its schema is version %d and this program knows versions up to %d: use a newer program", version, newest)
}

// setVersion records that the schema has a version.
func setVersion(ctx context.Context, tx *sql.Tx, version int) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO migrations (version) VALUES ($1) ON CONFLICT (version) DO NOTHING`, version)
	return err
}

// addedColumns are columns that a program may lack without harm. They have no version, so that programs of different versions can
// share a database while servers are upgraded one by one.
var addedColumns = []struct{ table, column, kind string }{
	{"audiences", "decided", "BIGINT"}, // the last sync or resync that decided all identities: no membership counts as older than it
	{"members", "sent", "BIGINT"},      // if doubt is set, the time of the event that was sent last
	{"audiences", "merged", "BIGINT"},  // see createUnmerged
}

// addColumns adds the columns of addedColumns, the tables of addTables, the tables secrets, suppressed and erasures and the journal, if the database lacks them.
func (s *Store) addColumns(ctx context.Context, tx *sql.Tx) error {
	if err := s.addTables(ctx, tx); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, createSecrets); err != nil {
		return fmt.Errorf("adding the table secrets: %w", err)
	}
	if _, err := tx.ExecContext(ctx, createSuppressed); err != nil {
		return fmt.Errorf("adding the table suppressed: %w", err)
	}
	if _, err := tx.ExecContext(ctx, createErasures); err != nil {
		return fmt.Errorf("adding the table erasures: %w", err)
	}
	if _, err := tx.ExecContext(ctx, indexErasures); err != nil {
		return fmt.Errorf("adding an index to the table erasures: %w", err)
	}
	if err := s.addJournal(ctx, tx); err != nil {
		return fmt.Errorf("adding the table journal: %w", err)
	}
	for _, c := range addedColumns {
		var n int
		if err := tx.QueryRowContext(ctx, s.dialect.countColumns, c.table, c.column).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		if _, err := tx.ExecContext(ctx, "ALTER TABLE "+c.table+" ADD COLUMN "+c.column+" "+c.kind); err != nil {
			return fmt.Errorf("adding %s.%s: %w", c.table, c.column, err)
		}
	}
	return nil
}

// applyMigration runs one migration file.
func (s *Store) applyMigration(ctx context.Context, tx *sql.Tx, file string, version int) error {
	text, err := fs.ReadFile(migrations, file)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, s.dialect.schema.Replace(string(text))); err != nil {
		return err
	}
	return setVersion(ctx, tx, version)
}

// inTransaction runs f in a transaction, and rolls it back if f fails.
func (s *Store) inTransaction(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.hot.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	panicked := true
	defer func() {
		if panicked {
			_ = tx.Rollback() // so that the next write gets the connection
		}
	}()
	err = f(tx)
	panicked = false
	if err != nil {
		return errors.Join(err, rollback(tx))
	}
	return tx.Commit()
}

// rollback rolls back a transaction that may have ended already.
func rollback(tx *sql.Tx) error {
	if err := tx.Rollback(); !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}
