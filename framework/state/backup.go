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
)

// ErrElsewhere says that the database is a server of its own, whose tools make its backups.
var ErrElsewhere = errors.New("the ledger is in PostgreSQL: back it up with pg_dump")

// Backup writes a copy of the database, as it is at one moment, to a new file that only this user reads.
func (s *Store) Backup(ctx context.Context, file string) error {
	if !s.IsLocal() {
		return ErrElsewhere
	}
	if err := private(file); err != nil { // VACUUM INTO takes an empty file, and keeps its mode
		return err
	}
	if _, err := s.db.ExecContext(ctx, `VACUUM INTO $1`, file); err != nil {
		return errors.Join(fmt.Errorf("copying the ledger: %w", err), os.Remove(file))
	}
	return nil
}

// DoubtAll marks every entry of every audience as uncertain: the remote may hold something else. A restored ledger does not know
// what the remote was sent after the backup, so the next event of each user is sent even if the entry says that it changes nothing.
func (s *Store) DoubtAll(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, `UPDATE members SET doubt = 1 WHERE doubt = 0`)
	return err
}

// IsLocal reports whether the database is a file of this machine.
func (s *Store) IsLocal() bool { return s.dialect.driver == sqlite.driver }

// Check reads the database and says what is damaged in it; nothing if it is as it should be.
func (s *Store) Check(ctx context.Context) ([]string, error) {
	if !s.IsLocal() {
		return nil, s.Ping(ctx)
	}
	return integrity(ctx, s)
}

// CheckFile is Check for a database file, which it does not change. In one that does not exist nothing is damaged.
func CheckFile(ctx context.Context, file string) ([]string, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	db, err := sql.Open(sqlite.driver, sqlite.source(file))
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, dialect: sqlite}
	problems, err := integrity(ctx, s)
	if err == nil && len(problems) == 0 {
		problems, err = s.olderThanSchema(ctx)
	}
	return problems, errors.Join(err, s.Close())
}

// olderThanSchema says so if a newer program has written the database.
func (s *Store) olderThanSchema(ctx context.Context) ([]string, error) {
	known, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	var done int
	if err := s.db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM migrations`).Scan(&done); err != nil {
		return nil, err
	}
	if done > len(known) {
		return []string{fmt.Sprintf("its schema is version %d and this program knows versions up to %d: use a newer program", done, len(known))}, nil
	}
	return nil, nil
}

func integrity(ctx context.Context, s *Store) (problems []string, err error) {
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

// Skew is how far the database's clock is ahead of this machine's. It is 0 for a database on this machine.
func (s *Store) Skew(ctx context.Context) (time.Duration, error) {
	if s.IsLocal() {
		return 0, nil
	}
	var theirs time.Time
	began := time.Now()
	if err := s.db.QueryRowContext(ctx, `SELECT clock_timestamp()`).Scan(&theirs); err != nil {
		return 0, err
	}
	return theirs.Sub(began.Add(time.Since(began) / 2)), nil
}
