package state_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/framework/state/statetest"
)

// members returns the number of members in the benchmarks, in 20 cohorts. LANDFALL_MEMBERS changes it.
func members(b *testing.B) int {
	n, err := strconv.Atoi(os.Getenv("LANDFALL_MEMBERS"))
	if err != nil {
		n = 40_000
	}
	return n
}

const cohorts = 20

func BenchmarkLedgerSQLite(b *testing.B) {
	location := b.TempDir()
	benchmarkLedger(b, open(b, location), func() int64 {
		var size int64
		files, _ := filepath.Glob(filepath.Join(location, "*"))
		for _, file := range files {
			if info, err := os.Stat(file); err == nil {
				size += info.Size()
			}
		}
		return size
	})
}

func BenchmarkLedgerPostgreSQL(b *testing.B) {
	location := statetest.Postgres(b)
	benchmarkLedger(b, open(b, location), func() int64 { return statetest.DatabaseSize(b, location) })
}

// benchmarkLedger fills a ledger, then reads and updates random batches of 1,000 identities.
func benchmarkLedger(b *testing.B, s *state.Store, size func() int64) {
	n, l, random := members(b), s.Ledger("main"), rand.New(rand.NewPCG(1, 2))
	start := time.Now()
	for at := 0; at < n; at += 1000 {
		batch := make([]destination.Change, 1000)
		for i := range batch {
			batch[i] = enter(userID(at/1000/cohorts*1000+i), 1)
		}
		require.NoError(b, l.Record(b.Context(), cohort(at/1000), batch))
	}
	filled := time.Since(start)
	b.Run("fill", func(b *testing.B) {
		b.ReportMetric(float64(n)/filled.Seconds(), "identities/s")
		b.ReportMetric(float64(size())/float64(n), "bytes/member")
		b.ReportMetric(0, "ns/op")
	})
	names := make([]string, 1000)
	pick := func() destination.Audience {
		for i := range names {
			names[i] = userID(random.IntN(n / cohorts))
		}
		return cohort(random.IntN(cohorts))
	}
	b.Run("lookup", func(b *testing.B) {
		for b.Loop() {
			_, err := l.Lookup(b.Context(), pick().ID, names)
			require.NoError(b, err)
		}
		b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "identities/s")
	})
	b.Run("update", func(b *testing.B) { // as a batch does: look, doubt, write
		second, before := 2, processTime(b)
		for b.Loop() {
			a, changes := pick(), make([]destination.Change, 1000)
			for i, name := range names {
				changes[i] = destination.Change{Identity: name, Member: random.IntN(2) == 0, At: at(second)}
			}
			second++
			_, err := l.Lookup(b.Context(), a.ID, names)
			require.NoError(b, err)
			require.NoError(b, l.MarkUncertain(b.Context(), a, changes))
			require.NoError(b, l.Record(b.Context(), a, changes))
		}
		b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "identities/s")
		b.ReportMetric(float64((processTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-µs/identity")
		b.ReportMetric(float64(size())/float64(n), "bytes/member")
	})
}

// processTime returns the CPU time of this process, which includes SQLite but not PostgreSQL.
func processTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// userID returns an id that does not sort in creation order.
func userID(i int) string { return fmt.Sprintf("external_id:%016x", uint64(i)*0x9e3779b97f4a7c15) }

func cohort(i int) destination.Audience {
	return destination.Audience{ID: fmt.Sprintf("aud_%02d", i%cohorts), Name: fmt.Sprintf("audience %d", i%cohorts)}
}
