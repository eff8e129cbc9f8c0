package sortedfile

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/testsize"
)

// TestLookupsOfKeysThatTheFilterPasses looks up all keys of two or three letters in a file that has some of them. The filter passes all keys, so
// that what follows it decides.
func TestLookupsOfKeysThatTheFilterPasses(t *testing.T) {
	var keys []string
	for a := 'b'; a < 'z'; a++ {
		for b := 'b'; b < 'z'; b++ {
			keys = append(keys, string([]rune{a, b}))
			for c := 'b'; c < 'z'; c++ {
				keys = append(keys, string([]rune{a, b, c}))
			}
		}
	}
	slices.Sort(keys)
	for round := range testsize.Of(20, 4) {
		random := rand.New(rand.NewPCG(5, uint64(round)))
		path := filepath.Join(t.TempDir(), fmt.Sprint(round))
		w, err := Create(path, nil)
		require.NoError(t, err)
		exists := map[string]bool{}
		for _, key := range keys[300 : len(keys)-300] {
			if random.IntN(1+round*round) == 0 {
				exists[key] = true
				require.NoError(t, w.Add(key, []byte(key)))
			}
		}
		_, err = w.Finish()
		require.NoError(t, err)
		r, err := Open(path)
		require.NoError(t, err)
		for i := range r.filter {
			r.filter[i] = 0xff
		}
		for _, share := range []int{1, 2, 50, 5000} {
			checkPassed(t, r, exists, slices.DeleteFunc(slices.Clone(keys), func(string) bool { return random.IntN(share) > 0 }))
		}
		require.NoError(t, r.Close())
	}
}

// checkPassed looks up keys and compares the result with those that exist.
func checkPassed(t *testing.T, r *Reader, exists map[string]bool, keys []string) {
	want := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !exists[key] })
	got := make([]string, 0, len(want))
	require.NoError(t, r.Get(keys, func(i int, value string) error {
		if value != keys[i] {
			return fmt.Errorf("%s has the value %s", keys[i], value)
		}
		got = append(got, keys[i])
		return nil
	}))
	require.True(t, slices.Equal(want, got))
}

// countedFile counts what is read.
type countedFile struct {
	File
	calls, bytes int
}

func (f *countedFile) ReadAt(b []byte, offset int64) (int, error) {
	f.calls++
	f.bytes += len(b)
	return f.File.ReadAt(b, offset)
}

func TestBlocksNearEachOtherAreReadWithOneCall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows")
	w, err := Create(path, nil)
	require.NoError(t, err)
	var keys []string
	for i := range 4000 {
		keys = append(keys, fmt.Sprintf("%06d", i))
		require.NoError(t, w.Add(keys[i], make([]byte, 1000))) // two rows a block
	}
	_, err = w.Finish()
	require.NoError(t, err)
	r, err := Open(path)
	require.NoError(t, err)
	defer func() { _ = r.Close() }()
	for _, c := range []struct{ step, atMost, calls, bytes int }{
		{1, 4000, 90, 5 << 20},     // all, of 64 KB together
		{8, 4000, 90, 5 << 20},     // with gaps of 6 KB
		{16, 4000, 250, 600_000},   // with gaps of 14 KB
		{500, 4000, 8, 8 * 2100},   // alone
		{1, 1024, 20, 1024 * 1010}, // one portion
		{1, 2, 1, 2100},
	} {
		counted := &countedFile{File: r.file}
		again := *r
		again.file = counted
		var some []string
		for i := 0; i < c.atMost; i += c.step {
			some = append(some, keys[i])
		}
		found := 0
		require.NoError(t, again.Get(some, func(int, string) error { found++; return nil }))
		require.Len(t, some, found)
		require.LessOrEqual(t, counted.calls, c.calls, "%+v", c)
		require.LessOrEqual(t, counted.bytes, c.bytes, "%+v", c)
	}
}

func TestReadingAllocatesLittle(t *testing.T) {
	if testsize.Small() {
		t.Skip("the race detector drops buffers from the pools")
	}
	file, keys := smallFile(t)
	r, err := NewReader(memoryFile{bytes.NewReader(file)}, "file")
	require.NoError(t, err)
	visit := func(int, string) error { return nil }
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = r.Get(keys, visit) }))
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		it := r.Iterate("")
		for it.Next() {
		}
		it.Close()
	}), 3.0) // the iterator, and its key, which grows once
}

// eagerFile returns io.EOF with the last bytes of the file, which an io.ReaderAt may do.
type eagerFile struct{ memoryFile }

func (f eagerFile) ReadAt(b []byte, offset int64) (int, error) {
	n, err := f.memoryFile.ReadAt(b, offset)
	if size, _ := f.Size(); err == nil && offset+int64(n) == size {
		err = io.EOF
	}
	return n, err
}

func TestFilesThatEndWithTheirLastByte(t *testing.T) {
	file, keys := smallFile(t)
	r, err := NewReader(eagerFile{memoryFile{bytes.NewReader(file)}}, "file")
	require.NoError(t, err)
	found := 0
	require.NoError(t, r.Get(keys, func(int, string) error { found++; return nil }))
	assert.Equal(t, len(keys), found)
	assert.NoError(t, r.Verify(t.Context()))
}
