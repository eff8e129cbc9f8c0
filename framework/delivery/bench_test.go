package delivery

import (
	"fmt"
	"strings"
	"testing"
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
