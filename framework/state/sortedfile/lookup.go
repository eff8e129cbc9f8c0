package sortedfile

import (
	"errors"
	"sync"
)

// Get looks up keys in portions. For each portion it first finds the blocks that may have the keys, in memory, and then reads these blocks: from a mapping
// of the file, or blocks that are near each other with one system call, which costs about as much as reading 10 KB.
const (
	portionSize = 1024     // keys
	extentSize  = 64 << 10 // bytes that are read with one call, unless a block is larger
	maxGap      = 8 << 10  // unneeded bytes that are read between two blocks
)

// errUnsorted is returned for keys in the wrong order.
var errUnsorted = errors.New("the keys that are looked up in a file must be sorted")

// Get looks up keys, which must be sorted and may have duplicates. For each that exists it calls visit with its position in keys and its value,
// which is valid during the call only. It returns the first error of visit.
func (r *Reader) Get(keys []string, visit func(i int, value string) error) error {
	l := lookups.Get().(*lookup)
	defer l.release()
	l.reader, l.keys = r, keys
	for start := 0; start < len(keys); start += portionSize {
		if err := l.locate(start, min(start+portionSize, len(keys))); err != nil {
			return err
		}
		var err error
		if blocks, ok := r.file.(BlockReader); ok {
			err = l.readBlocks(blocks, visit)
		} else {
			err = l.read(visit)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lookup is the state of a call of Get.
type lookup struct {
	reader     *Reader
	keys       []string
	part       int // of the filter, to which the last key belongs
	candidates [portionSize]candidate
	hashes     [portionSize]uint64 // of the candidates
	count      int                 // of candidates

	buffer      []byte
	first, last int    // blocks that are in buffer; none if last is smaller
	block       int    // of cursor, or -1
	cursor      cursor // in a block that is in buffer
}

// candidate is a key that may exist, and the block that may have it.
type candidate struct{ key, block int }

// lookups keeps the buffers of Get.
var lookups = sync.Pool{New: func() any { return &lookup{buffer: make([]byte, extentSize), last: -1, block: -1} }}

// release returns l to the pool, unless it has grown for a very large row.
func (l *lookup) release() {
	if len(l.buffer) > extentSize {
		return
	}
	l.reader, l.keys, l.part = nil, nil, 0
	l.first, l.last, l.block, l.cursor = 0, -1, -1, cursor{}
	lookups.Put(l)
}

// locate finds the candidates among the keys from start to end-1.
func (l *lookup) locate(start, end int) error {
	r := l.reader
	l.count = 0
	for i := start; i < end; i++ {
		key := l.keys[i]
		if i > 0 && key < l.keys[i-1] {
			return errUnsorted
		}
		if part := r.index.findPart(key, l.part); part >= 0 {
			l.part = part
			l.candidates[l.count], l.hashes[l.count] = candidate{key: i, block: part}, hashKey(key)
			l.count++
		}
	}
	l.filter()
	l.findBlocks()
	return nil
}

// filter removes the candidates that do not exist. In a loop of its own, the processor loads the lines of the filter for many keys at the same time.
func (l *lookup) filter() {
	kept := 0
	for i, c := range l.candidates[:l.count] {
		if l.reader.mayContain(l.hashes[i], c.block) {
			l.candidates[kept] = c
			kept++
		}
	}
	l.count = kept
}

// findBlocks sets the blocks of the candidates, which have their parts instead.
func (l *lookup) findBlocks() {
	x := &l.reader.index
	block := 0
	for i := range l.candidates[:l.count] {
		c := &l.candidates[i]
		from, to := x.parts[c.block].block, x.parts[c.block+1].block
		block = x.find(l.keys[c.key], max(block, from), to)
		c.block = block
	}
}

// read reads the blocks of the candidates, and visits those that exist.
func (l *lookup) read(visit func(i int, value string) error) error {
	for i, c := range l.candidates[:l.count] {
		if c.block != l.block {
			if err := l.load(i); err != nil {
				return err
			}
		}
		if err := l.visit(c, visit); err != nil {
			return err
		}
	}
	return nil
}

// visit visits a candidate, whose block the cursor is in, if it exists.
func (l *lookup) visit(c candidate, visit func(i int, value string) error) error {
	h, found, valid := l.cursor.seek(l.keys[c.key])
	if !valid {
		return damaged(l.reader.name, "block %d has an impossible row", c.block+1)
	}
	if !found {
		return nil
	}
	return visit(c.key, view(l.cursor.rows[h.value:h.end]))
}

// readBlocks is read for a file that reads the blocks of all candidates at once.
func (l *lookup) readBlocks(file BlockReader, visit func(i int, value string) error) error {
	rest, starts, x := l.candidates[:l.count], make([]int64, 0, l.count), &l.reader.index
	for i, c := range rest {
		if i == 0 || c.block != rest[i-1].block {
			starts = append(starts, x.offsets[c.block])
		}
	}
	if len(starts) == 0 {
		return nil
	}
	err := file.ReadBlocks(starts, func(block []byte) error {
		if len(rest) == 0 {
			return damaged(l.reader.name, "it has two blocks in one place")
		}
		number := rest[0].block
		if int64(len(block)) != x.offsets[number+1]-x.offsets[number] {
			return damaged(l.reader.name, "block %d has a wrong length", number+1)
		}
		rows, err := openBlock(l.reader.name, block, number)
		if err != nil {
			return err
		}
		for l.cursor.reset(rows); len(rest) > 0 && rest[0].block == number; rest = rest[1:] {
			if err := l.visit(rest[0], visit); err != nil {
				return err
			}
		}
		return nil
	})
	l.cursor = cursor{}
	if err == nil && len(rest) > 0 {
		err = damaged(l.reader.name, "it lacks a block")
	}
	return err
}

// load sets the cursor to the block of a candidate. If necessary, it reads it, together with blocks of the next candidates.
func (l *lookup) load(i int) error {
	offsets := l.reader.index.offsets
	block := l.candidates[i].block
	if block > l.last && !l.copyBlock(block) {
		if err := l.readExtent(block, l.extentEnd(i)); err != nil {
			return err
		}
	}
	start := offsets[l.first]
	rows, err := openBlock(l.reader.name, l.buffer[offsets[block]-start:offsets[block+1]-start], block)
	if err != nil {
		return err
	}
	l.block = block
	l.cursor.reset(rows)
	return nil
}

// copyBlock copies a block from the mapping of the file into buffer. It reports whether the file has one that can be used.
func (l *lookup) copyBlock(block int) bool {
	disk, ok := l.reader.file.(*diskFile)
	if !ok {
		return false
	}
	b := l.grow(block, block)
	if ok = disk.mapping.copy(b, l.reader.index.offsets[block]); ok {
		l.last = block
	}
	return ok
}

// grow makes the buffer ready for the blocks from first to last, and returns the part that they fill.
func (l *lookup) grow(first, last int) []byte {
	offsets := l.reader.index.offsets
	size := int(offsets[last+1] - offsets[first])
	if size > len(l.buffer) {
		l.buffer = make([]byte, size)
	}
	l.first, l.last = first, -1
	return l.buffer[:size]
}

// extentEnd returns the last block that is worth reading together with that of a candidate.
func (l *lookup) extentEnd(i int) int {
	offsets := l.reader.index.offsets
	start, last := offsets[l.candidates[i].block], l.candidates[i].block
	for _, c := range l.candidates[i+1 : l.count] {
		if c.block != last && (offsets[c.block]-offsets[last+1] > maxGap || offsets[c.block+1]-start > extentSize) {
			break
		}
		last = c.block
	}
	return last
}

// readExtent reads the blocks from first to last into buffer.
func (l *lookup) readExtent(first, last int) error {
	offsets := l.reader.index.offsets
	if err := readAt(l.reader.file, l.reader.name, l.grow(first, last), offsets[first]); err != nil {
		return err
	}
	l.last = last
	return nil
}
