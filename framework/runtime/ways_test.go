package runtime_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/files/stream"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/internal/testport"
)

// sandboxVariable is the environment variable with the address at which a second process of this test binary serves a Braze
// sandbox.
const sandboxVariable = "LANDFALL_BENCH_SANDBOX"

func TestSandboxProcess(t *testing.T) {
	address := os.Getenv(sandboxVariable)
	if address == "" {
		t.Skip("is the other process of BenchmarkHTTP")
	}
	t.Log(http.ListenAndServe(address, brazecohorts.Plugin().Sandbox.New(nil)))
}

// sandboxProcess returns the URL of a sandbox in a separate process.
func sandboxProcess(b *testing.B) *url.URL {
	address := testport.Free(b)
	cmd := exec.Command(os.Args[0], "-test.run", "^TestSandboxProcess$")
	cmd.Env = append(os.Environ(), sandboxVariable+"="+address)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	require.Eventually(b, func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, time.Minute, 10*time.Millisecond)
	return &url.URL{Scheme: "http", Host: address}
}

// remote returns a plan whose requests go over loopback HTTP to a sandbox in another process, where the audience exists already.
func remote(b *testing.B, raw [][]byte, events []event.Event) *runtime.Plan {
	transport := httpx.NewTransport(httpx.TransportConfig{})
	b.Cleanup(transport.CloseIdleConnections)
	plan := newPlan(b, httpx.Redirect(transport, sandboxProcess(b)), &forgetful{destination.NewMemoryMembers()})
	run(b, plan, raw, events)
	return plan
}

// BenchmarkHTTPBatch is BenchmarkBatch1000 over loopback HTTP to a sandbox in another process, one batch after the other, without
// preparing the next one meanwhile. x-in-process is its time divided by that without a network, measured in the same rounds.
func BenchmarkHTTPBatch(b *testing.B) {
	raw, events := batchOf(kilobyte), make([]event.Event, batchSize)
	within := newPlan(b, &taken{}, &forgetful{destination.NewMemoryMembers()})
	plan := remote(b, raw, events)
	var beside time.Duration
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		begin := time.Now()
		run(b, within, raw, events)
		beside += time.Since(begin)
		b.StartTimer()
		run(b, plan, raw, events)
	}
	b.ReportMetric(float64(batchSize*b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(b.Elapsed().Seconds()/beside.Seconds(), "x-in-process")
}

// BenchmarkHTTP does what `landfall run` does with a file of 100,000 events, over loopback HTTP to a sandbox in another process:
// the next batch is prepared while one is sent. x-in-process is its time divided by that of batches in memory without a network,
// measured in the same rounds.
func BenchmarkHTTP(b *testing.B) {
	benchmarkFile(b, func(raw [][]byte, events []event.Event) *runtime.Plan { return remote(b, raw, events) })
}

// BenchmarkRunFile is BenchmarkHTTP without a network: its transport reads each request and discards it.
func BenchmarkRunFile(b *testing.B) {
	benchmarkFile(b, func([][]byte, []event.Event) *runtime.Plan {
		return newPlan(b, &taken{}, &forgetful{destination.NewMemoryMembers()})
	})
}

func benchmarkFile(b *testing.B, planOf func(raw [][]byte, events []event.Event) *runtime.Plan) {
	raw, events := batchOf(kilobyte), make([]event.Event, batchSize)
	const batches = 100
	file := filepath.Join(b.TempDir(), "events.ndjson")
	lines := append(bytes.Join(raw, []byte("\n")), '\n')
	require.NoError(b, os.WriteFile(file, bytes.Repeat(lines, batches), 0o600))
	within := newPlan(b, &taken{}, &forgetful{destination.NewMemoryMembers()})
	plan := planOf(raw, events)
	var beside time.Duration
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		begin := time.Now()
		for range batches {
			run(b, within, raw, events)
		}
		beside += time.Since(begin)
		b.StartTimer()
		var summary stream.Summary
		each := func(e stream.Event) error { summary.Add(e); return nil }
		input, err := os.Open(file)
		require.NoError(b, err)
		require.NoError(b, stream.New(stream.Config{Plans: []*runtime.Plan{plan}, OnEvent: each}).Run(context.Background(), input))
		require.NoError(b, input.Close())
		require.Equal(b, batches*batchSize, summary.Delivered)
	}
	b.ReportMetric(float64(batches*batchSize*b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(b.Elapsed().Seconds()/beside.Seconds(), "x-in-process")
}
