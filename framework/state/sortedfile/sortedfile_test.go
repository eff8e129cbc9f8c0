package sortedfile_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/state/sortedfile"
	"github.com/landfall-dev/landfall/internal/testsize"
)

// write writes rows to a new file and returns its path.
func write(t testing.TB, rows map[string]string) string {
	path := filepath.Join(t.TempDir(), "rows.file")
	w, err := sortedfile.Create(path, []byte("meta"))
	require.NoError(t, err)
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		require.NoError(t, w.Add(key, []byte(rows[key])))
	}
	info, err := w.Finish()
	require.NoError(t, err)
	stat, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, sortedfile.Info{Rows: int64(len(rows)), Bytes: stat.Size()}, info)
	require.Equal(t, fs.FileMode(0o600), stat.Mode())
	return path
}

// open opens a file until the test ends.
func open(t testing.TB, path string) *sortedfile.Reader {
	r, err := sortedfile.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// get looks up keys, and returns what exists.
func get(r *sortedfile.Reader, keys ...string) (map[string]string, error) {
	found := map[string]string{}
	err := r.Get(keys, func(i int, value string) error {
		found[strings.Clone(keys[i])] = strings.Clone(value)
		return nil
	})
	return found, err
}

// all returns the rows after a key, each as key=value.
func all(r *sortedfile.Reader, after string) ([]string, error) {
	it := r.Iterate(after)
	defer it.Close()
	var rows []string
	for it.Next() {
		rows = append(rows, it.Key()+"="+it.Value())
	}
	return rows, it.Err()
}

// generator makes keys and values of many kinds.
type generator struct{ *rand.Rand }

func (g generator) key() string {
	switch g.IntN(8) {
	case 0:
		return string(g.bytes(1 + g.IntN(3)))
	case 1:
		return strings.Repeat("a", 1+g.IntN(300)) + string(g.bytes(g.IntN(3)))
	case 2:
		if g.IntN(50) == 0 {
			return strings.Repeat("z", 64<<10) + fmt.Sprint(g.IntN(1000))
		}
		return string(g.bytes(1 + g.IntN(500)))
	default:
		return fmt.Sprintf("user-%06d", g.IntN(1_000_000))
	}
}

func (g generator) value() string {
	if g.IntN(300) == 0 {
		return string(g.bytes(1+g.IntN(9))) + strings.Repeat("v", g.IntN(64<<10))
	}
	return string(g.bytes(g.IntN(40)))
}

func (g generator) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}

func TestFileIsTheMapThatWasWritten(t *testing.T) {
	for round := range testsize.Of(12, 3) {
		g := generator{rand.New(rand.NewPCG(1, uint64(round)))}
		rows := map[string]string{}
		for range []int{0, 1, 2, 300, 5000}[round%5] * (1 + round/5) {
			rows[g.key()] = g.value()
		}
		r := open(t, write(t, rows))
		assert.Equal(t, "meta", string(r.Meta()))
		require.NoError(t, r.Verify(t.Context()))
		checkIteration(t, g, r, rows)
		checkLookups(t, g, r, rows)
	}
}

func checkIteration(t *testing.T, g generator, r *sortedfile.Reader, rows map[string]string) {
	keys := slices.Sorted(maps.Keys(rows))
	after := []string{"", "\x00", strings.Repeat("\xff", 9), g.key(), g.key()}
	for range min(len(keys), 5) {
		after = append(after, keys[g.IntN(len(keys))])
	}
	for _, after := range after {
		it := r.Iterate(after)
		for _, key := range keys[sort.Search(len(keys), func(i int) bool { return keys[i] > after }):] {
			if !it.Next() || it.Key() != key || it.Value() != rows[key] {
				t.Fatalf("after %q: %q=%q instead of %q=%q", after, it.Key(), it.Value(), key, rows[key])
			}
		}
		require.False(t, it.Next())
		require.False(t, it.Next())
		require.NoError(t, it.Err())
		it.Close()
		it.Close()
		require.False(t, it.Next())
	}
}

func checkLookups(t *testing.T, g generator, r *sortedfile.Reader, rows map[string]string) {
	known := slices.Sorted(maps.Keys(rows))
	for _, n := range []int{0, 1, 2, 50, 2000} {
		var keys []string
		for range n {
			key := g.key()
			if g.IntN(2) == 0 && len(known) > 0 {
				key = known[g.IntN(len(known))]
			}
			keys = append(keys, key)
			if g.IntN(10) == 0 {
				keys = append(keys, key, key+"\x00", key[:len(key)-1])
			}
		}
		slices.Sort(keys)
		var want, got []string
		for i, key := range keys {
			if value, ok := rows[key]; ok {
				want = append(want, fmt.Sprint(i, " ", value))
			}
		}
		require.NoError(t, r.Get(keys, func(i int, value string) error {
			got = append(got, fmt.Sprint(i, " ", value))
			return nil
		}))
		require.True(t, slices.Equal(want, got))
	}
	require.Equal(t, len(known), count(t, r, known))
}

// count returns how many of the keys exist.
func count(t *testing.T, r *sortedfile.Reader, keys []string) (n int) {
	require.NoError(t, r.Get(keys, func(int, string) error { n++; return nil }))
	return n
}

// manyRows are rows of several parts of the filter and several chunks of an iterator.
func manyRows() map[string]string {
	rows := map[string]string{}
	for i := range 100_000 {
		rows[fmt.Sprintf("user-%08x", i*3)] = fmt.Sprint("value ", i)
	}
	return rows
}

func TestFilterSkipsMostUnknownKeys(t *testing.T) {
	path := write(t, manyRows())
	r := open(t, path)
	require.NoError(t, r.Verify(t.Context()))
	// Without its rows, the file still answers for the keys that the filter excludes.
	require.NoError(t, os.WriteFile(path, make([]byte, r.Info().Bytes), 0o600))
	unknown, reads := 20_000, 0
	for i := range unknown {
		if _, err := get(r, fmt.Sprintf("user-%08x", i*15+1)); err != nil {
			require.ErrorIs(t, err, sortedfile.ErrDamaged)
			reads++
		}
	}
	t.Logf("%.2f %% of unknown keys are looked up in a block", float64(reads)*100/float64(unknown))
	assert.Less(t, reads, unknown*2/100)
	assert.Positive(t, reads)
}

func TestConcurrentUse(t *testing.T) {
	r := open(t, write(t, manyRows()))
	var group sync.WaitGroup
	for n := range 4 {
		group.Go(func() {
			keys := []string{"user-00000000", fmt.Sprintf("user-%08x", n*30_000), "user-00000001"}
			slices.Sort(keys)
			for range 50 {
				found, err := get(r, keys...)
				assert.NoError(t, err)
				assert.Equal(t, fmt.Sprint("value ", n*10_000), found[fmt.Sprintf("user-%08x", n*30_000)])
			}
			rows, err := all(r, fmt.Sprintf("user-%08x", 280_000))
			assert.NoError(t, err)
			assert.Len(t, rows, 6666)
		})
	}
	group.Wait()
}

func TestWriterRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.file")
	_, err := sortedfile.Create(path, make([]byte, sortedfile.MaxMeta+1))
	require.ErrorContains(t, err, "at most 1024 bytes")
	w, err := sortedfile.Create(path, nil)
	require.NoError(t, err)
	_, err = sortedfile.Create(path, nil)
	require.ErrorIs(t, err, fs.ErrExist)
	require.NoError(t, w.Add("b", nil))
	for _, key := range []string{"b", "a", "\x00", "B"} {
		require.ErrorContains(t, w.Add(key, nil), "must ascend", "%q", key)
	}
	require.ErrorContains(t, w.Add("", nil), "empty key")
	require.ErrorContains(t, w.Add(strings.Repeat("x", sortedfile.MaxKey+1), nil), "at most 1048576 bytes")
	require.ErrorContains(t, w.Add("c", make([]byte, sortedfile.MaxValue+1)), "at most 1048576 bytes, and a value 1048576")
	require.NoError(t, w.Add("bb", bytes.Repeat([]byte("v"), sortedfile.MaxValue)))
	require.NoError(t, w.Add("c", nil))
	info, err := w.Finish()
	require.NoError(t, err)
	assert.EqualValues(t, 3, info.Rows)
	require.Error(t, w.Add("d", nil))
	_, err = w.Finish()
	require.Error(t, err)
	require.NoError(t, w.Abort())

	r := open(t, path)
	require.NoError(t, r.Verify(t.Context()))
	found, err := get(r, "b", "bb", "c", "d")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"b": "", "bb": strings.Repeat("v", sortedfile.MaxValue), "c": ""}, found)
}

func TestAbortRemovesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.file")
	w, err := sortedfile.Create(path, nil)
	require.NoError(t, err)
	require.NoError(t, w.Add("a", nil))
	_, err = sortedfile.Open(path)
	require.ErrorIs(t, err, sortedfile.ErrDamaged)
	require.ErrorContains(t, err, "rows.file is damaged: it has no footer")
	require.NoError(t, w.Abort())
	require.NoError(t, w.Abort())
	require.Error(t, w.Add("b", nil))
	_, err = w.Finish()
	require.Error(t, err)
	_, err = sortedfile.Open(path)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestErrorsOfCallers(t *testing.T) {
	r := open(t, write(t, map[string]string{"a": "1", "b": "2"}))
	_, err := get(r, "b", "a")
	require.ErrorContains(t, err, "sorted")
	stop := fmt.Errorf("stop")
	require.Equal(t, stop, r.Get([]string{"a", "b"}, func(i int, _ string) error {
		require.Zero(t, i)
		return stop
	}))
	require.NoError(t, r.Close())
	_, err = get(r, "a")
	require.ErrorIs(t, err, fs.ErrClosed)
	_, err = all(r, "")
	require.ErrorIs(t, err, fs.ErrClosed)
}

func TestLongestKeys(t *testing.T) {
	long := strings.Repeat("x", sortedfile.MaxKey-1)
	rows := map[string]string{long + "a": "1", long + "b": "2", long + "c": strings.Repeat("v", 8000), long + "d": "4", "y": "5"}
	r := open(t, write(t, rows))
	require.NoError(t, r.Verify(t.Context()))
	found, err := get(r, append(slices.Sorted(maps.Keys(rows)), "z")...)
	require.NoError(t, err)
	assert.True(t, maps.Equal(rows, found))
}
