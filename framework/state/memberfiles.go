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
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/state/sortedfile"
)

// The members of a large audience of a SQLite database are in sorted files beside it, and not in the tables members and history: a table would have
// to read and write a page for almost every identity that changes. This table lists the files. An audience has its rows either in the tables or,
// from the first merge of many writes on, in files. A file never changes; a merge writes a new one, and replaces files with it in a transaction.
const createMemberFiles = `CREATE TABLE IF NOT EXISTS member_files (
  audience   BIGINT NOT NULL,
  id         BIGINT NOT NULL, -- the rows of a file replace those of files with lower ids
  file       TEXT   NOT NULL, -- name in the directory of the files
  identities BIGINT NOT NULL,
  PRIMARY KEY (audience, id)
) WITHOUT ROWID`

const (
	memberFilesSuffix = "-members" // the directory of the files is that of the database, with this suffix
	unfinishedSuffix  = ".tmp"     // of a file that is being written
	unfinishedAge     = 24 * time.Hour
	maxOpenFiles      = 256 // that are not in use
)

// memberFile is a row of the table member_files.
type memberFile struct {
	id         int64
	name       string
	identities int64
}

// listMemberFiles returns the files of an audience, newest first. It has none if its rows are in the tables.
func listMemberFiles(ctx context.Context, q querier, audience int64) (list []memberFile, err error) {
	err = eachRow(ctx, q, func(rows *sql.Rows) error {
		var f memberFile
		err := rows.Scan(&f.id, &f.name, &f.identities)
		list = append(list, f)
		return err
	}, `SELECT id, file, identities FROM member_files WHERE audience = $1 ORDER BY id DESC`, audience)
	return list, err
}

// memberFiles opens the files of a database and keeps them open. It is safe for concurrent use.
type memberFiles struct {
	dir   string
	mu    sync.Mutex
	open  map[string]*openMemberFile
	uses  int64
	known map[int64]knownFiles // by the ids of the audiences
}

// knownFiles are the files of an audience at a value of audiences.merged, which changes whenever they are replaced.
type knownFiles struct {
	merged int64
	list   []memberFile
}

type openMemberFile struct {
	reader *sortedfile.Reader
	users  int
	used   int64 // memberFiles.uses of the last use
	gone   bool  // deleted; closed after its last use
}

func newMemberFiles(database string) *memberFiles {
	return &memberFiles{dir: database + memberFilesSuffix, open: map[string]*openMemberFile{}, known: map[int64]knownFiles{}}
}

// path returns the path of a file.
func (m *memberFiles) path(name string) string { return filepath.Join(m.dir, name) }

// newName returns the name of a new file.
func (m *memberFiles) newName() (string, error) {
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return "", err
	}
	return strings.ToLower(rand.Text()) + ".members", nil
}

// unknownMerge stands for a value of audiences.merged that is not known: the files are listed anew.
const unknownMerge = -1

// listed returns what remember has been given for an audience.
func (m *memberFiles) listed(audience, merged int64) ([]memberFile, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.known[audience]
	return k.list, ok && k.merged == merged
}

// remember keeps the list of an audience's files in memory.
func (m *memberFiles) remember(audience, merged int64, list []memberFile) {
	if merged == unknownMerge {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known[audience] = knownFiles{merged, list}
}

// acquire opens files. release must be called after their use.
func (m *memberFiles) acquire(list []memberFile) (readers []*sortedfile.Reader, release func(), err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var held []*openMemberFile
	release = func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.releaseLocked(held)
	}
	for _, f := range list {
		o, err := m.openLocked(f.name)
		if err != nil {
			m.releaseLocked(held)
			return nil, nil, err
		}
		o.users++
		held, readers = append(held, o), append(readers, o.reader)
	}
	return readers, release, nil
}

func (m *memberFiles) openLocked(name string) (*openMemberFile, error) {
	m.uses++
	o := m.open[name]
	if o == nil {
		reader, err := sortedfile.Open(m.path(name))
		if err != nil {
			return nil, err
		}
		m.closeUnusedLocked()
		o = &openMemberFile{reader: reader}
		m.open[name] = o
	}
	o.used = m.uses
	return o, nil
}

func (m *memberFiles) releaseLocked(held []*openMemberFile) {
	for _, o := range held {
		if o.users--; o.users == 0 && o.gone {
			_ = o.reader.Close()
		}
	}
}

// closeUnusedLocked closes the file that was used the longest time ago, if many are open.
func (m *memberFiles) closeUnusedLocked() {
	if len(m.open) < maxOpenFiles {
		return
	}
	oldest := ""
	for name, o := range m.open {
		if o.users == 0 && (oldest == "" || o.used < m.open[oldest].used) {
			oldest = name
		}
	}
	if oldest != "" {
		_ = m.open[oldest].reader.Close()
		delete(m.open, oldest)
	}
}

// remove deletes files that no audience has any more. Those that are being read can be read to their end.
func (m *memberFiles) remove(list []memberFile) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range list {
		_ = os.Remove(m.path(f.name)) // otherwise the next start removes it
		o := m.open[f.name]
		if o == nil {
			continue
		}
		delete(m.open, f.name)
		if o.gone = true; o.users == 0 {
			_ = o.reader.Close()
		}
	}
}

// close closes all files, which must not be in use.
func (m *memberFiles) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var err error
	for _, o := range m.open {
		err = errors.Join(err, o.reader.Close())
	}
	clear(m.open)
	return err
}

// withMemberFiles calls f with the open files of an audience, newest first; with none if its rows are in the tables. If the files were replaced
// meanwhile, or the rows were moved to files, it calls f again.
func (s *Store) withMemberFiles(ctx context.Context, q querier, audience, merged int64, f func([]*sortedfile.Reader) error) error {
	if !s.IsLocal() {
		return f(nil)
	}
	list, ok := s.files.listed(audience, merged)
	var missing string
	for {
		if !ok {
			var err error
			if list, err = listMemberFiles(ctx, q, audience); err != nil {
				return err
			}
			s.files.remember(audience, merged, list)
		}
		readers, release, err := s.files.acquire(list)
		if path := (*fs.PathError)(nil); errors.Is(err, fs.ErrNotExist) && errors.As(err, &path) && path.Path != missing {
			missing, ok = path.Path, false // it was replaced in between
			continue
		}
		if err != nil {
			return memberFileError(err)
		}
		err = f(readers)
		release()
		if err != nil || len(list) > 0 {
			return memberFileError(err)
		}
		if list, err = listMemberFiles(ctx, q, audience); err != nil || len(list) == 0 {
			return err
		}
		ok = false // f has read the tables, whose rows do not count any more
	}
}

// memberFileError says what to do about an unusable file.
func memberFileError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, sortedfile.ErrDamaged):
		return fmt.Errorf("%w: a file of the ledger's members is missing or damaged: restore the ledger from a backup", err)
	}
	return err
}

// addMemberFiles adds the table of files if the database lacks it, takes the files out of a copy by Backup, and checks the directory of the files.
func (s *Store) addMemberFiles(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, createMemberFiles); err != nil {
		return fmt.Errorf("adding the table member_files: %w", err)
	}
	if err := s.unpackMemberFiles(ctx, tx); err != nil {
		return err
	}
	return s.checkMemberFiles(ctx, tx)
}

// checkMemberFiles deletes files that are not listed, and returns an error if one is missing that is. It must be called in a transaction
// that has the database locked, so that no other process is adding a file.
func (s *Store) checkMemberFiles(ctx context.Context, tx *sql.Tx) error {
	entries, err := os.ReadDir(s.files.dir)
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
			_ = os.Remove(s.files.path(e.Name()))
		}
	}
	slices.Sort(found)
	for _, name := range listed {
		if _, exists := slices.BinarySearch(found, name); !exists {
			return fmt.Errorf("the file %s of the ledger's members is missing: the directory %s belongs to the database and must be kept beside it; restore the ledger from a backup",
				name, filepath.Base(s.files.dir))
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
	return strings.HasSuffix(e.Name(), ".members")
}

// removeLeftOvers deletes the files that are not listed any more.
func (s *Store) removeLeftOvers(ctx context.Context) error {
	if !s.IsLocal() {
		return nil
	}
	return s.inTransaction(ctx, func(tx *sql.Tx) error { return s.checkMemberFiles(ctx, tx) })
}
