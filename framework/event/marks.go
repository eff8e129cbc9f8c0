package event

import (
	"math/bits"
	"slices"
	"unsafe"
)

// textMarks has a bit for each byte of a text, the lowest bit of the first word for the first byte. It is set for the bytes that end the plain part
// of a string: quotes, backslashes and control characters. At least one bit is set after the last byte.
type textMarks []uint64

// blockSize is the number of bytes of a word of textMarks.
const blockSize = 64

// mark returns the marks of a text in the memory of m. ascii reports whether the text is pure ASCII.
func (m textMarks) mark(text string) (marks textMarks, ascii bool) {
	whole := len(text) / blockSize
	m = slices.Grow(m[:0], whole+1)[:whole+1]
	var rest [blockSize]byte // after the text are zeros, which are control characters
	copy(rest[:], text[whole*blockSize:])
	isASCII := markBlocks(text[:whole*blockSize], m)
	restIsASCII := markBlocks(unsafe.String(&rest[0], len(rest)), m[whole:])
	return m, isASCII && restIsASCII
}

// next returns the offset of the first marked byte from pos on, which may be after the text.
func (m textMarks) next(pos int) int {
	at := uint(pos) / blockSize
	if rest := m[at] >> (uint(pos) % blockSize); rest != 0 {
		return pos + bits.TrailingZeros64(rest)
	}
	for at++; m[at] == 0; at++ {
	}
	return int(at*blockSize) + bits.TrailingZeros64(m[at])
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// markBlocksPlain sets a word of marks for each whole block of a text, and reports whether these are pure ASCII.
func markBlocksPlain(text string, marks []uint64) (ascii bool) {
	seen := uint64(0)
	for i := range len(text) / blockSize {
		block, word := text[i*blockSize:(i+1)*blockSize], uint64(0)
		for j := 0; j < blockSize; j += 8 {
			w := loadWord(block[j : j+8])
			seen |= w
			word |= marksOf(w) << j
		}
		marks[i] = word
	}
	return seen&highBits == 0
}

// marksOf returns the marks of eight bytes, which loadWord has returned.
func marksOf(w uint64) uint64 {
	low, slash := w^lowBits*2, w^lowBits*'\\' // control characters and the quote, and nothing else, are at most 0x20 in low
	plain := (low&^highBits + lowBits*(0x7f-0x20) | low) & (slash&^highBits + lowBits*0x7f | slash)
	const gather = 0x0102040810204080 // moves the lowest bits of the bytes to the highest byte
	return (^plain & highBits >> 7) * gather >> 56
}

// plainPrefix returns a lower bound of how many bytes at the beginning of a text need no escape in a JSON string. It is a multiple
// of eight.
func plainPrefix(text string) int {
	pos := 0
	for pos+8 <= len(text) && marksOf(loadWord(text[pos:pos+8])) == 0 {
		pos += 8
	}
	return pos
}

// loadWord returns eight bytes as a little-endian integer.
func loadWord(b string) uint64 {
	_ = b[7]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}
