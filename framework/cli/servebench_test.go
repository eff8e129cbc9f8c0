package cli

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sandboxProcess starts a Braze sandbox in a separate process and returns its URL.
func sandboxProcess(t testing.TB) string {
	file, err := binary()
	require.NoError(t, err)
	address := freePort(t)
	cmd := exec.Command(file, "sandbox", "braze", "--listen", address)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 200 {
		if answer, err := http.Get("http://" + address + "/__sandbox/state"); err == nil {
			_ = answer.Body.Close()
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return "http://" + address
}

// TestFigures measures this machine if LANDFALL_FIGURES=1: the rates of accepted and delivered events, in batches of 100 and one by
// one from 64 connections, and the lag at half of that rate.
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
		if c.of > 1 {
			half := float64(c.events) / all.Seconds() / 2
			t.Logf("at half of that: %s", measureLag(s, load, half))
		}
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
