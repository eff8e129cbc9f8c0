package state

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
)

// createSuppressed creates the table of suppressed users. It has no version, since earlier programs ignore it. hash is that of an identifier,
// and key identifies the key that it was made with.
const createSuppressed = `CREATE TABLE IF NOT EXISTS suppressed (hash TEXT NOT NULL PRIMARY KEY, key TEXT NOT NULL, at BIGINT NOT NULL)`

// Suppressed is a suppressed identifier, of which only the hash is known.
type Suppressed struct {
	Hash string
	Key  string // identifies the key of the hash
	At   time.Time
}

// AddSuppressed adds suppressed identifiers, all or none. It returns how many of them are new.
func (s *Store) AddSuppressed(ctx context.Context, list []Suppressed) (added int, err error) {
	err = s.inTransaction(ctx, func(tx *sql.Tx) error {
		for _, e := range list {
			done, err := tx.ExecContext(ctx, `INSERT INTO suppressed (hash, key, at) VALUES ($1, $2, $3) ON CONFLICT (hash) DO NOTHING`, e.Hash, e.Key, e.At.UnixMicro())
			if err != nil {
				return err
			}
			n, err := done.RowsAffected()
			if err != nil {
				return err
			}
			added += int(n)
		}
		return nil
	})
	if err != nil {
		return 0, fault.StateUnavailable("writing the suppressed users", err)
	}
	return added, nil
}

// RemoveSuppressed removes suppressed identifiers by their hashes, all or none. It returns how many there were.
func (s *Store) RemoveSuppressed(ctx context.Context, hashes []string) (removed int, err error) {
	err = s.inTransaction(ctx, func(tx *sql.Tx) error {
		for _, hash := range hashes {
			done, err := tx.ExecContext(ctx, `DELETE FROM suppressed WHERE hash = $1`, hash)
			if err != nil {
				return err
			}
			n, err := done.RowsAffected()
			if err != nil {
				return err
			}
			removed += int(n)
		}
		return nil
	})
	if err != nil {
		return 0, fault.StateUnavailable("writing the suppressed users", err)
	}
	return removed, nil
}

// Suppressed returns the suppressed identifiers, the earliest first.
func (s *Store) Suppressed(ctx context.Context) ([]Suppressed, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT hash, key, at FROM suppressed ORDER BY at, hash`)
	if err != nil {
		return nil, fault.StateUnavailable("reading the suppressed users", err)
	}
	defer rows.Close()
	var list []Suppressed
	for rows.Next() {
		var e Suppressed
		var at int64
		if err := rows.Scan(&e.Hash, &e.Key, &at); err != nil {
			return nil, fault.StateUnavailable("reading the suppressed users", err)
		}
		e.At = time.UnixMicro(at).UTC()
		list = append(list, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fault.StateUnavailable("reading the suppressed users", err)
	}
	return list, nil
}

// SuppressedVersion returns a text that changes when a suppressed identifier is added or removed. It costs less than reading them.
func (s *Store) SuppressedVersion(ctx context.Context) (string, error) {
	var count, newest, sum int64
	err := s.db.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(MAX(at), 0), COALESCE(SUM(at % 1000003), 0) FROM suppressed`).Scan(&count, &newest, &sum)
	if err != nil {
		return "", fault.StateUnavailable("reading the suppressed users", err)
	}
	return fmt.Sprint(count, newest, sum), nil
}
