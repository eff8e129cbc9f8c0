package state

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/state/sortedfile"
)

// flusher moves unmerged writes to files of members, one audience after the other, in the background: writers wait only if they are far ahead.
type flusher struct {
	writing sync.Mutex // held while a file is written

	mu      sync.Mutex
	running chan struct{} // closed at the end of the flush in the background; nil if there is none
	closed  bool
	err     error     // of the last flush in the background
	failed  time.Time // when
}

const (
	fileRatio  = 3           // a file is merged with the new rows if it has at most so many times as many
	retryFlush = time.Second // after a flush has failed
	farAhead   = 2           // writers wait above so many times the limits
)

// flushes reports whether the unmerged writes of an audience go to files, as mergesToFile does.
func (s *Store) flushes(ctx context.Context, key recentKey) (bool, error) {
	recent := s.recentOf(key.instance, key.audience)
	if recent.unmergedSize() >= s.limits.flush {
		return true, nil
	}
	audience, _ := recent.position()
	return s.hasMemberFiles(ctx, s.hot, audience)
}

// limitByFlush starts a flush, before a write to an audience, if there are too many unmerged writes and they go to files. It reports whether they do.
func (s *Store) limitByFlush(ctx context.Context, written recentKey) (bool, error) {
	key, tooMany := s.mergeCandidate(written)
	if !tooMany || !s.IsLocal() {
		return false, nil
	}
	running, err := s.flusher.busy()
	if running == nil && err == nil {
		flushes, err := s.flushes(ctx, key)
		if err != nil || !flushes {
			return false, err
		}
		running = s.startFlush(key)
	}
	if s.recentOf(written.instance, written.audience).unmergedSize() < farAhead*s.limits.unmerged && s.unmergedTotal.Load() < farAhead*s.limits.unmergedTotal {
		return true, nil
	}
	if err != nil {
		return true, err
	}
	select {
	case <-running:
		_, err := s.flusher.busy()
		return true, err
	case <-ctx.Done():
		return true, ctx.Err()
	}
}

// busy returns a channel that is closed when the flush in the background has ended, or nil if there is none. If the last one has failed just now, it
// returns its error: the next one should wait.
func (f *flusher) busy() (<-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running == nil && f.err != nil && time.Since(f.failed) < retryFlush {
		return nil, f.err
	}
	return f.running, nil
}

// startFlush starts a flush of an audience in the background, unless one is running, and returns a channel that is closed at its end.
func (s *Store) startFlush(key recentKey) <-chan struct{} {
	f := &s.flusher
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running != nil {
		return f.running
	}
	done := make(chan struct{})
	if f.closed {
		close(done)
		return done
	}
	f.running = done
	go func() {
		err := s.flushRecent(key)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.running, f.err, f.failed = nil, err, time.Now()
		close(done)
	}()
	return done
}

// close waits for the flush in the background, and prevents others.
func (f *flusher) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.wait()
}

// wait waits for the end of the flush in the background.
func (f *flusher) wait() {
	if running, _ := f.busy(); running != nil {
		<-running
	}
}

// flushRecent moves the unmerged writes of an audience that the process has in memory to a file. Their rows stay in memory.
func (s *Store) flushRecent(key recentKey) error {
	s.flusher.writing.Lock()
	defer s.flusher.writing.Unlock()
	recent := s.recentOf(key.instance, key.audience)
	m := recent.beginMerge()
	if m == nil {
		return nil
	}
	m.key = key
	ctx := context.Background()
	ok, err := s.writeMembers(&memberWrite{ctx: ctx, audience: m.audience, merged: m.merged, until: m.until})
	switch {
	case err != nil:
		recent.abandonMerge()
	case ok:
		recent.finishMerge(m)
	default: // another process has changed the audience
		recent.forget()
	}
	return err
}

// memberWrite writes a new file of an audience: its unmerged writes, together with files that it replaces.
type memberWrite struct {
	ctx      context.Context
	audience int64
	merged   int64     // audiences.merged when it begins
	until    int64     // last unmerged write that is included; 0 for all
	change   changeRow // of all rows of the audience; nil if there is nothing to change
	alone    bool      // there may be no later unmerged writes when it ends

	files    []memberFile // of the audience
	replaced []memberFile // the newest ones, whose rows are in the new file
	name     string       // of the new file
	info     sortedfile.Info
}

// writeMembers writes the file, and replaces files and unmerged writes with it. ok is false if the audience was changed meanwhile otherwise than
// by unmerged writes: then nothing has changed. flusher.writing must be locked.
func (s *Store) writeMembers(w *memberWrite) (ok bool, err error) {
	ctx := w.ctx
	rows, err := s.readUnmerged(ctx, w)
	if err != nil {
		return false, err
	}
	if w.files, err = listMemberFiles(ctx, s.db, w.audience); err != nil {
		return false, err
	}
	w.replaced = w.files
	if w.change == nil {
		w.replaced = filesToReplace(w.files, int64(len(rows)))
	}
	if w.name, err = s.files.newName(); err != nil {
		return false, err
	}
	if err = s.writeFile(w, rows); err == nil {
		ok, err = s.commitFile(ctx, w)
	}
	if !ok {
		return false, errors.Join(memberFileError(err), s.removeUnlisted(context.WithoutCancel(ctx), w.name))
	}
	s.files.remove(w.replaced)
	return true, s.deleteTableRows(ctx, w.audience)
}

// removeUnlisted deletes a file that could not be finished or listed.
func (s *Store) removeUnlisted(ctx context.Context, name string) error {
	if err := os.Remove(s.files.path(name + unfinishedSuffix)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(s.files.path(name)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var listed int
	err := s.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM member_files WHERE file = $1`, name).Scan(&listed)
	if err != nil || listed > 0 {
		return err
	}
	return os.Remove(s.files.path(name))
}

// readUnmerged returns the rows of the unmerged writes that are included, in the order of their identities, and sets w.until.
func (s *Store) readUnmerged(ctx context.Context, w *memberWrite) ([]*memberRow, error) {
	_, writes, err := readPending(ctx, s.db, w.audience, w.merged)
	if err != nil {
		return nil, err
	}
	if w.until > 0 {
		writes = slices.DeleteFunc(writes, func(u unmergedWrite) bool { return u.id > w.until })
	}
	w.until = w.merged
	if len(writes) > 0 {
		w.until = writes[len(writes)-1].id
	}
	return newestRows(writes)
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

// writeFile writes rows, the replaced files and the rows of the tables to a new file.
func (s *Store) writeFile(w *memberWrite, rows []*memberRow) error {
	readers, release, err := s.files.acquire(w.replaced)
	if err != nil {
		return err
	}
	defer release()
	sources := []sortedfile.Source{&newRows{rows: rows}}
	for _, reader := range readers {
		it := reader.Iterate("")
		defer it.Close()
		sources = append(sources, it)
	}
	if len(w.files) == 0 {
		sources = append(sources, newTableRows(w.ctx, s.db, w.audience))
	}
	out, err := sortedfile.Create(s.files.path(w.name+unfinishedSuffix), nil)
	if err != nil {
		return err
	}
	if err := sortedfile.Merge(sources, w.addTo(out)); err != nil {
		return errors.Join(err, out.Abort())
	}
	w.info, err = out.Finish()
	return err
}

// addTo returns a function that adds a row to a file. The row of one value is copied.
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

// newRows are sorted rows, as a source for a file.
type newRows struct {
	rows  []*memberRow
	begun bool
	value []byte
}

// Next implements sortedfile.Source.
func (n *newRows) Next() bool {
	if n.begun {
		n.rows = n.rows[1:]
	}
	n.begun = len(n.rows) > 0
	return n.begun
}

// Key implements sortedfile.Source.
func (n *newRows) Key() string { return fileKey(n.rows[0].identity) }

// Value implements sortedfile.Source.
func (n *newRows) Value() string {
	n.value = encodeFileRow(n.value[:0], n.rows[0])
	return string(n.value)
}

// Err implements sortedfile.Source.
func (n *newRows) Err() error { return nil }

// commitFile lists the new file in place of the replaced ones, and deletes the unmerged writes that it includes.
func (s *Store) commitFile(ctx context.Context, w *memberWrite) (ok bool, err error) {
	err = s.inTransaction(ctx, func(tx *sql.Tx) error {
		if ok, err = w.isCurrent(ctx, tx); err != nil || !ok {
			return err
		}
		if err := s.files.finish(w.name); err != nil {
			return err
		}
		if err := s.useVersion(ctx, tx, filesVersion); err != nil {
			return err
		}
		id := int64(1)
		if len(w.files) > 0 {
			id = w.files[0].id + 1
		}
		for _, f := range w.replaced {
			if _, err := tx.ExecContext(ctx, `DELETE FROM member_files WHERE audience = $1 AND id = $2`, w.audience, f.id); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO member_files (audience, id, file, identities) VALUES ($1, $2, $3, $4)`,
			w.audience, id, w.name, w.info.Rows); err != nil {
			return err
		}
		if w.until == w.merged {
			_, err = tx.ExecContext(ctx, rowsChanged, w.audience)
			return err
		}
		return endMerge(ctx, tx, w.audience, w.until)
	})
	return ok && err == nil, err
}

// isCurrent reports whether the audience still has the rows that the new file was made of.
func (w *memberWrite) isCurrent(ctx context.Context, tx *sql.Tx) (bool, error) {
	var merged, last int64
	err := tx.QueryRowContext(ctx, `SELECT COALESCE(merged, 0), COALESCE((SELECT MAX(id) FROM unmerged WHERE audience = $1), 0) FROM audiences WHERE id = $1`,
		w.audience).Scan(&merged, &last)
	if err != nil || merged != w.merged || (w.alone || w.until == w.merged) && last > w.until { // otherwise rowsChanged would skip a write
		return false, ignoreMissing(err)
	}
	files, err := listMemberFiles(ctx, tx, w.audience)
	return err == nil && slices.Equal(files, w.files), err
}

// finish gives a file its final name.
func (m *memberFiles) finish(name string) error {
	if err := os.Rename(m.path(name+unfinishedSuffix), m.path(name)); err != nil {
		return err
	}
	return m.syncDir()
}

// syncDir makes the names of files durable.
func (m *memberFiles) syncDir() error {
	dir, err := os.Open(m.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// deleteTableRows deletes the rows of an audience in the tables, which are in a file now, a few thousand at a time so that writers need not wait.
func (s *Store) deleteTableRows(ctx context.Context, audience int64) error {
	for {
		var last sql.NullString
		err := s.db.QueryRowContext(ctx, `SELECT MAX(identity) FROM (SELECT identity FROM members WHERE audience = $1 ORDER BY identity LIMIT 2000)`,
			audience).Scan(&last)
		if err != nil || !last.Valid {
			return err
		}
		moved := false // back to the tables, by another process
		err = s.inTransaction(ctx, func(tx *sql.Tx) error {
			files, err := listMemberFiles(ctx, tx, audience)
			if moved = len(files) == 0; err != nil || moved {
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
