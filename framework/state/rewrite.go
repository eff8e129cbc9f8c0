package state

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/landfall-dev/landfall/framework/state/sortedfile"
)

// maxAttempts limits how often the files of an audience are rewritten because another process has changed it meanwhile.
const maxAttempts = 20

// errBusy is returned after maxAttempts.
var errBusy = errors.New("other processes keep changing the audience: try again later")

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
	audiences, err := listColumn[int64](ctx, s.db, `SELECT DISTINCT audience FROM member_files ORDER BY audience`)
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
