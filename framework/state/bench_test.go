package state_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/framework/state/statetest"
)

// members returns the number of members in the benchmarks, in 20 audiences. LANDFALL_MEMBERS changes it.
func members(b *testing.B) int {
	n, err := strconv.Atoi(os.Getenv("LANDFALL_MEMBERS"))
	if err != nil {
		n = 40_000
	}
	return n
}

const audiences = 20

func BenchmarkLedgerSQLite(b *testing.B) {
	location := b.TempDir()
	benchmarkLedger(b, open(b, location), func() int64 {
		var size int64
		_ = filepath.WalkDir(location, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				if info, err := d.Info(); err == nil {
					size += info.Size()
				}
			}
			return nil
		})
		return size
	})
}

func BenchmarkLedgerPostgreSQL(b *testing.B) {
	location := statetest.Postgres(b)
	benchmarkLedger(b, open(b, location), func() int64 { return statetest.DatabaseSize(b, location) })
}

// benchmarkLedger fills a ledger, then reads and updates random batches of 1,000 identities. Each figure is also given as a percentage of
// the floor: an update can hardly be faster than writing its identities to a file twice, with two fsyncs, and a member can hardly be
// smaller than its identity with one time and one byte.
func benchmarkLedger(b *testing.B, s *state.Store, size func() int64) {
	n, l, random := members(b), s.Ledger("main"), rand.New(rand.NewPCG(1, 2))
	start := time.Now()
	for at := 0; at < n; at += 1000 {
		batch := make([]destination.Change, 1000)
		for i := range batch {
			batch[i] = enter(userID(at/1000/audiences*1000+i), 1)
		}
		require.NoError(b, l.Record(b.Context(), audience(at/1000), batch))
	}
	mergeAll(b, l)
	filled := time.Since(start)
	b.Run("fill", func(b *testing.B) {
		b.ReportMetric(float64(n)/filled.Seconds(), "identities/s")
		reportSize(b, n, size())
		b.ReportMetric(0, "ns/op")
	})
	names := make([]string, 1000)
	pick := func() destination.Audience {
		for i := range names {
			names[i] = userID(random.IntN(n / audiences))
		}
		return audience(random.IntN(audiences))
	}
	b.Run("lookup", func(b *testing.B) {
		for b.Loop() {
			_, err := l.Lookup(b.Context(), pick().ID, names)
			require.NoError(b, err)
		}
		b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "identities/s")
	})
	b.Run("update", func(b *testing.B) { // as a batch does: look, doubt, write; all is merged in the end
		second, floor := 2, updateFloor(b)
		spent := map[string]time.Duration{}
		before, start := processTime(b), time.Now()
		did := func(part string) {
			now := processTime(b)
			spent[part] += now - before
			before = now
		}
		for b.Loop() {
			a, changes := pick(), make([]destination.Change, 1000)
			for i, name := range names {
				changes[i] = destination.Change{Identity: name, Member: random.IntN(2) == 0, At: at(second)}
			}
			second++
			did("choose")
			_, err := l.Lookup(b.Context(), a.ID, names)
			require.NoError(b, err)
			did("lookup")
			require.NoError(b, l.MarkUncertain(b.Context(), a, changes))
			did("mark")
			require.NoError(b, l.Record(b.Context(), a, changes))
			did("record")
		}
		mergeAll(b, l)
		did("merge")
		elapsed := time.Since(start).Seconds()
		b.ReportMetric(1000*float64(b.N)/elapsed, "identities/s")
		b.ReportMetric(100*floor.Seconds()*float64(b.N)/elapsed, "%floor")
		total := time.Duration(0)
		for part, d := range spent {
			if total += d; part != "choose" {
				b.ReportMetric(float64(d.Microseconds())/1000/float64(b.N), part+"-cpu-µs")
			}
		}
		b.ReportMetric(float64(total.Microseconds())/1000/float64(b.N), "cpu-µs/identity")
		reportSize(b, n, size())
	})
	require.NoError(b, s.Close())
	b.Run("closed", func(b *testing.B) {
		reportSize(b, n, size())
		b.ReportMetric(0, "ns/op")
	})
}

// BenchmarkLongestWrite reports how long the longest write takes while the writes of an audience are merged, in CPU time of the process,
// which other processes hardly change, compared with the median.
func BenchmarkLongestWrite(b *testing.B) {
	l := open(b, b.TempDir()).Ledger("main")
	var spent []time.Duration
	next := 0
	for b.Loop() {
		changes := make([]destination.Change, 500)
		for i := range changes {
			changes[i] = enter(userID(next), 1)
			next++
		}
		before := processTime(b)
		require.NoError(b, l.Record(b.Context(), destination.Audience{ID: fmt.Sprint("aud_", next%2)}, changes))
		spent = append(spent, processTime(b)-before)
	}
	slices.Sort(spent)
	b.ReportMetric(float64(spent[len(spent)/2].Microseconds())/1000, "median-cpu-ms")
	b.ReportMetric(float64(spent[len(spent)-1].Microseconds())/1000, "longest-cpu-ms")
}

// mergeAll merges the journals of all audiences.
func mergeAll(b *testing.B, l *state.Ledger) {
	stop := errors.New("stop")
	for i := range audiences {
		if err := l.Each(b.Context(), audience(i).ID, "", func(state.Membership) error { return stop }); !errors.Is(err, stop) {
			require.NoError(b, err)
		}
	}
}

// reportSize reports the size of a ledger with n members.
func reportSize(b *testing.B, n int, bytes int64) {
	each := float64(bytes) / float64(n)
	b.ReportMetric(each, "bytes/member")
	b.ReportMetric(100*float64(len(userID(0))+9)/each, "%size-floor")
}

// updateFloor returns how long it takes to write 1,000 identities to a file twice, with two fsyncs.
func updateFloor(b *testing.B) time.Duration {
	f, err := os.Create(filepath.Join(b.TempDir(), "floor"))
	require.NoError(b, err)
	defer f.Close()
	const rounds = 20
	data, start := make([]byte, 1000*(len(userID(0))+9)), time.Now()
	for range 2 * rounds {
		_, err := f.Write(data)
		require.NoError(b, err)
		require.NoError(b, f.Sync())
	}
	return time.Since(start) / rounds
}

// processTime returns the CPU time of this process, which includes SQLite but not PostgreSQL.
func processTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// userID returns an id that does not sort in creation order.
func userID(i int) string { return fmt.Sprintf("external_id:%016x", uint64(i)*0x9e3779b97f4a7c15) }

func audience(i int) destination.Audience {
	return destination.Audience{ID: fmt.Sprintf("aud_%02d", i%audiences), Name: fmt.Sprintf("audience %d", i%audiences)}
}
