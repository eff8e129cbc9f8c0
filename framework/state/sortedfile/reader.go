package sortedfile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Reader reads a file. It keeps the index and the filter in memory. It is safe for concurrent use.
type Reader struct {
	file   file
	name   string // for errors
	footer footer
	index  index
	filter []byte
}

// file is the part of an *os.File that a Reader uses.
type file interface {
	io.ReaderAt
	io.Closer
	Stat() (fs.FileInfo, error)
}

// Open opens a file. It reads and checks the index, the filter and the footer; blocks are checked when they are read.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return newReader(f, filepath.Base(path))
}

// newReader returns a Reader of f, or closes f.
func newReader(f file, name string) (*Reader, error) {
	r := &Reader{file: f, name: name}
	if err := r.readTail(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

// readTail reads what follows the blocks.
func (r *Reader) readTail() (err error) {
	if r.footer, err = readFooter(r.file, r.name); err != nil {
		return err
	}
	f := &r.footer
	b := make([]byte, f.index)
	if err = readAt(r.file, r.name, b, f.data); err != nil {
		return err
	}
	if checksum(b) != f.indexSum {
		return damaged(r.name, "its index has a wrong checksum")
	}
	if err = r.index.fill(b, f, r.name); err != nil {
		return err
	}
	r.filter = make([]byte, f.filter)
	if err = readAt(r.file, r.name, r.filter, f.data+f.index); err != nil {
		return err
	}
	if checksum(r.filter) != f.filterSum {
		return damaged(r.name, "its filter has a wrong checksum")
	}
	return nil
}

// Info returns the size of the file.
func (r *Reader) Info() Info { return Info{Rows: r.footer.rows, Bytes: r.footer.size} }

// Meta returns the meta that was given to Create. The caller must not change it.
func (r *Reader) Meta() []byte { return r.footer.meta }

// Close closes the file. Calls that read it afterwards fail.
func (r *Reader) Close() error { return r.file.Close() }

// mayContain reports whether a key that belongs to a part of the filter may exist.
func (r *Reader) mayContain(key string, part int) bool {
	from, to := r.index.parts[part].line, r.index.parts[part+1].line
	return mayContain(r.filter[from*lineSize:to*lineSize], hashKey(key))
}

// Verify reads the whole file, and checks all checksums, the order of the keys, their number, and that Get finds them.
func (r *Reader) Verify(ctx context.Context) error {
	again := &Reader{file: r.file, name: r.name}
	if err := again.readTail(); err != nil {
		return err
	}
	if again.footer.size != r.footer.size || !bytes.Equal(again.footer.append(nil), r.footer.append(nil)) {
		return damaged(r.name, "it has changed since it was opened")
	}
	it := again.Iterate("")
	defer it.Close()
	rows, block, part := int64(0), -1, 0
	for it.Next() {
		if it.block != block {
			if err := ctx.Err(); err != nil {
				return err
			}
			block = it.block
			for block >= again.index.parts[part+1].block {
				part++
			}
		}
		if rows++; !again.mayContain(it.Key(), part) {
			return damaged(r.name, "its filter lacks a key of block %d", block+1)
		}
	}
	if it.Err() == nil && rows != r.footer.rows {
		return damaged(r.name, "it has %d rows instead of %d", rows, r.footer.rows)
	}
	return it.Err()
}
