package state

import (
	"context"
	"database/sql"
	"strconv"

	"github.com/landfall-dev/landfall/framework/fault"
)

// doubtsVersion is the version of a schema whose table doubts may have rows. Programs from before ignore that table, so they must not
// open such a database. A file has this version only while the table has rows. A PostgreSQL database has it from its creation or from
// Store.Upgrade on; until then, servers of an earlier version may share it, and every identity is marked in its own row.
const doubtsVersion = 3

// addDoubts adds the table doubts if the database lacks it.
func (s *Store) addDoubts(ctx context.Context, tx *sql.Tx) error {
	var n int
	if err := tx.QueryRowContext(ctx, s.dialect.countColumns, "doubts", "changes").Scan(&n); err != nil || n > 0 {
		return err
	}
	for _, statement := range append([]string{s.dialect.schema.Replace(createDoubts)}, s.dialect.tuneDoubts...) {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// allowDoubts reports whether the table doubts may be used. A file gets doubtsVersion for as long as the table has rows.
func (s *Store) allowDoubts(ctx context.Context, tx *sql.Tx) (bool, error) {
	if s.IsLocal() {
		return true, setVersion(ctx, tx, doubtsVersion)
	}
	if s.hasDoubts.Load() {
		return true, nil
	}
	version, err := readVersion(ctx, tx)
	if version >= doubtsVersion {
		s.hasDoubts.Store(true)
	}
	return version >= doubtsVersion, err
}

// allowEarlierPrograms lets programs from before doubtsVersion open a file again, if no request is in flight.
func (s *Store) allowEarlierPrograms() error {
	if !s.IsLocal() {
		return nil
	}
	_, err := s.db.Exec(`DELETE FROM migrations WHERE version = ` + strconv.Itoa(doubtsVersion) + ` AND NOT EXISTS (SELECT 1 FROM doubts)`)
	return err
}

// CanUpgrade reports whether Upgrade would change the database.
func (s *Store) CanUpgrade(ctx context.Context) (bool, error) {
	if s.IsLocal() {
		return false, nil
	}
	version, err := readVersion(ctx, s.db)
	if err != nil {
		return false, fault.StateUnavailable("reading the version of the state", err)
	}
	return version < doubtsVersion, nil
}

// readVersion returns the version of the schema.
func readVersion(ctx context.Context, q querier) (version int, err error) {
	err = q.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM migrations`).Scan(&version)
	return version, err
}

// Upgrade lets the servers on a PostgreSQL database record each request in flight in one row instead of marking every identity. Programs
// of earlier versions cannot open the database afterwards; all of their servers must have stopped. Repeating it changes nothing.
func (s *Store) Upgrade(ctx context.Context) error {
	if s.IsLocal() {
		return nil
	}
	if err := s.inTransaction(ctx, func(tx *sql.Tx) error { return setVersion(ctx, tx, doubtsVersion) }); err != nil {
		return fault.StateUnavailable("upgrading the state", err)
	}
	return nil
}
