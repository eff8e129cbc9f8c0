package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
)

// ErrNotLocal is returned for a PostgreSQL database, which is backed up with its own tools.
var ErrNotLocal = errors.New("the ledger is in PostgreSQL: back it up with pg_dump")

// Backup writes a consistent copy of the database to a new file that only this user can read. It returns an error that wraps
// fs.ErrExist, and changes nothing, if the file exists.
func (s *Store) Backup(ctx context.Context, file string) error {
	if !s.IsLocal() {
		return ErrNotLocal
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	created, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // VACUUM INTO accepts an empty file and keeps its permissions
	if err != nil {
		return err
	}
	if err := created.Close(); err != nil {
		return err
	}
	if err := s.copyTo(ctx, file); err != nil {
		return errors.Join(fmt.Errorf("copying the ledger: %w", err), os.Remove(file))
	}
	return nil
}

// MarkAllUncertain marks every membership as uncertain. A restored ledger does not have the changes that were sent after the backup,
// so the next event of each user must be sent even if the ledger says that it changes nothing.
func (s *Store) MarkAllUncertain(ctx context.Context) error {
	err := s.inTransaction(ctx, func(tx *sql.Tx) error {
		audiences, err := listColumn[int64](ctx, tx, `SELECT id FROM audiences WHERE NOT EXISTS (SELECT 1 FROM member_files WHERE audience = audiences.id) ORDER BY id `+s.dialect.rowLock)
		if err != nil {
			return err
		}
		if err := s.mergeForUpdate(ctx, tx, audiences); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE members SET doubt = 1 WHERE doubt = 0`)
		return err
	})
	if err == nil { // last: audiences may move to files meanwhile
		err = s.changeFiles(ctx, true, func(e *memberRow) bool { e.doubt = true; return true })
	}
	if err != nil {
		return fault.StateUnavailable("writing the ledger", err)
	}
	return nil
}

// IsLocal reports whether the database is a file on this machine.
func (s *Store) IsLocal() bool { return s.dialect.isLocal }

// Check verifies the integrity of the database and returns the damage that it finds.
func (s *Store) Check(ctx context.Context) ([]string, error) {
	if !s.IsLocal() {
		return nil, s.Ping(ctx)
	}
	problems, err := checkIntegrity(ctx, s)
	if err != nil || len(problems) > 0 {
		return problems, err
	}
	return s.verifyMemberFiles(ctx)
}

// CheckFile is Check for a database file, which it does not change. A file that does not exist has no damage, unless its member files do.
func CheckFile(ctx context.Context, file string) ([]string, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	dir := fileDir{file + memberFilesSuffix}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if err := dir.requireNone(); err != nil {
			return []string{err.Error()}, nil
		}
		return nil, nil
	}
	db, err := sqlite.connect(file)
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, dialect: sqlite, files: newMemberFiles(dir)}
	problems, err := checkIntegrity(ctx, s)
	if err == nil && len(problems) == 0 {
		problems, err = s.checkSchemaVersion(ctx)
	}
	if err == nil && len(problems) == 0 {
		problems, err = s.verifyMemberFiles(ctx)
	}
	return problems, errors.Join(err, db.Close())
}

// checkSchemaVersion returns a problem if a newer program has migrated the database.
func (s *Store) checkSchemaVersion(ctx context.Context) ([]string, error) {
	done, err := readVersion(ctx, s.db)
	if err != nil {
		return nil, err
	}
	if done > s.dialect.newest {
		return []string{newerSchema(done, s.dialect.newest)}, nil
	}
	return nil, nil
}

// checkIntegrity runs SQLite's integrity check.
func checkIntegrity(ctx context.Context, s *Store) (problems []string, err error) {
	rows, err := s.db.QueryContext(ctx, `PRAGMA integrity_check(20)`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, err
		}
		if line != "ok" {
			problems = append(problems, line)
		}
	}
	return problems, rows.Err()
}

// ClockSkew returns how far the database's clock is ahead of this machine's clock. It is 0 for a database file.
func (s *Store) ClockSkew(ctx context.Context) (time.Duration, error) {
	if s.IsLocal() {
		return 0, nil
	}
	var remote time.Time
	start := time.Now()
	if err := s.db.QueryRowContext(ctx, `SELECT clock_timestamp()`).Scan(&remote); err != nil {
		return 0, fault.StateUnavailable("reading the database's clock", err)
	}
	return remote.Sub(start.Add(time.Since(start) / 2)), nil
}
