// Package compressed compresses the text of events such that events can be erased in place: a text in which other bytes replace them is
// compressed to the same length.
package compressed

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/klauspost/compress/s2"
)

// headSize is the size of the length (little endian) of the S2 block that follows it. Spare bytes follow the block.
const headSize = 4

// Spare bytes. The events of a text have most of their bytes in common, so that a text without some of them may need a few bytes more, for what
// interrupts the common ones. An event has about a hundred bytes at least.
const (
	minSpare = 64
	maxRatio = 16 // between the lengths of a text and its compressed form: text that hardly has anything but repetitions gets more of them
)

// spareByte is the value of spare bytes. It is not zero, since sectors of zeros at the end of a log are taken for an interrupted write.
const spareByte = ' '

// Append appends the compressed form of a text to a buffer.
func Append(buffer, text []byte) []byte {
	start := len(buffer)
	size := max(headSize+s2.MaxEncodedLen(len(text))+minSpare, len(text)/maxRatio)
	buffer = slices.Grow(buffer, size)[:start+size]
	made := buffer[start:]
	n := putBlock(made, s2.Encode(made[headSize:], text))
	end := max(n+minSpare, len(text)/maxRatio)
	fillSpare(made[n:end])
	return buffer[:start+end]
}

// Fit returns the compressed form of a text with a length, or nil if it is longer. It is for a text without events of another one whose compressed
// form has that length.
func Fit(size int, text []byte) []byte {
	for _, encode := range []func(dst, src []byte) []byte{s2.Encode, s2.EncodeBetter, s2.EncodeBest} {
		if block := encode(nil, text); headSize+len(block) <= size {
			made := make([]byte, size)
			fillSpare(made[putBlock(made, block):])
			return made
		}
	}
	return nil
}

// putBlock puts a block behind its length, and returns the length of both.
func putBlock(to, block []byte) int {
	binary.LittleEndian.PutUint32(to, uint32(len(block)))
	return headSize + copy(to[headSize:], block)
}

func fillSpare(b []byte) {
	for i := range b {
		b[i] = spareByte
	}
}

// ErrDamaged means that data is not the compressed form of a text, or the text is longer than expected.
var ErrDamaged = errors.New("it cannot be decompressed")

// Text returns the text of its compressed form, in buffer if that is large enough. The text has at most limit bytes.
func Text(buffer, data []byte, limit int) ([]byte, error) {
	if len(data) < headSize {
		return nil, ErrDamaged
	}
	size, rest := binary.LittleEndian.Uint32(data), data[headSize:]
	if uint64(size) > uint64(len(rest)) {
		return nil, ErrDamaged
	}
	if n, err := s2.DecodedLen(rest[:size]); err != nil || n > limit {
		return nil, ErrDamaged
	}
	text, err := s2.Decode(buffer[:cap(buffer)], rest[:size])
	if err != nil {
		return nil, ErrDamaged
	}
	return text, nil
}
