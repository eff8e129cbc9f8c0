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
	"time"

	"github.com/landfall-dev/landfall/framework/state/sortedfile"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// fileDir is the directory with the files of members of a SQLite database.
type fileDir struct{ path string }

const (
	memberFilesSuffix = "-members" // the directory is that of the database, with this suffix
	memberFileSuffix  = ".members" // of a file
	unfinishedSuffix  = ".tmp"     // of a file that is being written
	unfinishedAge     = 24 * time.Hour
)

// file returns the path of a file.
func (d fileDir) file(name string) string { return filepath.Join(d.path, name) }

func (d fileDir) open(_ context.Context, _ querier, name string) (*sortedfile.Reader, error) {
	return sortedfile.Open(d.file(name))
}

func (d fileDir) bind(_ context.Context, _ querier, _ string, r *sortedfile.Reader) *sortedfile.Reader {
	return r
}

func (d fileDir) remove(name string) { _ = os.Remove(d.file(name)) } // otherwise the next start removes it

// create creates an unfinished file, and returns its name.
func (d fileDir) create() (name string, w *sortedfile.Writer, err error) {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return "", nil, err
	}
	name = strings.ToLower(rand.Text()) + memberFileSuffix
	w, err = sortedfile.Create(d.file(name+unfinishedSuffix), nil)
	return name, w, err
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

// addMemberFiles adds the table of files if the database lacks it, takes the files out of a copy by Backup, and checks the directory of the files.
func (s *Store) addMemberFiles(ctx context.Context, tx *sql.Tx) error {
	statements := []string{s.dialect.schema.Replace(createMemberFiles)}
	if !s.IsLocal() {
		statements = append(statements, createMemberParts, tuneMemberParts)
	}
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("adding the tables of files of members: %w", err)
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

// checkMemberFiles deletes files that are not listed, and returns an error if one is missing that is. It must be called in a transaction
// that has the database locked, so that no other process is adding a file.
func (s *Store) checkMemberFiles(ctx context.Context, tx *sql.Tx) error {
	dir := s.dir()
	entries, err := os.ReadDir(dir.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var listed []string
	err = eachRow(ctx, tx, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		listed = append(listed, name)
		return err
	}, `SELECT file FROM member_files ORDER BY file`)
	if err != nil {
		return err
	}
	found := make([]string, 0, len(entries))
	for _, e := range entries {
		found = append(found, e.Name())
		if _, isListed := slices.BinarySearch(listed, e.Name()); !isListed && isLeftOver(e) {
			dir.remove(e.Name())
		}
	}
	slices.Sort(found)
	for _, name := range listed {
		if _, exists := slices.BinarySearch(found, name); !exists {
			return fmt.Errorf("the file %s of the ledger's members is missing: the directory %s belongs to the database and must be kept beside it; restore the ledger from a backup",
				name, filepath.Base(dir.path))
		}
	}
	return nil
}

// isLeftOver reports whether a file that is not listed can be deleted: another process may be writing one that is not finished.
func isLeftOver(e fs.DirEntry) bool {
	if strings.HasSuffix(e.Name(), unfinishedSuffix) {
		info, err := e.Info()
		return err == nil && time.Since(info.ModTime()) > unfinishedAge
	}
	return strings.HasSuffix(e.Name(), memberFileSuffix)
}

// removeLeftOvers deletes the files that are not listed any more.
func (s *Store) removeLeftOvers(ctx context.Context) error {
	if !s.IsLocal() {
		return nil
	}
	return s.inTransaction(ctx, func(tx *sql.Tx) error { return s.checkMemberFiles(ctx, tx) })
}
