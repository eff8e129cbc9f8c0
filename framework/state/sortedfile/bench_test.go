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
	"syscall"
	"testing"
	"time"

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

// perRow reports the time and the CPU time of a benchmark for each row, where an iteration has a number of rows. It is called before the loop, and the
// function that it returns after it.
func perRow(b *testing.B, rows int) (report func()) {
	before := processTime(b)
	return func() {
		total := float64(b.N) * float64(rows)
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/total, "ns/row")
		b.ReportMetric(float64((processTime(b)-before).Nanoseconds())/total, "cpu-ns/row")
		b.ReportMetric(0, "ns/op")
	}
}

// processTime returns the CPU time of this process.
func processTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func BenchmarkGet(b *testing.B) {
	rows := benchRows(b)
	r := benchFile(b, rows, 2, 0)
	for _, size := range []int{1, 100, 1000, 10_000} {
		for odd, name := range []string{"known", "unknown"} {
			b.Run(fmt.Sprint(name, "/", size), func(b *testing.B) {
				batches, i, found := benchBatches(rows, size, odd), 0, 0
				b.ReportAllocs()
				report := perRow(b, size)
				for b.Loop() {
					require.NoError(b, r.Get(batches[i%len(batches)], func(int, string) error { found++; return nil }))
					i++
				}
				report()
				require.Equal(b, i*size*(1-odd), found)
			})
		}
	}
}

func BenchmarkIterate(b *testing.B) {
	rows := benchRows(b)
	r := benchFile(b, rows, 1, 0)
	b.ReportAllocs()
	report := perRow(b, rows)
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
	report()
}

func BenchmarkWrite(b *testing.B) {
	rows := benchRows(b)
	keys, size := make([]string, rows), int64(0)
	for n := range keys {
		keys[n] = string(benchKey(nil, uint64(n)))
	}
	b.Run("floor", func(b *testing.B) { // the same bytes in a file, as they are
		report := perRow(b, rows)
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
		report()
	})
	b.Run("file", func(b *testing.B) {
		report := perRow(b, rows)
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
		report()
		b.ReportMetric(float64(size)/float64(rows), "bytes/row")
	})
}

func BenchmarkMerge(b *testing.B) {
	rows := benchRows(b)
	for count, name := range map[int]string{1: "one", 3: "three", 10: "ten"} {
		var readers []*sortedfile.Reader
		for i := range count {
			readers = append(readers, benchFile(b, rows, count, i))
		}
		b.Run(name, func(b *testing.B) { benchMerge(b, readers, rows, rows) })
	}
	large, small := benchFile(b, rows, 1, 0), benchFile(b, rows, 10, 0)
	b.Run("a tenth of the keys twice", func(b *testing.B) { benchMerge(b, []*sortedfile.Reader{small, large}, rows+(rows+9)/10, rows) })
	b.Run("all keys three times", func(b *testing.B) { benchMerge(b, []*sortedfile.Reader{large, large, large}, 3*rows, rows) })
}

// benchMerge merges files that have a number of rows together, and a number of keys.
func benchMerge(b *testing.B, readers []*sortedfile.Reader, rows, keys int) {
	b.ReportAllocs()
	report := perRow(b, rows)
	for b.Loop() {
		var sources []sortedfile.Source
		for _, r := range readers {
			sources = append(sources, r.Iterate(""))
		}
		n := 0
		require.NoError(b, sortedfile.Merge(sources, func(string, []string) error { n++; return nil }))
		require.Equal(b, keys, n)
		for _, source := range sources {
			source.(*sortedfile.Iterator).Close()
		}
	}
	report()
}
