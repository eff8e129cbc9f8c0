// Package state keeps what must outlive a process in SQL: the ledger of audience members, tokens, and what handlers
// remember.
//
// SQLite in a file is for one machine, PostgreSQL for several that share it; both have one schema and go one way, and what
// differs between them is in dialect.go. It is the only package that knows SQL. Every write is durable when its method
// returns. A Store is safe for concurrent use, also by several processes.
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

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	_ "modernc.org/sqlite"             // the driver sqlite
)

// FileName is the name of the SQLite file in a data directory.
const FileName = "state.db"

//go:embed migrations/*.sql
var migrations embed.FS

// Store is an open database.
type Store struct {
	db      *sql.DB
	dialect dialect
}

// Open opens a database and brings its schema up to date. The place is a postgres:// URL, or the directory that holds the
// SQLite file; both directory and file are made where they are absent.
func Open(ctx context.Context, place string) (*Store, error) { return OpenSandbox(ctx, place, "") }

// OpenSandbox is Open for the state of a sandbox, which is apart from that of real remotes: a file or a PostgreSQL schema of its own,
// by the sandbox's name as SandboxName returns it. The name "" opens the state of real remotes.
func OpenSandbox(ctx context.Context, place, sandbox string) (*Store, error) {
	if strings.HasPrefix(place, "postgres://") || strings.HasPrefix(place, "postgresql://") {
		return openPostgres(ctx, place, sandbox)
	}
	if strings.Contains(place, "://") {
		return nil, fmt.Errorf("the state should be a directory or a postgres:// URL but is %s", withoutSecrets(place))
	}
	if err := os.MkdirAll(place, 0o700); err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	file, err := filepath.Abs(filepath.Join(place, File(sandbox)))
	if err != nil {
		return nil, err
	}
	if err := private(file); err != nil {
		return nil, fmt.Errorf("making the state: %w", err)
	}
	return open(ctx, sqlite, file)
}

// private makes a file that only this user reads, where there is none: SQLite makes its own readable for everybody, and those beside
// it like it.
func private(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func open(ctx context.Context, d dialect, place string) (*Store, error) {
	db, err := sql.Open(d.driver, d.source(place))
	if err != nil {
		return nil, fmt.Errorf("opening the state: %w", err)
	}
	db.SetMaxOpenConns(d.connections)
	db.SetMaxIdleConns(d.connections)
	s := &Store{db: db, dialect: d}
	if err := s.migrate(ctx); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("opening the state at %s: %w", withoutSecrets(place), err)
	}
	return s, nil
}

// withoutSecrets is a place that may be shown.
func withoutSecrets(place string) string {
	u, err := url.Parse(place)
	if err != nil {
		return "the given URL"
	}
	return u.Redacted()
}

// Close ends the use of the database.
func (s *Store) Close() error { return s.db.Close() }

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.db.PingContext(ctx) }

// migrate applies the migrations that the database does not have yet, in one transaction that others wait for.
func (s *Store) migrate(ctx context.Context) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	return s.transact(ctx, func(tx *sql.Tx) error {
		for _, statement := range s.dialect.lockSchema {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY)`); err != nil {
			return err
		}
		var done int
		if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM migrations`).Scan(&done); err != nil {
			return err
		}
		if done > len(files) {
			return fmt.Errorf("its schema is version %d and this program knows versions up to %d: use a newer program", done, len(files))
		}
		for i, file := range files[done:] {
			if err := s.apply(ctx, tx, file, done+i+1); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
		return nil
	})
}

func (s *Store) apply(ctx context.Context, tx *sql.Tx, file string, version int) error {
	text, err := fs.ReadFile(migrations, file)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, s.dialect.schema.Replace(string(text))); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO migrations (version) VALUES ($1)`, version)
	return err
}

// transact runs f in a transaction, which is rolled back where f fails.
func (s *Store) transact(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, rolledBack(tx))
	}
	return tx.Commit()
}

func rolledBack(tx *sql.Tx) error {
	if err := tx.Rollback(); !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}
