package delivery

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("of=%d", n), func(b *testing.B) {
			q, err := Open(b.Context(), Config{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer q.Close()
			raw := []byte(`{"type":"track","event":"x","properties":{"a":"` + strings.Repeat("x", 700) + `"}}`)
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				i := 0
				for pb.Next() {
					events := make([]NewEvent, n)
					for j := range events {
						i++
						events[j] = NewEvent{"s", fmt.Sprint(i), raw}
					}
					if err := q.Append(b.Context(), events); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkSingleAppends measures durable appends of single events from 64 callers: events per second, and the CPU time of an event.
func BenchmarkSingleAppends(b *testing.B) {
	q, err := Open(b.Context(), Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	raw := []byte(`{"type":"track","event":"x","properties":{"a":"` + strings.Repeat("x", 700) + `"}}`)
	var before, after syscall.Rusage
	var callers sync.WaitGroup
	var next atomic.Int64
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	b.ResetTimer()
	for range 64 {
		callers.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := q.Append(b.Context(), []NewEvent{{"s", fmt.Sprint(i), raw}}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	callers.Wait()
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	spent := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(spent.Microseconds())/float64(b.N), "µs-cpu/event")
}
