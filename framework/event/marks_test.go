package event

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// FuzzMarks compares the marks of a text, by the instructions of this processor and by the plain code, with a look at each byte.
func FuzzMarks(f *testing.F) {
	for _, seed := range []string{"", `"`, "plain", "\x00\x1f !\"#[\\]\x7f\x80\xff", strings.Repeat("x", 63), strings.Repeat("\\", 64), strings.Repeat("é\"", 100)} {
		f.Add(seed)
	}
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	f.Add(string(all))
	f.Fuzz(func(t *testing.T, text string) {
		marks, ascii := textMarks{}.mark(text)
		plain := make([]uint64, len(text)/blockSize)
		isASCII := markBlocksPlain(text, plain)
		assert.Equal(t, plain, []uint64(marks[:len(plain)]))
		assert.Equal(t, isASCII, markBlocks(text[:len(plain)*blockSize], marks))
		highest := byte(0)
		for i := range len(text) {
			c := text[i]
			highest |= c
			assert.Equal(t, c == '"' || c == '\\' || c < 0x20, marks.next(i) == i, "%q at %d", text, i)
		}
		assert.Equal(t, highest < 0x80, ascii)
		assert.GreaterOrEqual(t, marks.next(len(text)), len(text))
	})
}
