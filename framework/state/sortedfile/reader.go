package sortedfile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// Reader reads a file. It keeps the index and the filter in memory. It is safe for concurrent use.
type Reader struct {
	file   File
	name   string // for errors
	footer footer
	index  index
	filter []byte
}

// File is what a Reader reads.
type File interface {
	io.ReaderAt
	io.Closer
	Size() (int64, error) // in bytes
}

// BlockReader is implemented by a File that reads several blocks at once faster than one after the other.
type BlockReader interface {
	// ReadBlocks calls visit with each of the blocks that start at offsets, which ascend. A block is valid during the call.
	ReadBlocks(offsets []int64, visit func(block []byte) error) error
}

// diskFile is a File on disk. Lookups read it by its mapping where they can.
type diskFile struct {
	*os.File
	mapping mapping
}

// Size implements File.
func (f *diskFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Close implements File.
func (f *diskFile) Close() error {
	f.mapping.close()
	return f.File.Close()
}

// Open opens a file on disk. It reads and checks the index, the filter and the footer; blocks are checked when they are read.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	disk := &diskFile{File: f}
	disk.mapping.open(f)
	return NewReader(disk, filepath.Base(path))
}

// NewReader is Open for a file that is kept elsewhere; name names it in errors. It closes f if it fails.
func NewReader(f File, name string) (*Reader, error) {
	r := &Reader{file: f, name: name}
	if err := r.readTail(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

// WithFile returns a Reader of the same file that reads it from f. The caller closes f.
func (r *Reader) WithFile(f File) *Reader {
	c := *r
	c.file = f
	return &c
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

// mayContain reports whether a key with a hash that belongs to a part of the filter may exist.
func (r *Reader) mayContain(hash uint64, part int) bool {
	from, to := r.index.parts[part].line, r.index.parts[part+1].line
	return mayContain(r.filter[from*lineSize:to*lineSize], hash)
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
		if rows++; !again.mayContain(hashKey(it.Key()), part) {
			return damaged(r.name, "its filter lacks a key of block %d", block+1)
		}
	}
	if it.Err() == nil && rows != r.footer.rows {
		return damaged(r.name, "it has %d rows instead of %d", rows, r.footer.rows)
	}
	return it.Err()
}
