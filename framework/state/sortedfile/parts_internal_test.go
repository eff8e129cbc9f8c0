package sortedfile

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// partsFile is a file in memory that is kept in the parts that a Writer passes.
type partsFile struct {
	*bytes.Reader
	parts map[int64][]byte // by their offsets
	reads int              // calls of ReadBlocks
}

func (f *partsFile) Size() (int64, error) { return f.Reader.Size(), nil }
func (f *partsFile) Close() error         { return nil }

func (f *partsFile) ReadBlocks(offsets []int64, visit func([]byte) error) error {
	f.reads++
	for _, offset := range offsets {
		if part, ok := f.parts[offset]; ok {
			if err := visit(part); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeParts writes rows with NewWriter.
func writeParts(t *testing.T, size int, keys []string, value func(key string) string) *partsFile {
	var all []byte
	f := &partsFile{parts: map[int64][]byte{}}
	w := NewWriter(size, func(part []byte) error {
		f.parts[int64(len(all))] = bytes.Clone(part)
		all = append(all, part...)
		return nil
	})
	for _, key := range keys {
		require.NoError(t, w.Add(key, []byte(value(key))))
	}
	info, err := w.Finish()
	require.NoError(t, err)
	assert.Equal(t, Info{Rows: int64(len(keys)), Bytes: int64(len(all))}, info)
	require.NoError(t, w.Abort())
	f.Reader = bytes.NewReader(all)
	return f
}

// A file that is kept in parts has the same rows as one on disk, and a lookup reads all its blocks with one call for a thousand keys.
func TestFilesInParts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{200, 1984, 1 << 20} {
		var keys []string
		for i := range 5000 {
			keys = append(keys, fmt.Sprintf("key-%05d", i*3))
		}
		keys = append(keys, strings.Repeat("z", 10_000))
		value := func(key string) string { return key[len(key)/2:] }
		f := writeParts(t, size, keys, value)
		for offset, part := range f.parts {
			if int(offset)+len(part) < 20_000 {
				assert.LessOrEqual(t, len(part), min(size, blockSize))
			}
		}
		r, err := NewReader(f, "parts")
		require.NoError(t, err)
		require.NoError(t, r.Verify(t.Context()))
		var wanted []string
		for range 3000 {
			wanted = append(wanted, fmt.Sprintf("key-%05d", random.IntN(16000)))
		}
		wanted = append(wanted, keys[5000])
		slices.Sort(wanted)
		f.reads = 0
		found := map[string]string{}
		require.NoError(t, r.Get(wanted, func(i int, value string) error { found[wanted[i]] = strings.Clone(value); return nil }))
		assert.Equal(t, 3, f.reads)
		expected := map[string]string{}
		for _, key := range wanted {
			if _, ok := slices.BinarySearch(keys, key); ok {
				expected[key] = value(key)
			}
		}
		assert.Equal(t, expected, found)
		n := 0
		for it := r.Iterate(""); it.Next(); n++ {
			require.Equal(t, keys[n], it.Key())
		}
		assert.Len(t, keys, n)
	}
}

// Blocks that are missing, twice, or have other bytes or lengths are damage.
func TestDamagedParts(t *testing.T) {
	keys := []string{"a", "b", "c", "d", "e", "f"}
	value := func(string) string { return strings.Repeat("v", 100) }
	for name, damage := range map[string]func(parts map[int64][]byte, offsets []int64){
		"missing":       func(parts map[int64][]byte, offsets []int64) { delete(parts, offsets[2]) },
		"other bytes":   func(parts map[int64][]byte, offsets []int64) { parts[offsets[1]][10] ^= 4 },
		"another block": func(parts map[int64][]byte, offsets []int64) { parts[offsets[1]] = parts[offsets[0]] },
		"shorter":       func(parts map[int64][]byte, offsets []int64) { parts[offsets[1]] = parts[offsets[1]][1:] },
		"empty":         func(parts map[int64][]byte, offsets []int64) { parts[offsets[1]] = nil },
	} {
		f := writeParts(t, 120, keys, value)
		r, err := NewReader(f, "parts")
		require.NoError(t, err)
		require.Equal(t, 6, r.index.blocks())
		damage(f.parts, r.index.offsets)
		err = r.Get(keys, func(int, string) error { return nil })
		assert.ErrorIs(t, err, ErrDamaged, name)
	}
	f := writeParts(t, 120, keys, value)
	r, err := NewReader(twice{f}, "parts")
	require.NoError(t, err)
	assert.ErrorIs(t, r.Get(keys, func(int, string) error { return nil }), ErrDamaged)
}

// twice is a file that returns each block twice.
type twice struct{ *partsFile }

func (f twice) ReadBlocks(offsets []int64, visit func([]byte) error) error {
	return f.partsFile.ReadBlocks(offsets, func(block []byte) error {
		if err := visit(block); err != nil {
			return err
		}
		return visit(block)
	})
}

// An error of the place where the parts go is that of Add and Finish.
func TestPartsThatCannotBePassed(t *testing.T) {
	w := NewWriter(100, func([]byte) error { return assert.AnError })
	var err error
	for i := 0; err == nil; i++ {
		err = w.Add(fmt.Sprintf("%03d", i), []byte("value"))
	}
	require.ErrorIs(t, err, assert.AnError)
	require.ErrorIs(t, w.Add("z", nil), assert.AnError)
	_, err = w.Finish()
	require.ErrorIs(t, err, assert.AnError)
	require.NoError(t, w.Abort())
}
