package state

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/landfall-dev/landfall/framework/state/sortedfile"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// fileDir is the fileStorage of a SQLite database: the directory with its member files.
type fileDir struct{ path string }

const (
	memberFilesSuffix = "-members" // the directory is that of the database, with this suffix
	memberFileSuffix  = ".members" // of a file
	unfinishedSuffix  = ".tmp"     // of a file that is being written
)

// file returns the path of a file.
func (d fileDir) file(name string) string { return filepath.Join(d.path, name) }

func (d fileDir) open(_ context.Context, _ querier, name string) (*sortedfile.Reader, error) {
	return sortedfile.Open(d.file(name))
}

func (d fileDir) bind(_ context.Context, _ querier, _ string, r *sortedfile.Reader) *sortedfile.Reader {
	return r
}

func (d fileDir) remove(name string) { _ = os.Remove(d.file(name)) } // if it fails, the next start removes the file

// makeDir creates the directory beside the database, unless it exists, so that it outlives a loss of power like the files in it.
func (d fileDir) makeDir() error {
	err := os.Mkdir(d.path, 0o700)
	switch {
	case err == nil:
		return textfile.SyncDir(filepath.Dir(d.path))
	case errors.Is(err, fs.ErrExist):
		return nil // if it is no directory, the use of it fails
	}
	return err
}

// create creates an unfinished file, and returns its name. Until unlock is called or the process ends, no process deletes it.
func (d fileDir) create() (name string, w *sortedfile.Writer, unlock func(), err error) {
	if err := d.makeDir(); err != nil {
		return "", nil, nil, err
	}
	if unlock, err = d.lock(syscall.LOCK_SH); err != nil {
		return "", nil, nil, err
	}
	name = strings.ToLower(rand.Text()) + memberFileSuffix
	if w, err = sortedfile.Create(d.file(name+unfinishedSuffix), nil); err != nil {
		unlock()
		return "", nil, nil, err
	}
	return name, w, unlock, nil
}

// lock locks the directory, which must exist. Processes that write a file share the lock.
func (d fileDir) lock(how int) (unlock func(), err error) {
	dir, err := os.Open(d.path)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(dir.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(&fs.PathError{Op: "lock", Path: d.path, Err: err}, dir.Close())
	}
	return func() { _ = dir.Close() }, nil
}

// missing returns the message for a listed file that is missing.
func (d fileDir) missing(name string) string {
	base := filepath.Base(d.path)
	return fmt.Sprintf("the ledger's member file %s is missing: the directory %s belongs to the database; put it beside the database if it was left out "+
		"when the database was copied or moved, otherwise restore the ledger from a backup (landfall restore)", name, base)
}

// finish gives a file its final name.
func (d fileDir) finish(name string) error {
	if err := os.Rename(d.file(name+unfinishedSuffix), d.file(name)); err != nil {
		return err
	}
	return textfile.SyncDir(d.path)
}

// dir returns the directory with the files of a SQLite database.
func (s *Store) dir() fileDir { return s.files.storage.(fileDir) }

// requireNone returns an error if there are files, for a database that does not exist.
func (d fileDir) requireNone() error {
	found, err := d.names()
	if slices.ContainsFunc(found, isFinished) {
		return fmt.Errorf("the directory %s has the members of a database that is missing: put that database back, or move the directory away as well", filepath.Base(d.path))
	}
	return err
}

// addMemberFiles adds the table of files if the database lacks it, unpacks the files of a copy by Backup, and checks their directory.
func (s *Store) addMemberFiles(ctx context.Context, tx *sql.Tx) error {
	statements := []string{s.dialect.schema.Replace(createMemberFiles)}
	if !s.IsLocal() {
		var n int
		if err := tx.QueryRowContext(ctx, s.dialect.countColumns, "member_parts", "data").Scan(&n); err != nil {
			return err
		}
		if n == 0 { // tuning an existing table would wait for the files that are being written, and lookups of all servers for that
			statements = append(statements, createMemberParts, tuneMemberParts)
		}
	}
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("adding the tables of member files: %w", err)
		}
	}
	if !s.IsLocal() {
		return nil
	}
	if err := s.unpackMemberFiles(ctx, tx); err != nil {
		return err
	}
	return s.checkMemberFiles(ctx, tx)
}

// checkMemberFiles returns an error if a listed file is missing. Otherwise it deletes the files that processes have left. If no file is listed, it keeps
// finished files: the database that lists them may have been replaced by mistake. It must be called in a transaction that has the database locked, so
// that no other process is adding a file.
func (s *Store) checkMemberFiles(ctx context.Context, tx *sql.Tx) error {
	dir := s.dir()
	found, err := dir.names()
	if err != nil {
		return err
	}
	listed, err := memberFileNames(ctx, tx)
	if err != nil {
		return err
	}
	for _, name := range listed {
		if _, exists := slices.BinarySearch(found, name); !exists {
			return errors.New(dir.missing(name))
		}
	}
	dir.clean(found, listed, len(listed) > 0)
	return nil
}

// names returns the names of all files in the directory, in order.
func (d fileDir) names() (names []string, err error) {
	entries, err := os.ReadDir(d.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// clean deletes the unfinished files among those found, unless a process is writing one. If finished is set, it also deletes finished files that are not
// listed.
func (d fileDir) clean(found, listed []string, finished bool) {
	unlock, err := d.lock(syscall.LOCK_EX | syscall.LOCK_NB)
	unfinished := err == nil // no process is writing one
	if unfinished {
		defer unlock()
	}
	for _, name := range found {
		_, isListed := slices.BinarySearch(listed, name)
		if !isListed && (finished && isFinished(name) || unfinished && strings.HasSuffix(name, memberFileSuffix+unfinishedSuffix)) {
			d.remove(name)
		}
	}
}

func isFinished(name string) bool { return strings.HasSuffix(name, memberFileSuffix) }

// removeLeftOvers deletes files that are not listed, and unfinished ones that no process is writing.
func (s *Store) removeLeftOvers(ctx context.Context) error {
	if !s.IsLocal() {
		return nil
	}
	s.flusher.writing.Lock()
	defer s.flusher.writing.Unlock()
	return s.inTransaction(ctx, func(tx *sql.Tx) error {
		found, err := s.dir().names()
		if err != nil {
			return err
		}
		listed, err := memberFileNames(ctx, tx)
		if err == nil {
			s.dir().clean(found, listed, true)
			s.files.dropUnlisted(listed)
		}
		return err
	})
}

// FileSizes returns the number of member files of the ledger in a SQLite file, and the size of all files of the ledger.
func FileSizes(file string) (files int, bytes int64) {
	dir := fileDir{file + memberFilesSuffix}
	paths := []string{file, file + "-wal"}
	names, _ := dir.names()
	for _, name := range names {
		paths = append(paths, dir.file(name))
		if isFinished(name) {
			files++
		}
	}
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil {
			bytes += info.Size()
		}
	}
	return files, bytes
}
