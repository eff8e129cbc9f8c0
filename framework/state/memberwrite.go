package state

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"math"
	"os"
	"slices"

	"github.com/landfall-dev/landfall/framework/state/sortedfile"
)

// memberWrite writes a new file of an audience: its unmerged writes, together with files that it replaces.
type memberWrite struct {
	ctx      context.Context
	audience int64
	merged   int64     // audiences.merged when it begins
	until    int64     // last unmerged write that is included; 0 for all
	change   changeRow // of all rows of the audience; nil if there is nothing to change
	alone    bool      // the file is outdated if there are later unmerged writes when it ends
	saving   func()    // called before the commit, with the audience locked; may be nil

	files    []memberFile // of the audience
	replaced []memberFile // the newest ones, whose rows are in the new file
	name     string       // of the new file
	info     sortedfile.Info
	isLast   bool // there are no later unmerged writes
}

// errOutdated rolls back a transaction whose new file is outdated.
var errOutdated = errors.New("another process has changed the audience")

// writeMembers writes the file, and replaces files and unmerged writes with it. ok is false, and nothing is
// changed, if the audience was meanwhile changed by more than unmerged writes. flusher.writing must be locked.
func (s *Store) writeMembers(w *memberWrite) (ok bool, err error) {
	if s.IsLocal() {
		ok, err = s.writeToDir(w)
	} else {
		err = s.inTransaction(w.ctx, func(tx *sql.Tx) error { return s.writeParts(w, tx) })
		ok = err == nil
	}
	switch {
	case errors.Is(err, errOutdated):
		return false, nil
	case errors.Is(err, fs.ErrNotExist): // another process has replaced a file while it was read
		files, listErr := listMemberFiles(w.ctx, s.db, w.audience)
		if listErr == nil && !slices.Equal(files, w.files) {
			return false, nil
		}
	}
	if !ok {
		return false, memberFileError(err)
	}
	s.files.remove(w.replaced)
	s.reuseParts(w)
	return true, s.deleteTableRows(w.ctx, w.audience)
}

// writeToDir is writeMembers for a SQLite database.
func (s *Store) writeToDir(w *memberWrite) (ok bool, err error) {
	rows, err := s.prepareWrite(w, s.db)
	if err != nil {
		return false, err
	}
	name, out, unlock, err := s.dir().create()
	if err != nil {
		return false, err
	}
	defer unlock()
	w.name = name
	err = s.writeRows(w, s.db, rows, out)
	if err == nil {
		err = s.inTransaction(w.ctx, func(tx *sql.Tx) error {
			if err := w.checkCurrent(tx); err != nil {
				return err
			}
			if err := s.dir().finish(name); err != nil {
				return err
			}
			return s.listFile(w, tx)
		})
	}
	if err != nil {
		return false, errors.Join(err, s.removeUnlisted(context.WithoutCancel(w.ctx), name))
	}
	return true, nil
}

// writeParts is writeMembers for a PostgreSQL database. Only one process at a time writes a file of an audience. The audience is locked at the end.
func (s *Store) writeParts(w *memberWrite, tx *sql.Tx) error {
	const filesLock = 7236175 << 32
	if _, err := tx.ExecContext(w.ctx, `SELECT pg_advisory_xact_lock($1)`, filesLock+w.audience); err != nil {
		return err
	}
	rows, err := s.prepareWrite(w, tx)
	if err != nil {
		return err
	}
	parts, name := newPartsWriter(w.ctx, tx)
	w.name = name
	if err := s.writeRows(w, tx, rows, sortedfile.NewWriter(partSize, parts.add)); err != nil {
		return err
	}
	if err := parts.flush(); err != nil {
		return err
	}
	if err := w.checkCurrent(tx); err != nil {
		return err
	}
	if err := deleteParts(w.ctx, tx, w.replaced); err != nil {
		return err
	}
	return s.listFile(w, tx)
}

// removeUnlisted deletes a file that could not be finished or listed.
func (s *Store) removeUnlisted(ctx context.Context, name string) error {
	dir := s.dir()
	if err := os.Remove(dir.file(name + unfinishedSuffix)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(dir.file(name)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var listed int
	err := s.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM member_files WHERE file = $1`, name).Scan(&listed)
	if err != nil || listed > 0 {
		return err
	}
	return os.Remove(dir.file(name))
}

// prepareWrite returns the rows of the unmerged writes that are included, in the order of their identities, and sets w.until, w.files and w.replaced.
// It returns errOutdated if the audience has changed already.
func (s *Store) prepareWrite(w *memberWrite, q querier) (rows *rowVersions, err error) {
	if current, err := w.isCurrent(q); err != nil || !current {
		return nil, cmp.Or(err, errOutdated)
	}
	if rows, w.until, err = unmergedRows(w.ctx, q, w.audience, w.merged, cmp.Or(w.until, math.MaxInt64)); err != nil {
		return nil, err
	}
	w.files, err = listMemberFiles(w.ctx, q, w.audience)
	w.replaced = w.files
	if w.change == nil {
		w.replaced = filesToReplace(w.files, int64(rows.identities))
	}
	return rows, err
}

// filesToReplace returns which of an audience's files, newest first, are merged with n new rows. The sizes of those that stay are a geometric series, so
// a lookup reads few files, and a row is written few times.
func filesToReplace(files []memberFile, n int64) []memberFile {
	for i, f := range files {
		if f.identities > fileRatio*n {
			return files[:i]
		}
		n += f.identities
	}
	return files
}

// writeRows writes rows, the replaced files and the rows of the tables to a new file.
func (s *Store) writeRows(w *memberWrite, q querier, rows *rowVersions, out *sortedfile.Writer) error {
	readers, release, err := s.files.acquire(w.ctx, q, w.replaced)
	if err != nil {
		return errors.Join(err, out.Abort())
	}
	defer release()
	sources := []sortedfile.Source{&newRows{rows: rows}}
	for _, reader := range readers {
		it := reader.Iterate("")
		defer it.Close()
		sources = append(sources, it)
	}
	if len(w.files) == 0 {
		sources = append(sources, newTableRows(w.ctx, q, w.audience))
	}
	if err := sortedfile.Merge(sources, w.addTo(out)); err != nil {
		return errors.Join(err, out.Abort())
	}
	if w.info, err = out.Finish(); err != nil {
		return errors.Join(err, out.Abort())
	}
	return nil
}

// addTo returns a function that adds a row to a file. A row with a single value is copied unless there is a change.
func (w *memberWrite) addTo(out *sortedfile.Writer) func(key string, values []string) error {
	var data []byte
	return func(key string, values []string) error {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if len(values) == 1 && w.change == nil {
			data = append(data[:0], values[0]...)
			return out.Add(key, data)
		}
		e, err := decodeVersions(identityOf(key), values)
		if err != nil || w.change != nil && !w.change(e) {
			return err
		}
		data = encodeFileRow(data[:0], e)
		return out.Add(key, data)
	}
}

// newRows are rows of unmerged writes, as a source for a file.
type newRows struct {
	rows  *rowVersions
	row   memberRow
	value []byte
}

// Next implements sortedfile.Source.
func (n *newRows) Next() bool { return n.rows.next(&n.row) }

// Key implements sortedfile.Source.
func (n *newRows) Key() string { return fileKey(n.row.identity) }

// Value implements sortedfile.Source.
func (n *newRows) Value() string {
	n.value = encodeFileRow(n.value[:0], &n.row)
	return string(n.value)
}

// Err implements sortedfile.Source.
func (n *newRows) Err() error { return nil }

// checkCurrent locks the audience, and returns errOutdated if it has other rows than those that the new file was made of.
func (w *memberWrite) checkCurrent(tx *sql.Tx) error {
	if _, err := tx.ExecContext(w.ctx, lockByID, w.audience); err != nil {
		return err
	}
	current, err := w.isCurrent(tx)
	if err != nil {
		return err
	}
	files, err := listMemberFiles(w.ctx, tx, w.audience)
	if err == nil && !(current && slices.Equal(files, w.files)) {
		return errOutdated
	}
	return err
}

// isCurrent reports whether no other process has merged or changed the rows of the audience.
func (w *memberWrite) isCurrent(q querier) (bool, error) {
	var merged, last int64
	err := q.QueryRowContext(w.ctx, `SELECT COALESCE(merged, 0), COALESCE((SELECT MAX(id) FROM unmerged WHERE audience = $1), 0) FROM audiences WHERE id = $1`,
		w.audience).Scan(&merged, &last)
	if err != nil || merged != w.merged {
		return false, ignoreMissing(err)
	}
	if w.name == "" {
		return true, nil // nothing is written yet
	}
	w.isLast = last <= w.until
	return w.isLast || !w.alone && w.until != w.merged, nil // rowsChanged would skip a later write
}

// listFile lists the new file in place of the replaced ones, and deletes the unmerged writes that it includes.
func (s *Store) listFile(w *memberWrite, tx *sql.Tx) error {
	if err := s.useVersion(w.ctx, tx, filesVersion); err != nil {
		return err
	}
	id := int64(1)
	if len(w.files) > 0 {
		id = w.files[0].id + 1
	}
	for _, f := range w.replaced {
		if _, err := tx.ExecContext(w.ctx, `DELETE FROM member_files WHERE audience = $1 AND id = $2`, w.audience, f.id); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(w.ctx, `INSERT INTO member_files (audience, id, file, identities) VALUES ($1, $2, $3, $4)`,
		w.audience, id, w.name, w.info.Rows); err != nil {
		return err
	}
	if w.saving != nil {
		w.saving()
	}
	if w.until != w.merged {
		if err := endMerge(w.ctx, tx, w.audience, w.until); err != nil {
			return err
		}
	}
	if w.change == nil && w.until != w.merged || !w.isLast {
		return nil
	}
	_, err := tx.ExecContext(w.ctx, rowsChanged, w.audience) // a process that merges the same writes must not keep the rows as they were
	return err
}

// deleteTableRows deletes the rows of an audience in the tables if it has files, which replace them. It deletes a few thousand at a time, so that
// writers need not wait.
func (s *Store) deleteTableRows(ctx context.Context, audience int64) error {
	if inFiles, err := hasMemberFiles(ctx, s.db, audience); err != nil || !inFiles {
		return err
	}
	for {
		var last sql.NullString
		err := s.db.QueryRowContext(ctx, `SELECT MAX(identity) FROM (SELECT identity FROM members WHERE audience = $1 ORDER BY identity LIMIT 2000) AS first`,
			audience).Scan(&last)
		if err != nil || !last.Valid {
			return err
		}
		moved := false // back to the tables, by another process
		err = s.inTransaction(ctx, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, lockByID, audience); err != nil {
				return err
			}
			inFiles, err := hasMemberFiles(ctx, tx, audience)
			if moved = !inFiles; err != nil || moved {
				return err
			}
			for _, table := range []string{"history", "members"} {
				if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE audience = $1 AND identity <= $2`, audience, last.String); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || moved {
			return err
		}
	}
}
