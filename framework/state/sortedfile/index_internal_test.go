package sortedfile

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// A key belongs to the last block, and to the last part, whose separator is not larger.
func TestBlockAndPartOfAKey(t *testing.T) {
	x := &index{separators: "bdfhj", ends: []uint32{0, 1, 2, 3, 4, 5}, offsets: make([]int64, 6), parts: []part{{block: 0}, {block: 1}, {block: 3}, {block: 4}, {block: 5}}}
	parts := []int{0, 1, 1, 2, 3} // of the blocks
	for key := byte('a'); key <= 'l'; key++ {
		block := -1
		for i := range x.blocks() {
			if x.separator(i) <= string(key) {
				block = i
			}
		}
		assert.Equal(t, block, x.find(string(key), 0, 5), "%c", key)
		if block < 0 {
			assert.Equal(t, -1, x.findPart(string(key), 0), "%c", key)
			continue
		}
		for from := range parts[block] + 1 {
			assert.Equal(t, parts[block], x.findPart(string(key), from), "%c from %d", key, from)
		}
		assert.Equal(t, block, x.find(string(key), block, 5), "%c", key)
	}
	assert.Equal(t, -1, (&index{parts: []part{{}}}).findPart("a", 0), "a file without rows")
}
