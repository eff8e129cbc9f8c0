package sortedfile

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// A block is rows, then a checksum of 4 bytes. A row is three lengths as varints: of the prefix that its key shares with the key before, of the
// rest of the key, and of the value; then the rest of the key and the value. The first row of a block shares nothing.
const (
	blockSize    = 2 << 10              // at which a block is complete; not part of the format
	checksumSize = 4                    // bytes
	minBlock     = 3 + 1 + checksumSize // bytes of a block with one row of one byte
	maxBlock     = 4 << 20              // bytes of a block; the largest row has MaxKey, MaxValue, and 9 bytes
)

// blockChecksum returns the checksum of a block's rows. It depends on the number of the block, so that blocks in the wrong place are noticed.
func blockChecksum(rows []byte, number int) uint32 { return checksum(rows) ^ uint32(number) }

// openBlock verifies the checksum of a block and returns its rows.
func openBlock(file string, block []byte, number int) ([]byte, error) {
	rows := block[:len(block)-checksumSize]
	if binary.LittleEndian.Uint32(block[len(rows):]) != blockChecksum(rows, number) {
		return nil, damaged(file, "block %d has a wrong checksum", number+1)
	}
	return rows, nil
}

// rowHeader holds the lengths of a row.
type rowHeader struct {
	shared int // bytes of the key before
	key    int // where the rest of the key starts
	value  int // where the value starts
	end    int // of the row
}

// readHeader reads the lengths of the row at a position of rows. ok is false if the row exceeds the rows.
func readHeader(rows []byte, at int) (h rowHeader, ok bool) {
	if at+3 <= len(rows) && (rows[at]|rows[at+1]|rows[at+2]) < 0x80 {
		h.shared, h.key = int(rows[at]), at+3
		h.value = h.key + int(rows[at+1])
		h.end = h.value + int(rows[at+2])
		return h, h.end <= len(rows)
	}
	return readLongHeader(rows, at)
}

// readLongHeader is readHeader for lengths of any size.
func readLongHeader(rows []byte, at int) (h rowHeader, ok bool) {
	var lengths [3]int
	for i, limit := range [...]uint64{MaxKey, MaxKey, MaxValue} {
		v, n := binary.Uvarint(rows[at:])
		if n <= 0 || v > limit {
			return h, false
		}
		lengths[i] = int(v)
		at += n
	}
	h = rowHeader{shared: lengths[0], key: at, value: at + lengths[1], end: at + lengths[1] + lengths[2]}
	return h, h.end <= len(rows)
}

// cursor searches the rows of a block for ascending keys. It builds no keys: it knows how many bytes the row before shares with the key that it
// searches, and how many bytes the next row shares with the row before.
type cursor struct {
	rows   []byte
	at     int    // the first row that is not smaller than target, once seek has returned
	target string // the last key that was searched
	match  int    // bytes that target shares with the row before at
}

// reset puts the cursor before the first row of a block.
func (c *cursor) reset(rows []byte) { *c = cursor{rows: rows} }

// seek searches a key that is not smaller than the one before. It returns the header of its row, and whether it exists. valid is false if the
// rows cannot be read.
func (c *cursor) seek(target string) (h rowHeader, found, valid bool) {
	match := min(c.match, sharedPrefix(c.target, target))
	c.target = target
	for c.at < len(c.rows) {
		if h, valid = readHeader(c.rows, c.at); !valid {
			return h, false, false
		}
		if h.shared < match {
			break // the row is larger than target
		}
		if h.shared == match {
			more, order := compareRest(c.rows[h.key:h.value], target[match:])
			if order >= 0 {
				c.match = match
				return h, order == 0, true
			}
			match += more
		}
		c.at = h.end
	}
	c.match = match
	return h, false, true
}

// compareRest returns how many bytes the rest of a row's key shares with the rest of the key that is searched, and how they compare.
func compareRest(row []byte, target string) (shared, order int) {
	n := min(len(row), len(target))
	for shared < n && row[shared] == target[shared] {
		shared++
	}
	if shared == n {
		return shared, len(row) - len(target)
	}
	return shared, int(row[shared]) - int(target[shared])
}

// sharedPrefix returns how many bytes a and b have in common at their starts.
func sharedPrefix(a, b string) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := word(a, i) ^ word(b, i); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// word returns the 8 bytes of s at i, the first as the lowest.
func word(s string, i int) uint64 {
	b := s[i : i+8]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// view returns b as a string without a copy. It is valid until b changes.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
