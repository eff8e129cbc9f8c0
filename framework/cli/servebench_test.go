package cli

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/testport"
)

// sandboxProcess starts a Braze sandbox in a separate process and returns its URL.
func sandboxProcess(t testing.TB) string {
	file, err := binary()
	require.NoError(t, err)
	address := testport.Free(t)
	cmd := exec.Command(file, "sandbox", "braze", "--listen", address)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	require.Eventually(t, func() bool {
		answer, err := http.Get("http://" + address + "/__sandbox/state")
		if err == nil {
			_ = answer.Body.Close()
		}
		return err == nil
	}, time.Minute, 20*time.Millisecond, "the sandbox does not answer")
	return "http://" + address
}

// TestFigures measures this machine if LANDFALL_FIGURES=1: the rates of accepted and delivered events, in batches of 100 and one by
// one from 64 connections.
func TestFigures(t *testing.T) {
	if os.Getenv("LANDFALL_FIGURES") == "" {
		t.Skip("set LANDFALL_FIGURES=1")
	}
	for _, c := range []struct {
		name                string
		events, of, senders int
	}{{"batches of 100", 400_000, 100, 16}, {"one by one", 60_000, 1, 64}} {
		s := newServed(t, serveConfig, "--sandbox-url", sandboxProcess(t))
		s.start()
		load := newLoad(100_000, 6)
		bodies := make([][]byte, c.events/c.of)
		for i := range bodies {
			bodies[i] = load.batch(c.of, 0, 1)
		}
		began := time.Now()
		send(s, bodies, c.senders, 0)
		accepted := time.Since(began)
		counts := s.waitSettled(int64(c.events))
		all := time.Since(began)
		t.Logf("%s: %.0f accepted/s, %.0f delivered/s %v", c.name, float64(c.events)/accepted.Seconds(), float64(c.events)/all.Seconds(), counts)
		s.kill(syscall.SIGTERM)
	}
}

// send posts bodies from several senders, at a rate in bodies per second, or as fast as possible if rate is 0.
func send(s *served, bodies [][]byte, senders int, rate float64) {
	var next atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range senders {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(bodies) {
					return
				}
				if rate > 0 {
					time.Sleep(time.Until(began.Add(time.Duration(float64(i) / rate * float64(time.Second)))))
				}
				for !s.tryPost(s.url, bodies[i]) {
				}
			}
		})
	}
	all.Wait()
}

// TestLag measures the lag at half of the rate that a server reaches, if LANDFALL_LAG=1, and for how long the oldest event of each batch
// waited where. LANDFALL_LAG_EVENTS is how many events are delivered before, 400,000 by default. LANDFALL_LAG_PROGRAM names another
// landfall to measure first, with the same events and at the same rate, for a comparison.
func TestLag(t *testing.T) {
	if os.Getenv("LANDFALL_LAG") == "" {
		t.Skip("set LANDFALL_LAG=1")
	}
	events, err := strconv.Atoi(cmp.Or(os.Getenv("LANDFALL_LAG_EVENTS"), "400000"))
	require.NoError(t, err)
	rate := 0.0
	for _, program := range slices.Compact([]string{os.Getenv("LANDFALL_LAG_PROGRAM"), ""}) {
		s := newServed(t, serveConfig, "--sandbox-url", sandboxProcess(t))
		s.program = program
		s.start()
		load := newLoad(100_000, 6)
		bodies := make([][]byte, events/100)
		for i := range bodies {
			bodies[i] = load.batch(100, 0, 1)
		}
		began := time.Now()
		send(s, bodies, 16, 0)
		s.waitSettled(int64(events))
		took := time.Since(began)
		if rate == 0 {
			rate = float64(events) / took.Seconds() / 2
		}
		before, cpu := s.waits(), s.usage().cpu
		lag := measureLag(s, load, rate)
		t.Logf("%s: full load %.0f events/s; %s", cmp.Or(program, "this program"), float64(events)/took.Seconds(), lag)
		t.Logf("CPU time of the server %v; mean waits of the oldest event of a batch: %s", s.usage().cpu-cpu, meanWaits(before, s.waits()))
		s.kill(syscall.SIGTERM)
	}
}

// stages are the values of the label stage of landfall_event_wait_seconds.
var stages = []string{"read", "send", "verdict"}

// waits returns the sums and counts of landfall_event_wait_seconds, by stage.
func (s *served) waits() map[string][2]float64 {
	_, text := s.ask("/metrics")
	waits := map[string][2]float64{}
	for line := range strings.Lines(text) {
		for _, stage := range stages {
			series := `{instance="braze-main",stage="` + stage + `"} `
			if name, value, ok := strings.Cut(strings.TrimSpace(line), series); ok {
				n, err := strconv.ParseFloat(value, 64)
				require.NoError(s.t, err)
				w := waits[stage]
				w[map[bool]int{true: 0, false: 1}[strings.HasSuffix(name, "_sum")]] = n
				waits[stage] = w
			}
		}
	}
	return waits
}

// meanWaits describes the mean waits between two results of waits.
func meanWaits(before, after map[string][2]float64) string {
	text := ""
	for _, stage := range stages {
		n := after[stage][1] - before[stage][1]
		text += fmt.Sprintf("%s %.0f ms, ", stage, 1000*(after[stage][0]-before[stage][0])/max(n, 1))
	}
	return text + fmt.Sprintf("%.0f batches", after["send"][1]-before["send"][1])
}

// measureLag sends for ten seconds at a rate and samples how old the oldest unfinished event is.
func measureLag(s *served, load *load, eventsPerSecond float64) string {
	bodies := make([][]byte, int(eventsPerSecond*10/100))
	for i := range bodies {
		bodies[i] = load.batch(100, 0, 1)
	}
	done := make(chan struct{})
	go func() { defer close(done); send(s, bodies, 8, eventsPerSecond/100) }()
	var seen []time.Duration
	for open := true; open; {
		select {
		case <-done:
			open = false
		case <-time.After(50 * time.Millisecond):
			if list, ok := s.status(); ok {
				seen = append(seen, list[0].Lag)
			}
		}
	}
	slices.Sort(seen)
	return fmt.Sprintf("%.0f events/s, lag p50 %v p99 %v", eventsPerSecond, seen[len(seen)/2], seen[len(seen)*99/100])
}
