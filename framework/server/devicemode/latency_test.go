package devicemode_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// clientsUnderLoad is how many pages ask at the same time for each core.
const clientsUnderLoad = 16

// BenchmarkMapUnderLoad reports how long pages wait for the payloads of an event while many ask at once, and how long for the file of
// settings, which is what a request alone costs.
func BenchmarkMapUnderLoad(b *testing.B) {
	s := startProbe(b, "library: /a.js")
	transport := &http.Transport{MaxIdleConnsPerHost: 1000}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	b.Run("map", func(b *testing.B) {
		reportLatency(b, func() (*http.Response, error) {
			return client.Post(s.URL+"/v1/device/map", "text/plain", strings.NewReader(mapEvent))
		})
	})
	b.Run("settings", func(b *testing.B) {
		reportLatency(b, func() (*http.Response, error) { return client.Get(s.URL + "/v1/projects/wk/settings") })
	})
}

// reportLatency makes requests from many clients at once, and reports the percentiles of their times.
func reportLatency(b *testing.B, request func() (*http.Response, error)) {
	var mu sync.Mutex
	var all []time.Duration
	b.SetParallelism(clientsUnderLoad)
	b.RunParallel(func(pb *testing.PB) {
		var own []time.Duration
		for pb.Next() {
			start := time.Now()
			answer, err := request()
			if err != nil {
				b.Error(err)
				return
			}
			text, _ := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if own = append(own, time.Since(start)); answer.StatusCode != http.StatusOK {
				b.Errorf("%d %s", answer.StatusCode, text)
				return
			}
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, own...)
	})
	slices.Sort(all)
	for percent, unit := range map[int]string{50: "p50-µs", 99: "p99-µs"} {
		b.ReportMetric(float64(all[(len(all)-1)*percent/100].Microseconds()), unit)
	}
}
