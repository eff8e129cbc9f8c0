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
	return s.changeSuppressed(ctx, len(list), func(tx *sql.Tx, i int) (int64, error) {
		e := list[i]
		return execCount(ctx, tx, `INSERT INTO suppressed (hash, key, at) VALUES ($1, $2, $3) ON CONFLICT (hash) DO NOTHING`, e.Hash, e.Key, e.At.UnixMicro())
	})
}

// RemoveSuppressed removes suppressed identifiers by their hashes, all or none. It returns how many there were.
func (s *Store) RemoveSuppressed(ctx context.Context, hashes []string) (removed int, err error) {
	return s.changeSuppressed(ctx, len(hashes), func(tx *sql.Tx, i int) (int64, error) {
		return execCount(ctx, tx, `DELETE FROM suppressed WHERE hash = $1`, hashes[i])
	})
}

// changeSuppressed runs n changes in one transaction, and returns how many rows they have changed.
func (s *Store) changeSuppressed(ctx context.Context, n int, change func(tx *sql.Tx, i int) (int64, error)) (changed int, err error) {
	err = s.inTransaction(ctx, func(tx *sql.Tx) error {
		for i := range n {
			rows, err := change(tx, i)
			if err != nil {
				return err
			}
			changed += int(rows)
		}
		return nil
	})
	if err != nil {
		return 0, fault.StateUnavailable("writing the suppressed users", err)
	}
	return changed, nil
}

// Suppressed returns the suppressed identifiers, the earliest first.
func (s *Store) Suppressed(ctx context.Context) ([]Suppressed, error) {
	var list []Suppressed
	err := eachRow(ctx, s.db, func(rows *sql.Rows) error {
		var e Suppressed
		var at int64
		err := rows.Scan(&e.Hash, &e.Key, &at)
		e.At = time.UnixMicro(at).UTC()
		list = append(list, e)
		return err
	}, `SELECT hash, key, at FROM suppressed ORDER BY at, hash`)
	if err != nil {
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
