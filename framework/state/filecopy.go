package state

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
)

// A copy of a database that Backup has written is a single file: this table has the contents of its member files. The first program that opens the
// copy writes them beside it, and drops the table.
const createPackedFiles = `CREATE TABLE packed_files (
  file TEXT    NOT NULL,
  part INTEGER NOT NULL,
  data BLOB    NOT NULL,
  PRIMARY KEY (file, part)
) WITHOUT ROWID`

const packedPart = 1 << 20 // bytes of a file in one row

// copyTo copies the database with its member files to a new file.
func (s *Store) copyTo(ctx context.Context, file string) error {
	s.flusher.writing.Lock()
	defer s.flusher.writing.Unlock()
	for range maxAttempts {
		if _, err := s.db.ExecContext(ctx, `VACUUM INTO $1`, file); err != nil {
			return err
		}
		err := s.packMemberFiles(ctx, file)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		listed, listErr := memberFileNames(ctx, s.db)
		if listErr != nil || slices.Contains(listed, filepath.Base(missingFile(err))) {
			return cmp.Or(listErr, memberFileError(err))
		}
		if err := os.Truncate(file, 0); err != nil { // another process has replaced the file meanwhile
			return err
		}
	}
	return errBusy
}

// packMemberFiles copies the files that a copy of the database lists into it.
func (s *Store) packMemberFiles(ctx context.Context, file string) (err error) {
	db := sql.OpenDB(sqliteConnector{file, copySource(file)})
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	names, err := memberFileNames(ctx, db)
	if err != nil || len(names) == 0 {
		return err
	}
	if _, err := db.ExecContext(ctx, createPackedFiles); err != nil {
		return err
	}
	for _, name := range names {
		if err := packFile(ctx, db, s.dir().file(name), name); err != nil {
			return err
		}
	}
	return nil
}

// copySource returns the data source name of a copy that is being made: it has no journal, since a copy that fails is not used.
func copySource(file string) string {
	pragmas := url.Values{"_pragma": {"journal_mode(OFF)", "synchronous(OFF)"}}
	return (&url.URL{Scheme: "file", Path: file, RawQuery: pragmas.Encode()}).String()
}

// packFile copies a file into the table packed_files.
func packFile(ctx context.Context, db *sql.DB, path, name string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	buffer := make([]byte, packedPart)
	for part := 0; ; part++ {
		n, err := io.ReadFull(f, buffer)
		if n > 0 {
			if _, err := db.ExecContext(ctx, `INSERT INTO packed_files (file, part, data) VALUES ($1, $2, $3)`, name, part, buffer[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// unpackMemberFiles writes the files in the table packed_files beside the database, and drops the table.
func (s *Store) unpackMemberFiles(ctx context.Context, tx *sql.Tx) error {
	var n int
	if err := tx.QueryRowContext(ctx, s.dialect.countColumns, "packed_files", "data").Scan(&n); err != nil || n == 0 {
		return err
	}
	if err := s.dir().makeDir(); err != nil {
		return err
	}
	u := &unpacker{dir: s.dir()}
	err := eachRow(ctx, tx, u.add, `SELECT file, part, data FROM packed_files ORDER BY file, part`)
	if err == nil {
		err = u.finish()
	} else if u.out != nil {
		err = errors.Join(err, u.out.Close())
	}
	if err != nil {
		return fmt.Errorf("unpacking the ledger's member files: %w", err)
	}
	_, err = tx.ExecContext(ctx, `DROP TABLE packed_files`)
	return err
}

// unpacker writes the files of the table packed_files to a directory.
type unpacker struct {
	dir  fileDir
	name string   // of the current file
	out  *os.File // nil if there is none
}

// add adds a row of the table.
func (u *unpacker) add(rows *sql.Rows) error {
	var name string
	var part int
	var data sql.RawBytes
	if err := rows.Scan(&name, &part, &data); err != nil {
		return err
	}
	if part == 0 {
		if err := u.finish(); err != nil {
			return err
		}
		u.name = filepath.Base(name)
		var err error
		if u.out, err = os.OpenFile(u.dir.file(u.name+unfinishedSuffix), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
			return err
		}
	}
	_, err := u.out.Write(data)
	return err
}

// finish completes the current file.
func (u *unpacker) finish() error {
	if u.out == nil {
		return nil
	}
	err := errors.Join(u.out.Sync(), u.out.Close())
	u.out = nil
	if err != nil {
		return err
	}
	return u.dir.finish(u.name)
}
