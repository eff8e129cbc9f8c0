package state

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/landfall-dev/landfall/framework/fault"
)

// Versions of a schema whose tables doubts, unmerged and member_files may have rows. Earlier programs ignore the table, so they must not open such a
// database. A file has the version only while the table has rows. A PostgreSQL database has them from its creation or from Store.Upgrade
// on; until then, servers of an earlier version may share it, and every identity is marked and saved in its own row.
const (
	doubtsVersion   = 3
	unmergedVersion = 4
	filesVersion    = 5
)

// addTables adds the tables doubts and unmerged if the database lacks them.
func (s *Store) addTables(ctx context.Context, tx *sql.Tx) error {
	for table, create := range map[string]string{"doubts": createDoubts, "unmerged": createUnmerged} {
		var n int
		if err := tx.QueryRowContext(ctx, s.dialect.countColumns, table, "changes").Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		for _, statement := range append([]string{create}, s.dialect.tuneBlobs...) {
			statement = strings.ReplaceAll(s.dialect.schema.Replace(statement), "{table}", table)
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("adding the table %s: %w", table, err)
			}
		}
	}
	return nil
}

// hasVersion reports whether the tables of a version may have rows.
func (s *Store) hasVersion(ctx context.Context, q querier, version int64) (bool, error) {
	if s.IsLocal() || s.version.Load() >= version {
		return true, nil
	}
	current, err := readVersion(ctx, q)
	if err != nil {
		return false, err
	}
	s.version.Store(int64(current))
	return int64(current) >= version, nil
}

// useVersion gives a file a version, for as long as the table has rows. A PostgreSQL database has it.
func (s *Store) useVersion(ctx context.Context, tx *sql.Tx, version int) error {
	if !s.IsLocal() {
		return nil
	}
	s.version.Store(int64(version))
	return setVersion(ctx, tx, version)
}

// keepsRecent reports whether rows in memory can be used: all programs that may change the database count their changes.
func (s *Store) keepsRecent() bool { return s.IsLocal() || s.version.Load() >= unmergedVersion }

// mergedAtClose is the number of bytes of unmerged writes up to which Close merges them. More would delay it by up to seconds.
const mergedAtClose = 256 << 10

// allowEarlierPrograms lets earlier programs open a file again, if no request is in flight and few writes are unmerged.
func (s *Store) allowEarlierPrograms() error {
	if !s.IsLocal() {
		return nil
	}
	if s.version.Load() > 0 { // it has written
		var unmerged int64
		err := s.db.QueryRow(`SELECT COALESCE(SUM(LENGTH(changes)), 0) FROM unmerged`).Scan(&unmerged)
		if err == nil && unmerged <= mergedAtClose {
			err = s.mergeAllWrites(context.Background())
		}
		if err != nil {
			return err
		}
	}
	_, err := s.db.Exec(fmt.Sprintf(`DELETE FROM migrations WHERE version = %d AND NOT EXISTS (SELECT 1 FROM doubts)
		OR version = %d AND NOT EXISTS (SELECT 1 FROM unmerged) OR version = %d AND NOT EXISTS (SELECT 1 FROM member_files)`,
		doubtsVersion, unmergedVersion, filesVersion))
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
	return version < s.dialect.newest, nil
}

// readVersion returns the version of the schema.
func readVersion(ctx context.Context, q querier) (version int, err error) {
	err = q.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM migrations`).Scan(&version)
	return version, err
}

// Upgrade lets the servers on a PostgreSQL database record each request in flight, and each write, in one row. Programs
// of earlier versions cannot open the database afterwards; all of their servers must have stopped. Repeating it changes nothing.
func (s *Store) Upgrade(ctx context.Context) error {
	if s.IsLocal() {
		return nil
	}
	if err := s.inTransaction(ctx, func(tx *sql.Tx) error { return setVersion(ctx, tx, s.dialect.newest) }); err != nil {
		return fault.StateUnavailable("upgrading the state", err)
	}
	return nil
}

// CanDowngrade reports whether Downgrade would change the database.
func (s *Store) CanDowngrade(ctx context.Context) (bool, error) {
	if !s.IsLocal() {
		version, err := readVersion(ctx, s.db)
		if err != nil {
			return false, fault.StateUnavailable("reading the version of the state", err)
		}
		return version == filesVersion, nil
	}
	var can bool
	err := s.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM member_files) OR EXISTS (SELECT 1 FROM unmerged)`).Scan(&can)
	if err != nil {
		return false, fault.StateUnavailable("reading the ledger", err)
	}
	return can, nil
}

// Downgrade moves the members in files and the unmerged writes to the tables of the database, so that programs of earlier versions can open it after a
// clean stop. No server may use the database. It writes about 60,000 members a second.
func (s *Store) Downgrade(ctx context.Context) error {
	audiences, err := listColumn[int64](ctx, s.db, `SELECT audience FROM member_files UNION SELECT audience FROM unmerged`)
	for _, audience := range audiences {
		if err == nil {
			err = s.inTransaction(ctx, func(tx *sql.Tx) error { return s.mergeForUpdate(ctx, tx, []int64{audience}) })
		}
	}
	switch {
	case err != nil:
	case s.IsLocal():
		err = s.removeLeftOvers(ctx)
	default:
		_, err = s.db.ExecContext(ctx, fmt.Sprintf(`DELETE FROM migrations WHERE version = %d AND NOT EXISTS (SELECT 1 FROM member_files)`, filesVersion))
		s.version.Store(unmergedVersion)
	}
	if err != nil {
		return fault.StateUnavailable("moving members to the tables", err)
	}
	return nil
}
