package sortedfile

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
)

// Reader reads a file. It keeps the index and the filter in memory. It is safe for concurrent use.
type Reader struct {
	file   *os.File
	name   string // for errors
	footer footer
	index  index
	filter []byte
}

// Open opens a file. It reads and checks the index, the filter and the footer; blocks are checked when they are read.
func Open(path string) (*Reader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r := &Reader{file: file, name: filepath.Base(path)}
	if err := r.readTail(); err != nil {
		return nil, errors.Join(err, file.Close())
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

// errUnsorted is returned for keys in the wrong order.
var errUnsorted = errors.New("the keys that are looked up in a file must be sorted")

// Get looks up keys, which must be sorted and may have duplicates. For each that exists it calls visit with its position in keys and its value,
// which is valid during the call only. It returns the first error of visit.
func (r *Reader) Get(keys []string, visit func(i int, value string) error) error {
	l := lookups.Get().(*lookup)
	defer l.release()
	l.reader = r
	for i, key := range keys {
		if i > 0 && key < keys[i-1] {
			return errUnsorted
		}
		if !l.locate(key) {
			continue
		}
		h, found, err := l.seek(key)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		if err := visit(i, view(l.cursor.rows[h.value:h.end])); err != nil {
			return err
		}
	}
	return nil
}

// lookup is the state of a call of Get.
type lookup struct {
	reader *Reader
	part   int // of the last key
	block  int // that may have the last key
	loaded int // the block in cursor, or -1
	buffer []byte
	cursor cursor
}

// lookups keeps the buffers of Get.
var lookups = sync.Pool{New: func() any { return &lookup{buffer: make([]byte, 2*blockSize), loaded: -1} }}

// release returns l to the pool, unless it has grown for a very large row.
func (l *lookup) release() {
	if len(l.buffer) <= chunkSize {
		*l = lookup{buffer: l.buffer, loaded: -1}
		lookups.Put(l)
	}
}

// locate finds the block that may have a key. It returns false if the file does not have the key.
func (l *lookup) locate(key string) bool {
	x := &l.reader.index
	part := x.findPart(key, l.part)
	if part < 0 || !l.reader.mayContain(key, part) {
		return false
	}
	low := x.parts[part].block
	if part == l.part {
		low = max(low, l.block)
	}
	l.part, l.block = part, x.find(key, low, x.parts[part+1].block)
	return l.block >= 0
}

// seek searches a key in the block that locate has found.
func (l *lookup) seek(key string) (h rowHeader, found bool, err error) {
	if l.block != l.loaded {
		l.loaded = -1
		rows, err := l.reader.readBlock(l.block, &l.buffer)
		if err != nil {
			return h, false, err
		}
		l.loaded = l.block
		l.cursor.reset(rows)
	}
	h, found, valid := l.cursor.seek(key)
	if !valid {
		return h, false, damaged(l.reader.name, "block %d has an impossible row", l.block+1)
	}
	return h, found, nil
}

// readBlock reads a block into buffer, which it makes larger if necessary, and returns its rows.
func (r *Reader) readBlock(block int, buffer *[]byte) ([]byte, error) {
	start := r.index.offsets[block]
	size := int(r.index.offsets[block+1] - start)
	if size > len(*buffer) {
		*buffer = make([]byte, size)
	}
	b := (*buffer)[:size]
	if err := readAt(r.file, r.name, b, start); err != nil {
		return nil, err
	}
	return openBlock(r.name, b, block)
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
