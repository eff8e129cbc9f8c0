package sortedfile_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/state/sortedfile"
)

// benchRows is the number of rows of the files of the benchmarks: LANDFALL_ROWS, or 1,000,000.
func benchRows(b *testing.B) int {
	text := os.Getenv("LANDFALL_ROWS")
	if text == "" {
		return 1_000_000
	}
	n, err := strconv.Atoi(text)
	require.NoError(b, err)
	return n
}

// benchKey appends a key of 20 bytes, of which the first 4 are common. Keys ascend with n, at random distances.
func benchKey(key []byte, n uint64) []byte {
	key = append(key, "user"...)
	key = fmt.Appendf(key, "%016x", n<<38|n*0x9E3779B97F4A7C15>>26)
	return key
}

// benchValue returns a value of 8 to 30 bytes.
func benchValue(n uint64) []byte {
	var value [30]byte
	binary.LittleEndian.PutUint64(value[:], n*0x9E3779B97F4A7C15)
	return value[:8+n%23]
}

// benchFile writes a file with each key from 0 to rows-1 that step divides with a remainder.
func benchFile(b *testing.B, rows, step, remainder int) *sortedfile.Reader {
	path := filepath.Join(b.TempDir(), "rows.file")
	w, err := sortedfile.Create(path, nil)
	require.NoError(b, err)
	var key []byte
	for n := remainder; n < rows; n += step {
		key = benchKey(key[:0], uint64(n))
		require.NoError(b, w.Add(string(key), benchValue(uint64(n))))
	}
	_, err = w.Finish()
	require.NoError(b, err)
	return open(b, path)
}

// benchBatches returns sorted batches of random keys, of which a part exists in a file of the even keys.
func benchBatches(rows, size, odd int) (batches [][]string) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		var keys []string
		for range size {
			keys = append(keys, string(benchKey(nil, uint64(random.IntN(rows/2)*2+odd))))
		}
		slices.Sort(keys)
		batches = append(batches, keys)
	}
	return batches
}

// perRow reports the time of the benchmark for each of the rows of an iteration.
func perRow(b *testing.B, rows int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(rows), "ns/row")
}

func BenchmarkGet(b *testing.B) {
	rows := benchRows(b)
	r := benchFile(b, rows, 2, 0)
	for _, size := range []int{1, 100, 1000, 10_000} {
		for odd, name := range []string{"known", "unknown"} {
			b.Run(fmt.Sprint(name, "/", size), func(b *testing.B) {
				batches, i, found := benchBatches(rows, size, odd), 0, 0
				b.ReportAllocs()
				for b.Loop() {
					require.NoError(b, r.Get(batches[i%len(batches)], func(int, string) error { found++; return nil }))
					i++
				}
				require.Equal(b, i*size*(1-odd), found)
				perRow(b, size)
			})
		}
	}
}

func BenchmarkIterate(b *testing.B) {
	rows := benchRows(b)
	r := benchFile(b, rows, 1, 0)
	b.ReportAllocs()
	for b.Loop() {
		it := r.Iterate("")
		n := 0
		for it.Next() {
			n++
		}
		require.NoError(b, it.Err())
		require.Equal(b, rows, n)
		it.Close()
	}
	perRow(b, rows)
}

func BenchmarkWrite(b *testing.B) {
	rows := benchRows(b)
	keys, size := make([]string, rows), int64(0)
	for n := range keys {
		keys[n] = string(benchKey(nil, uint64(n)))
	}
	b.Run("floor", func(b *testing.B) { // the same bytes in a file, as they are
		for b.Loop() {
			file, err := os.Create(filepath.Join(b.TempDir(), "floor"))
			require.NoError(b, err)
			w := bufio.NewWriterSize(file, 256<<10)
			for n, key := range keys {
				_, _ = w.WriteString(key)
				_, _ = w.Write(benchValue(uint64(n)))
			}
			require.NoError(b, w.Flush())
			require.NoError(b, file.Sync())
			require.NoError(b, file.Close())
		}
		perRow(b, rows)
	})
	b.Run("file", func(b *testing.B) {
		for b.Loop() {
			w, err := sortedfile.Create(filepath.Join(b.TempDir(), fmt.Sprint(b.N, rand.Int())), nil)
			require.NoError(b, err)
			for n, key := range keys {
				if err := w.Add(key, benchValue(uint64(n))); err != nil {
					b.Fatal(err)
				}
			}
			info, err := w.Finish()
			require.NoError(b, err)
			size = info.Bytes
		}
		perRow(b, rows)
		b.ReportMetric(float64(size)/float64(rows), "bytes/row")
	})
}

func BenchmarkMerge(b *testing.B) {
	rows := benchRows(b)
	for _, count := range []int{1, 3, 10} {
		var readers []*sortedfile.Reader
		for i := range count {
			readers = append(readers, benchFile(b, rows, count, i))
		}
		b.Run(fmt.Sprint(count, " sources"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var sources []sortedfile.Source
				for _, r := range readers {
					it := r.Iterate("")
					defer it.Close()
					sources = append(sources, it)
				}
				n := 0
				require.NoError(b, sortedfile.Merge(sources, func(string, []string) error { n++; return nil }))
				require.Equal(b, rows, n)
			}
			perRow(b, rows)
		})
	}
}
