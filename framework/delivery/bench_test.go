package delivery

import (
	"context"
	"fmt"
	"math/rand/v2"
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

// BenchmarkLogPages measures requests of 100 events from 16 callers until the events are in the log and read again: the CPU time of an event, and
// its bytes on disk. An event has 750 bytes, of which some are random digits. It has the others in common with all events.
func BenchmarkLogPages(b *testing.B) {
	for _, numbers := range []int{1, 12} {
		b.Run(fmt.Sprintf("random=%d", 16*numbers), func(b *testing.B) {
			q, err := Open(b.Context(), Config{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer q.Close()
			var read atomic.Int64
			ctx, cancel := context.WithCancel(b.Context())
			var readers, callers sync.WaitGroup
			for n := range q.partitions {
				cursor := q.feeds.newCursor(n, []string{fmt.Sprint("ev.*.", n)}, 1)
				readers.Go(func() {
					defer cursor.close()
					for page, err := cursor.nextPage(ctx); err == nil; page, err = cursor.nextPage(ctx) {
						read.Add(int64(countLines(page.Data)))
					}
				})
			}
			requests, random := make([][]NewEvent, 500), rand.New(rand.NewPCG(1, 2))
			for i := range 100 * len(requests) {
				raw := fmt.Appendf(nil, `{"type":"track","event":"Order Completed","userId":"user-%d","properties":{"a":"`, i%10_000)
				for range numbers {
					raw = fmt.Appendf(raw, "%016x", random.Uint64())
				}
				raw = append(raw, '"')
				for n := 0; len(raw) < 748; n++ {
					raw = fmt.Appendf(raw, `,"p%d":"value %d"`, n, 7*n)
				}
				requests[i/100] = append(requests[i/100], NewEvent{"web", fmt.Sprint("u:user-", i%10_000), append(raw, "}}"...)})
			}
			var before, after syscall.Rusage
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
			for b.Loop() {
				var next atomic.Int64
				for range 16 {
					callers.Go(func() {
						for i := next.Add(1) - 1; i < int64(len(requests)); i = next.Add(1) - 1 {
							if err := q.Append(ctx, requests[i]); err != nil {
								b.Error(err)
							}
						}
					})
				}
				callers.Wait()
			}
			total := int64(b.N * 100 * len(requests))
			for read.Load() < total {
				time.Sleep(time.Millisecond)
			}
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
			spent := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
			info, err := q.store.Info(ctx, eventsStream)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(spent)/1000/float64(total), "µs-cpu/event")
			b.ReportMetric(float64(info.Bytes)/float64(total), "bytes/event")
			cancel()
			readers.Wait()
		})
	}
}
