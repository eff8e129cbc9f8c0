package sortedfile

import "sync"

// chunkSize is how many bytes an iterator reads at once.
const chunkSize = 256 << 10

// chunks keeps the buffers of iterators.
var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// Iterator iterates over the rows of a file in the order of their keys. It checks checksums and the order. It is not safe for concurrent use.
type Iterator struct {
	reader *Reader
	after  string // rows up to this key are skipped
	pooled *[chunkSize]byte
	chunk  []byte // whole blocks that are read and not parsed yet
	next   int    // the first block that is not read yet
	block  int    // of the current row
	rows   []byte // of the block
	at     int    // the row after the current one
	key    []byte
	value  []byte
	err    error
}

// Iterate returns an iterator over the rows with keys larger than after, which may be empty. The first row is that of the first call of Next. Close it
// after use.
func (r *Reader) Iterate(after string) *Iterator {
	it := &Iterator{reader: r, after: after, key: make([]byte, 0, 64)}
	it.next = max(0, r.index.find(after, 0, r.index.blocks()))
	it.block = it.next - 1
	return it
}

// Next goes to the next row, and reports whether there is one. If not, Err returns the reason, or nil at the end.
func (it *Iterator) Next() bool {
	for it.advance() {
		if it.after == "" || string(it.key) > it.after {
			it.after = ""
			return true
		}
	}
	it.key, it.value = it.key[:0], nil
	return false
}

// Key returns the key of the current row. It is valid until the next call of Next or Close.
func (it *Iterator) Key() string { return view(it.key) }

// Value returns the value of the current row. It is valid until the next call of Next or Close.
func (it *Iterator) Value() string { return view(it.value) }

// Err returns the error that ended the iteration, or nil.
func (it *Iterator) Err() error { return it.err }

// Close returns the buffers of the iterator to a pool. Next then returns false.
func (it *Iterator) Close() {
	if it.pooled != nil {
		chunks.Put(it.pooled)
	}
	it.pooled, it.key, it.value = nil, nil, nil
	it.stop()
}

// stop makes the current row the last one.
func (it *Iterator) stop() {
	it.rows, it.at, it.chunk = nil, 0, nil
	it.block = it.reader.index.blocks() - 1
}

// advance goes to the next row of the file.
func (it *Iterator) advance() bool {
	if it.at == len(it.rows) {
		return it.firstRow()
	}
	h, ok := readHeader(it.rows, it.at)
	if !ok || !it.ascends(h.shared, it.rows[h.key:h.value]) {
		return it.fail(damaged(it.reader.name, "block %d has an impossible row", it.block+1))
	}
	it.key = append(it.key[:h.shared], it.rows[h.key:h.value]...)
	it.value = it.rows[h.value:h.end]
	it.at = h.end
	return true
}

// ascends reports whether a row that shares some bytes with the current key, and has other bytes after them, has a larger key of allowed length.
func (it *Iterator) ascends(shared int, rest []byte) bool {
	return shared <= len(it.key) && len(rest) > 0 && shared+len(rest) <= MaxKey && (shared == len(it.key) || rest[0] > it.key[shared])
}

// firstRow goes to the first row of the next block.
func (it *Iterator) firstRow() bool {
	if it.err != nil || !it.nextBlock() {
		return false
	}
	h, ok := readHeader(it.rows, 0)
	if !ok || h.shared != 0 || h.value-h.key > MaxKey {
		return it.fail(damaged(it.reader.name, "block %d has an impossible row", it.block+1))
	}
	first, separator := it.rows[h.key:h.value], it.reader.index.separator(it.block)
	if string(it.key) >= separator || string(first) < separator {
		return it.fail(damaged(it.reader.name, "block %d does not have the keys that its index says", it.block+1))
	}
	it.key = append(it.key[:0], first...)
	it.value = it.rows[h.value:h.end]
	it.at = h.end
	return true
}

// nextBlock sets rows to those of the next block, if there is one.
func (it *Iterator) nextBlock() bool {
	x := &it.reader.index
	number := it.block + 1
	if number == x.blocks() {
		return false
	}
	if len(it.chunk) == 0 && !it.readChunk() {
		return false
	}
	size := int(x.offsets[number+1] - x.offsets[number])
	rows, err := openBlock(it.reader.name, it.chunk[:size], number)
	if err != nil {
		return it.fail(err)
	}
	it.block, it.rows, it.at = number, rows, 0
	it.chunk = it.chunk[size:]
	return true
}

// readChunk reads the next blocks, at least one.
func (it *Iterator) readChunk() bool {
	offsets := it.reader.index.offsets
	start := offsets[it.next]
	end := it.next + 1
	for end+1 < len(offsets) && offsets[end+1]-start <= chunkSize {
		end++
	}
	it.chunk = it.buffer(int(offsets[end] - start))
	if err := readAt(it.reader.file, it.reader.name, it.chunk, start); err != nil {
		return it.fail(err)
	}
	it.next = end
	return true
}

// buffer returns a buffer of a size, from the pool unless it is very large.
func (it *Iterator) buffer(size int) []byte {
	if size > chunkSize {
		return make([]byte, size)
	}
	if it.pooled == nil {
		it.pooled = chunks.Get().(*[chunkSize]byte)
	}
	return it.pooled[:size]
}

// fail ends the iteration with an error.
func (it *Iterator) fail(err error) bool {
	it.err = err
	it.stop()
	return false
}
