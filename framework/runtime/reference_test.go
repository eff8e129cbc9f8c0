package runtime_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime/ballast"
)

// referenceVariable sets the rounds of TestReference.
const referenceVariable = "LANDFALL_REFERENCE"

// batchCost is what a number of batches took.
type batchCost struct {
	Elapsed time.Duration `json:"elapsed"`
	CPU     time.Duration `json:"cpu"`
}

// TestReference processes the batch of BenchmarkBatch1000 with Segment's own library and with this one, in turn and on one processor each, and
// prints the events per second and the CPU time of both. In both, requests are answered within the process, no batch creates its audience, and
// every event is delivered.
func TestReference(t *testing.T) {
	text := os.Getenv(referenceVariable)
	if text == "" {
		t.Skipf("%s is not set: it is the number of rounds", referenceVariable)
	}
	rounds, err := strconv.Atoi(text)
	require.True(t, err == nil && rounds > 0, "%s should be a whole number of 1 or more, but is %q", referenceVariable, text)
	require.DirExists(t, "testdata/reference/node_modules", "Segment's library is not installed: run npm ci --ignore-scripts in framework/runtime/testdata/reference")

	const batches = 200
	raw := batchOf(kilobyte)
	file := filepath.Join(t.TempDir(), "events.ndjson")
	require.NoError(t, os.WriteFile(file, append(bytes.Join(raw, []byte("\n")), '\n'), 0o600))
	defer goruntime.GOMAXPROCS(goruntime.GOMAXPROCS(1))
	ballast.Reserve(ballast.DefaultSize)

	perEvent := func(d time.Duration) time.Duration { return d / (batches * batchSize) }
	perSecond := func(d time.Duration) float64 { return batches * batchSize / d.Seconds() }
	var faster, cheaper []float64
	for range rounds {
		theirs, ours := referenceCost(t, file, batches), ownCost(t, raw, batches)
		faster = append(faster, theirs.Elapsed.Seconds()/ours.Elapsed.Seconds())
		cheaper = append(cheaper, theirs.CPU.Seconds()/ours.CPU.Seconds())
		t.Logf("Segment's library: %.0f events/s, %v of CPU time for an event; this one: %.0f events/s, %v", perSecond(theirs.Elapsed), perEvent(theirs.CPU), perSecond(ours.Elapsed), perEvent(ours.CPU))
	}
	slices.Sort(faster)
	slices.Sort(cheaper)
	t.Logf("medians of %d rounds: %.1f times as fast, for a CPU time of one part in %.1f", rounds, faster[rounds/2], cheaper[rounds/2])
}

// referenceCost returns what Segment's library takes for the batches.
func referenceCost(t *testing.T, file string, batches int) (cost batchCost) {
	program := exec.Command("node", "cost.js", file, strconv.Itoa(batches))
	program.Dir, program.Stderr = "testdata/reference", os.Stderr
	out, err := program.Output()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(out, &cost))
	return cost
}

// ownCost returns what this library takes for the batches.
func ownCost(t *testing.T, raw [][]byte, batches int) batchCost {
	events, wire := make([]event.Event, batchSize), &taken{}
	plan := newPlan(t, wire, &forgetful{destination.NewMemoryMembers()})
	for range batches / 2 {
		run(t, plan, raw, events)
	}
	begin, before := time.Now(), cpu(t)
	for range batches {
		run(t, plan, raw, events)
	}
	require.Positive(t, wire.bytes)
	return batchCost{Elapsed: time.Since(begin), CPU: cpu(t) - before}
}
