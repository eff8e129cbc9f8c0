package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"strconv"

	"github.com/landfall-dev/landfall/framework/state/sortedfile"
)

// The member files of a PostgreSQL database are rows of this table: a row for each block, and for each piece of what follows the blocks. Four of them
// fill a page.
const (
	createMemberParts = `CREATE TABLE IF NOT EXISTS member_parts (
  file  BIGINT NOT NULL,
  start BIGINT NOT NULL, -- where the part starts in the file
  data  BYTEA  NOT NULL,
  PRIMARY KEY (file, start)
) WITH (toast_tuple_target = 8160)`

	// Compressing parts would save little.
	tuneMemberParts = `ALTER TABLE member_parts ALTER COLUMN data SET STORAGE EXTERNAL`

	partSize = 1984 // bytes of a part, unless a row is larger
	partRows = 64   // parts that are written at once
)

// fileParts is the fileStorage of a PostgreSQL database.
type fileParts struct{}

func (fileParts) open(ctx context.Context, q querier, name string) (*sortedfile.Reader, error) {
	return sortedfile.NewReader(&partsFile{ctx, q, name}, name)
}

func (fileParts) bind(ctx context.Context, q querier, name string, r *sortedfile.Reader) *sortedfile.Reader {
	return r.WithFile(&partsFile{ctx, q, name})
}

func (fileParts) remove(string) {} // the transaction that replaces a file deletes its parts

// partsFile reads a member file with a connection or a transaction.
type partsFile struct {
	ctx  context.Context
	q    querier
	name string
}

// gone returns the error of a file whose parts are missing, because it was replaced.
func (f *partsFile) gone() error { return &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrNotExist} }

// Size implements sortedfile.File.
func (f *partsFile) Size() (size int64, err error) {
	err = f.q.QueryRowContext(f.ctx, `SELECT start + LENGTH(data) FROM member_parts WHERE file = $1 ORDER BY start DESC LIMIT 1`, f.id()).Scan(&size)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, f.gone()
	}
	return size, err
}

// id returns the number of the file in the table.
func (f *partsFile) id() int64 {
	id, _ := strconv.ParseInt(f.name, 10, 64) // another name has no parts
	return id
}

// Close implements sortedfile.File.
func (f *partsFile) Close() error { return nil }

// ReadAt implements sortedfile.File.
func (f *partsFile) ReadAt(p []byte, off int64) (n int, err error) {
	err = eachRow(f.ctx, f.q, func(rows *sql.Rows) error {
		var start int64
		var data sql.RawBytes
		if err := rows.Scan(&start, &data); err != nil {
			return err
		}
		skip := off + int64(n) - start
		if skip < 0 || skip > int64(len(data)) {
			return f.gone() // a part in between is missing
		}
		n += copy(p[n:], data[skip:])
		return nil
	}, `SELECT start, data FROM member_parts WHERE file = $1 AND start < $3
		AND start >= (SELECT MAX(start) FROM member_parts WHERE file = $1 AND start <= $2) ORDER BY start`, f.id(), off, off+int64(len(p)))
	switch {
	case err != nil:
		return n, err
	case n == 0 && len(p) > 0:
		return n, f.gone()
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}

// ReadBlocks implements sortedfile.BlockReader.
func (f *partsFile) ReadBlocks(offsets []int64, visit func(block []byte) error) error {
	n := 0
	err := eachRow(f.ctx, f.q, func(rows *sql.Rows) error {
		var data sql.RawBytes
		if err := rows.Scan(&data); err != nil {
			return err
		}
		n++
		return visit(data)
	}, `SELECT data FROM member_parts WHERE file = $1 AND start = ANY($2) ORDER BY start`, f.id(), offsets)
	if err == nil && n < len(offsets) {
		return f.gone()
	}
	return err
}

// partsWriter writes the parts of a new file.
type partsWriter struct {
	ctx    context.Context
	tx     *sql.Tx
	file   int64
	start  int64
	starts []int64
	data   [][]byte
}

// newPartsWriter returns a writer of a file in a transaction, and the name of the file.
func newPartsWriter(ctx context.Context, tx *sql.Tx) (*partsWriter, string) {
	w := &partsWriter{ctx: ctx, tx: tx, file: rand.Int64()}
	return w, strconv.FormatInt(w.file, 10)
}

// add adds a part.
func (w *partsWriter) add(part []byte) error {
	w.starts, w.data = append(w.starts, w.start), append(w.data, append([]byte(nil), part...))
	w.start += int64(len(part))
	if len(w.starts) < partRows {
		return nil
	}
	return w.flush()
}

// flush writes the parts that add has collected.
func (w *partsWriter) flush() error {
	if len(w.starts) == 0 {
		return nil
	}
	_, err := w.tx.ExecContext(w.ctx, `INSERT INTO member_parts (file, start, data) SELECT $1::BIGINT, p.* FROM unnest($2::BIGINT[], $3::BYTEA[]) AS p`,
		w.file, w.starts, w.data)
	w.starts, w.data = w.starts[:0], w.data[:0]
	if err != nil {
		return fmt.Errorf("writing a member file: %w", err)
	}
	return nil
}

// deleteParts deletes the parts of files.
func deleteParts(ctx context.Context, tx *sql.Tx, files []memberFile) error {
	for _, f := range files {
		if _, err := tx.ExecContext(ctx, `DELETE FROM member_parts WHERE file = $1`, (&partsFile{name: f.name}).id()); err != nil {
			return err
		}
	}
	return nil
}

// reuseParts makes the space of replaced files available to new ones, once a fifth of all identities were in them. PostgreSQL's own vacuuming does that once
// a minute at most, in which several times as much as the members take can be replaced. If it fails, that does it later. flusher.writing must be locked.
func (s *Store) reuseParts(w *memberWrite) {
	if s.IsLocal() {
		return
	}
	for _, f := range w.replaced {
		s.flusher.replaced += f.identities
	}
	if s.flusher.replaced < s.limits.reuse {
		return
	}
	var all int64
	err := s.db.QueryRowContext(w.ctx, `SELECT CAST(COALESCE(SUM(identities), 0) AS BIGINT) FROM member_files`).Scan(&all)
	if err != nil || s.flusher.replaced < all/5 {
		return
	}
	if _, err := s.db.ExecContext(w.ctx, `VACUUM member_parts`); err == nil {
		s.flusher.replaced = 0
	}
}
