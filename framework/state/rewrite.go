package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/state/sortedfile"
)

// maxAttempts limits how often the files of an audience are rewritten because another process has changed it meanwhile.
const maxAttempts = 20

// errBusy is returned after maxAttempts.
var errBusy = errors.New("other processes keep changing the audience: try again later")

// hasMemberFiles reports whether the rows of an audience are in files.
func hasMemberFiles(ctx context.Context, q querier, audience int64) (bool, error) {
	list, err := listMemberFiles(ctx, q, audience)
	return len(list) > 0, err
}

// mergesToFile reports whether the unmerged writes of an audience are merged to a file: they are many, or its rows are in files.
func (s *Store) mergesToFile(ctx context.Context, q querier, audience int64) (bool, error) {
	var size int64
	err := q.QueryRowContext(ctx, `SELECT COALESCE(SUM(LENGTH(changes)), 0) FROM unmerged WHERE audience = $1`, audience).Scan(&size)
	if err != nil {
		return false, err
	}
	if size >= s.limits.flush {
		return s.hasVersion(ctx, q, filesVersion)
	}
	return hasMemberFiles(ctx, q, audience)
}

// mergeToFile merges the unmerged writes of an audience to a file. ok is false if another process has changed the audience meanwhile.
func (s *Store) mergeToFile(ctx context.Context, audience int64) (ok bool, err error) {
	s.flusher.writing.Lock()
	defer s.flusher.writing.Unlock()
	merged, pending, err := s.mergeState(ctx, audience)
	if err != nil || !pending {
		return true, ignoreMissing(err)
	}
	return s.writeMembers(&memberWrite{ctx: ctx, audience: audience, merged: merged})
}

// mergeState returns audiences.merged, and whether the audience has unmerged writes.
func (s *Store) mergeState(ctx context.Context, audience int64) (merged int64, pending bool, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT COALESCE(merged, 0), EXISTS (SELECT 1 FROM unmerged WHERE audience = $1) FROM audiences WHERE id = $1`,
		audience).Scan(&merged, &pending)
	return merged, pending, err
}

// changeRow changes a row of an audience, and reports whether the audience keeps it. It must not keep the row.
type changeRow func(*memberRow) (keep bool)

// rewriteFiles applies a change to all rows of an audience in files, and writes them to one new file. newChange returns the change; it is called for each
// attempt. If alone is set, the file includes everything that was recorded before it is listed. For an audience without files it does nothing and
// returns false.
func (s *Store) rewriteFiles(ctx context.Context, audience int64, alone bool, newChange func() changeRow) (bool, error) {
	s.flusher.writing.Lock()
	defer s.flusher.writing.Unlock()
	for range maxAttempts {
		merged, _, err := s.mergeState(ctx, audience)
		if err != nil {
			return false, ignoreMissing(err)
		}
		if inFiles, err := hasMemberFiles(ctx, s.db, audience); err != nil || !inFiles {
			return false, err
		}
		ok, err := s.writeMembers(&memberWrite{ctx: ctx, audience: audience, merged: merged, alone: alone, change: newChange()})
		if ok || err != nil {
			return ok, err
		}
	}
	return false, errBusy
}

// changeFiles is rewriteFiles for all audiences with files.
func (s *Store) changeFiles(ctx context.Context, alone bool, change changeRow) error {
	audiences, err := listNumbers(ctx, s.db, `SELECT DISTINCT audience FROM member_files ORDER BY audience`)
	for _, audience := range audiences {
		if err == nil {
			_, err = s.rewriteFiles(ctx, audience, alone, func() changeRow { return change })
		}
	}
	return err
}

// moveToTables moves the rows of an audience from files to the tables. The audience must be locked. The files are deleted by removeLeftOvers.
func (s *Store) moveToTables(ctx context.Context, tx *sql.Tx, audience int64) error {
	if inFiles, err := hasMemberFiles(ctx, tx, audience); err != nil || !inFiles {
		return err
	}
	for _, statement := range []string{`DELETE FROM history WHERE audience = $1`, `DELETE FROM members WHERE audience = $1`} { // their rows do not count
		if _, err := tx.ExecContext(ctx, statement, audience); err != nil {
			return err
		}
	}
	var rows []*memberRow
	save := func() error {
		err := s.saveRows(ctx, tx, audience, rows)
		rows = rows[:0]
		return err
	}
	err := s.withMemberFiles(ctx, tx, audience, unknownMerge, func(files []*sortedfile.Reader) error {
		return eachVersion(files, "", func(identity string, values []string) error {
			for i := range values {
				values[i] = strings.Clone(values[i])
			}
			e, err := decodeVersions(strings.Clone(identity), values)
			if err != nil {
				return err
			}
			if rows = append(rows, e); len(rows) < pageSize {
				return nil
			}
			return save()
		})
	})
	if err != nil {
		return err
	}
	if err := save(); err != nil {
		return err
	}
	return s.deleteFilesOf(ctx, tx, audience)
}

// deleteFilesOf deletes the files of an audience. Those of a SQLite database are only removed from the list.
func (s *Store) deleteFilesOf(ctx context.Context, tx *sql.Tx, audience int64) error {
	files, err := listMemberFiles(ctx, tx, audience)
	if err == nil && !s.IsLocal() {
		err = deleteParts(ctx, tx, files)
	}
	if err != nil || len(files) == 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM member_files WHERE audience = $1`, audience)
	return err
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
	audiences, err := listNumbers(ctx, s.db, `SELECT audience FROM member_files UNION SELECT audience FROM unmerged`)
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
