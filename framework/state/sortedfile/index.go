package sortedfile

import (
	"encoding/binary"
	"errors"
	"math"
	"sort"
)

// The index is a record for each block, of the lengths of its separator and of the block; then one for each part of the filter, of its first block and
// its number of lines; then the separators. The separator of a block is the shortest prefix of its first key that is larger than the keys of the
// blocks before.

// Limits of the index. Ends of separators fit into 32 bits, also that of one separator too many.
const (
	maxBlocks     = 1 << 30
	maxSeparators = math.MaxUint32 - MaxKey // bytes
)

// index finds the block of a key. It has a few large slices, and no object for each block.
type index struct {
	separators string
	ends       []uint32 // where the separator of each block starts in separators, and where the last ends
	offsets    []int64  // where each block starts in the file, and where the last ends
	parts      []part   // and one after the last
}

// part is where a part of the filter starts.
type part struct{ block, line int }

// blocks returns the number of blocks.
func (x *index) blocks() int { return len(x.offsets) - 1 }

// separator returns the separator of a block.
func (x *index) separator(block int) string { return x.separators[x.ends[block]:x.ends[block+1]] }

// find returns the block from low to high-1 that may have a key, or low-1 if the key is smaller than all of theirs.
func (x *index) find(key string, low, high int) int {
	for low < high {
		middle := int(uint(low+high) >> 1)
		if x.separator(middle) <= key {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low - 1
}

// findPart returns the part that may have a key, or -1. It is not a part before from.
func (x *index) findPart(key string, from int) int {
	count := len(x.parts) - 1
	if from+1 < count && x.partSeparator(from+1) <= key {
		return from + sort.Search(count-from, func(i int) bool { return x.partSeparator(from+i) > key }) - 1
	}
	if count == 0 || from == 0 && x.partSeparator(0) > key {
		return -1
	}
	return from
}

// partSeparator returns the separator of the first block of a part.
func (x *index) partSeparator(part int) string { return x.separator(x.parts[part].block) }

// fill sets x to the stored index b of a file with footer f.
func (x *index) fill(b []byte, f *footer, name string) error {
	records := (f.blocks + f.parts) * indexRecord
	x.separators = string(b[records:])
	x.ends, x.offsets = make([]uint32, 1, f.blocks+1), make([]int64, 1, f.blocks+1)
	for range f.blocks {
		separator, block := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		b = b[indexRecord:]
		if block < minBlock || block > maxBlock || separator < 1 || separator > MaxKey {
			return damaged(name, "its index has impossible lengths")
		}
		end := x.ends[len(x.ends)-1] + separator
		if int(end) > len(x.separators) {
			return damaged(name, "its index has impossible lengths")
		}
		x.ends = append(x.ends, end)
		x.offsets = append(x.offsets, x.offsets[len(x.offsets)-1]+int64(block))
	}
	if int(x.ends[f.blocks]) != len(x.separators) || x.offsets[f.blocks] != f.data {
		return damaged(name, "its index does not fit its blocks")
	}
	if !x.sorted() {
		return damaged(name, "its index is not sorted")
	}
	return x.fillParts(b, f, name)
}

// sorted reports whether the separators ascend.
func (x *index) sorted() bool {
	for i := 1; i < x.blocks(); i++ {
		if x.separator(i-1) >= x.separator(i) {
			return false
		}
	}
	return true
}

// fillParts sets the parts of x to those that are stored in b.
func (x *index) fillParts(b []byte, f *footer, name string) error {
	x.parts = make([]part, 0, f.parts+1)
	next := part{}
	for i := range f.parts {
		block, lines := int(binary.LittleEndian.Uint32(b)), int(binary.LittleEndian.Uint32(b[4:]))
		b = b[indexRecord:]
		if (i == 0) != (block == 0) || block < next.block || block >= f.blocks || lines < 1 || lines > int(f.filter)/lineSize-next.line {
			return damaged(name, "its index does not fit its filter")
		}
		x.parts = append(x.parts, part{block, next.line})
		next = part{block + 1, next.line + lines}
	}
	if next.line != int(f.filter)/lineSize || (f.parts == 0) != (f.blocks == 0) {
		return damaged(name, "its index does not fit its filter")
	}
	x.parts = append(x.parts, part{f.blocks, next.line})
	return nil
}

// indexWriter collects the index of a file that is written.
type indexWriter struct {
	blocks, parts int
	blockRecords  []byte
	partRecords   []byte
	separators    []byte
	separator     int // length of the last one
}

var errIndexTooLarge = errors.New("the keys are too long or too many for one file")

// startBlock adds a block whose first key starts with separator.
func (w *indexWriter) startBlock(separator string) error {
	if w.blocks == maxBlocks || len(w.separators)+len(separator) > maxSeparators {
		return errIndexTooLarge
	}
	w.separators = append(w.separators, separator...)
	w.separator = len(separator)
	return nil
}

// endBlock completes the block that was started last.
func (w *indexWriter) endBlock(length int) {
	w.blockRecords = binary.LittleEndian.AppendUint32(w.blockRecords, uint32(w.separator))
	w.blockRecords = binary.LittleEndian.AppendUint32(w.blockRecords, uint32(length))
	w.blocks++
}

// addPart adds a part of the filter that starts with a block.
func (w *indexWriter) addPart(block, lines int) {
	w.partRecords = binary.LittleEndian.AppendUint32(w.partRecords, uint32(block))
	w.partRecords = binary.LittleEndian.AppendUint32(w.partRecords, uint32(lines))
	w.parts++
}
