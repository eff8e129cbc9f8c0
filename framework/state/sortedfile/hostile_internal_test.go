package sortedfile

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rawBlock is a block of a file that is made on purpose: the separator of its index, and its bytes without the checksum.
type rawBlock struct{ separator, rows string }

// rawFile returns a file of blocks with the right checksums, and with a filter that passes all keys.
func rawFile(rows int64, blocks ...rawBlock) []byte {
	var w indexWriter
	f := footer{rows: rows, blocks: len(blocks), parts: 1}
	var file []byte
	for _, block := range blocks {
		file = append(file, block.rows+"\x00\x00\x00\x00"...)
		_ = w.startBlock(block.separator)
		w.endBlock(len(block.rows) + checksumSize)
	}
	f.data = int64(len(file))
	w.addPart(0, 1)
	file = append(append(append(file, w.blockRecords...), w.partRecords...), w.separators...)
	f.index = int64(len(file)) - f.data
	file = f.append(append(file, bytes.Repeat([]byte{0xff}, lineSize)...))
	seal(file)
	return file
}

func TestFilesMadeOnPurpose(t *testing.T) {
	a, b := rawBlock{"a", "\x00\x01\x01a1\x01\x01\x01b2"}, rawBlock{"b", "\x00\x01\x01b3"}
	sound := read(t, rawFile(3, a, b), []string{"", "a", "ab", "ac", "b", "c"})
	require.Equal(t, readings{info: sound.info, got: `1="1" 2="2" 4="3" `, rows: `"a"="1" "ab"="2" "b"="3" `}, sound)
	const count = "it has 3 rows instead of 4"
	for _, c := range []struct {
		want string
		file []byte
	}{
		{count, rawFile(4, a, b)},
		{"its index is not sorted", rawFile(3, b, a)},
		{"its index has impossible lengths", rawFile(3, a, rawBlock{"", b.rows})},
		{"block 1 has an impossible row", rawFile(1, rawBlock{"a", "\x00\x01\x09a1"})},
		{"block 2 has an impossible row", rawFile(3, a, rawBlock{"b", "\x01\x01\x01b3"})},
		{"block 3 has an impossible row", rawFile(4, a, b, rawBlock{"c", "\x00\x01\x01c3\x02\x01\x01d4"})},
		{"block 2 does not have the keys", rawFile(3, a, rawBlock{"bb", b.rows})},
		{"block 2 does not have the keys", rawFile(3, rawBlock{"a", "\x00\x01\x01a1\x00\x01\x01b2"}, b)},
	} {
		result := read(t, c.file, []string{"b"})
		text := "file is damaged: " + c.want
		if result.open != nil {
			assert.ErrorContains(t, result.open, text)
			continue
		}
		assert.ErrorContains(t, result.all, text)
		if c.want != count {
			assert.ErrorContains(t, result.it, text)
		}
	}
	for _, rows := range []string{
		"\x00\x01\x01a1\x01\x00\x01",     // the same key
		"\x00\x01\x01b1\x00\x01\x01a2",   // a smaller key
		"\x00\x02\x01ab1\x00\x02\x01ac2", // a shared byte that is stored again
		"\x00\x01\x01a1\x00\x01\x00",     // no rest of the key
		"\x00\x00\x021234",               // no key
		"\x00\x01\x01a1\x80",
	} {
		result := read(t, rawFile(2, rawBlock{"a", rows}), []string{"a", "b"})
		require.NoError(t, result.open)
		assert.ErrorIs(t, result.it, ErrDamaged, "%q", rows)
		assert.ErrorIs(t, result.all, ErrDamaged, "%q", rows)
	}
}
