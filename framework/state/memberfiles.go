package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"syscall"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/state/sortedfile"
)

// The members of a large audience are in sorted files, and not in the tables members and history: a table would have to read and write a page for
// almost every identity that changes. This table lists the files. An audience has its rows either in the tables or, from the first merge of many
// writes on, in files. A file never changes; a merge writes a new one, and replaces files with it in a transaction. The files of a SQLite
// database are beside it (filedir.go), those of a PostgreSQL database in a table (fileparts.go).
const createMemberFiles = `CREATE TABLE IF NOT EXISTS member_files (
  audience   BIGINT NOT NULL,
  id         BIGINT NOT NULL, -- the rows of a file replace those of files with lower ids
  file       TEXT   NOT NULL, -- its name
  identities BIGINT NOT NULL,
  PRIMARY KEY (audience, id)
) {clustered}`

const maxOpenFiles = 256 // that are not in use

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

// hasMemberFiles reports whether the rows of an audience are in files.
func hasMemberFiles(ctx context.Context, q querier, audience int64) (bool, error) {
	list, err := listMemberFiles(ctx, q, audience)
	return len(list) > 0, err
}

// memberFileNames returns the names of the files of all audiences, in order.
func memberFileNames(ctx context.Context, q querier) ([]string, error) {
	return listColumn[string](ctx, q, `SELECT file FROM member_files ORDER BY file`)
}

// fileStorage is where files are.
type fileStorage interface {
	// open opens a file. The error wraps a *fs.PathError with the name and fs.ErrNotExist if it was replaced.
	open(ctx context.Context, q querier, name string) (*sortedfile.Reader, error)
	// bind returns a Reader of an open file that reads it with q.
	bind(ctx context.Context, q querier, name string, r *sortedfile.Reader) *sortedfile.Reader
	// remove deletes a file that is no longer listed.
	remove(name string)
}

// memberFiles opens the files of a database and keeps them open. It is safe for concurrent use.
type memberFiles struct {
	storage fileStorage
	mu      sync.Mutex
	open    map[string]*openMemberFile
	uses    int64
	known   map[int64]knownFiles // by the ids of the audiences
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

func newMemberFiles(storage fileStorage) *memberFiles {
	return &memberFiles{storage: storage, open: map[string]*openMemberFile{}, known: map[int64]knownFiles{}}
}

// unknownMerge stands for a value of audiences.merged that is not known: the files are listed again.
const unknownMerge = -1

// listed returns what remember has been given for an audience.
func (m *memberFiles) listed(audience, merged int64) ([]memberFile, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.known[audience]
	return k.list, ok && k.merged == merged && merged != unknownMerge
}

// remember keeps the list of an audience's files in memory, and closes those that another process has replaced: they take space as long as they are open.
func (m *memberFiles) remember(audience, merged int64, list []memberFile) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.known[audience].list {
		if !slices.Contains(list, f) {
			m.dropLocked(f.name)
		}
	}
	m.known[audience] = knownFiles{merged, list}
}

// acquire opens files. release must be called after their use.
func (m *memberFiles) acquire(ctx context.Context, q querier, list []memberFile) (readers []*sortedfile.Reader, release func(), err error) {
	var held []*openMemberFile
	release = func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.releaseLocked(held)
	}
	for _, f := range list {
		o, err := m.use(ctx, q, f.name)
		if err != nil {
			release()
			return nil, nil, err
		}
		held, readers = append(held, o), append(readers, m.storage.bind(ctx, q, f.name, o.reader))
	}
	return readers, release, nil
}

// use returns an open file with one user more. Nothing is locked while the file is opened.
func (m *memberFiles) use(ctx context.Context, q querier, name string) (*openMemberFile, error) {
	if o := m.useOpen(name, nil); o != nil {
		return o, nil
	}
	reader, err := m.storage.open(ctx, q, name)
	if err != nil {
		return nil, err
	}
	return m.useOpen(name, reader), nil
}

// useOpen is use for a file that is open, or that reader has opened just now.
func (m *memberFiles) useOpen(name string, reader *sortedfile.Reader) *openMemberFile {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.open[name]
	switch {
	case o == nil && reader == nil:
		return nil
	case o == nil:
		m.closeUnusedLocked()
		o = &openMemberFile{reader: reader}
		m.open[name] = o
	case reader != nil: // another caller has opened it meanwhile
		_ = reader.Close()
	}
	m.uses++
	o.users, o.used = o.users+1, m.uses
	return o
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

// remove deletes files that no audience has. Those that are being read can be read to their end.
func (m *memberFiles) remove(list []memberFile) {
	for _, f := range list {
		m.storage.remove(f.name)
		m.drop(f.name)
	}
}

// drop forgets a file that was deleted.
func (m *memberFiles) drop(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropLocked(name)
}

// dropUnlisted forgets all files that are not in a sorted list.
func (m *memberFiles) dropUnlisted(listed []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.open {
		if _, isListed := slices.BinarySearch(listed, name); !isListed {
			m.dropLocked(name)
		}
	}
}

func (m *memberFiles) dropLocked(name string) {
	o := m.open[name]
	if o == nil {
		return
	}
	delete(m.open, name)
	if o.gone = true; o.users == 0 {
		_ = o.reader.Close()
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
	list, ok := s.files.listed(audience, merged)
	for missing := ""; ; {
		if !ok {
			var err error
			if list, err = listMemberFiles(ctx, q, audience); err != nil {
				return err
			}
			s.files.remember(audience, merged, list)
		}
		err := s.withFiles(ctx, q, list, f)
		if name := missingFile(err); name != "" && name != missing {
			missing, ok = name, false // it was replaced in between
			continue
		}
		if err != nil || len(list) > 0 {
			return memberFileError(err)
		}
		if list, err = listMemberFiles(ctx, q, audience); err != nil || len(list) == 0 {
			return err
		}
		ok = false // f has read the tables, whose rows no longer count
	}
}

// withFiles calls f with open files.
func (s *Store) withFiles(ctx context.Context, q querier, list []memberFile, f func([]*sortedfile.Reader) error) error {
	readers, release, err := s.files.acquire(ctx, q, list)
	if err != nil {
		return err
	}
	defer release()
	err = f(readers)
	if name := missingFile(err); name != "" {
		s.files.drop(name)
	}
	return err
}

// missingFile returns what the error of a file that does not exist names, and "" for another error.
func missingFile(err error) string {
	if path := (*fs.PathError)(nil); errors.Is(err, fs.ErrNotExist) && errors.As(err, &path) {
		return path.Path
	}
	return ""
}

// memberFileError adds to the error of an unusable file what to do about it.
func memberFileError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, sortedfile.ErrDamaged):
		return fmt.Errorf("%w: one of the ledger's member files is missing or damaged: restore the ledger from a backup (landfall restore)", fault.File(err))
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w: free disk space; a server then tries again, and a command can be repeated", fault.File(err))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: make the server's user the owner of the data directory and of all files in it (chown -R)", fault.File(err))
	}
	return err
}
