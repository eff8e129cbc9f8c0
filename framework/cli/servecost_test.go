package cli

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/ballast"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// costContext makes the events of a load 750 bytes long.
const costContext = `,"library":{"name":"analytics-node","version":"2.1.3"},"ip":"203.0.113.9","locale":"en-GB","timezone":"Europe/Lisbon","traits":{"email":"ana@example.com","first_name":"Ana","last_name":"Lima","plan":"gold","city":"Porto"},"device":{"id":"6f1c2a88-0000-4000-8000-1f2e3d4c5b6a","type":"ios","model":"iPhone 15"},"page":{"url":"https://shop.example.com/sale?ref=mail","title":"Sale of the week"},"campaign":{"name":"spring","source":"newsletter","medium":"email","content":"top"}`

// TestCost measures the CPU time of a server for each delivered event, with the ledger on disk and with the sandbox and the load in
// other processes, and the CPU time of the same events in process, where requests are discarded and there is no ledger.
// LANDFALL_COST=5 measures 150,000 events in each of five rounds. LANDFALL_COST_PROFILE names a file for a CPU profile of the last
// round's server. LANDFALL_COST_PROGRAM names another landfall, which each round measures before with the same events.
func TestCost(t *testing.T) {
	n, rounds := 6_000, 1
	if text := os.Getenv("LANDFALL_COST"); text != "" {
		var err error
		rounds, err = strconv.Atoi(text)
		require.NoError(t, err)
		n = 150_000
	}
	ballast.Reserve(ballast.DefaultSize)
	var ratios []float64
	for range rounds {
		load := newLoad(100_000, 6)
		load.context = costContext
		bodies := make([][]byte, n/100)
		for i := range bodies {
			bodies[i] = load.batch(100, 0, 1)
		}
		costInProcess(t, bodies[:len(bodies)/2]) // warms up
		within := costInProcess(t, bodies)
		if other := os.Getenv("LANDFALL_COST_PROGRAM"); other != "" {
			t.Logf("%s: CPU time of an event %v", other, costServed(t, load, bodies, other).Round(10*time.Nanosecond))
		}
		served := costServed(t, load, bodies, "")
		ratios = append(ratios, float64(served)/float64(within))
		t.Logf("CPU time of an event: served %v, in process %v, ratio %.1f", served.Round(10*time.Nanosecond), within, ratios[len(ratios)-1])
	}
	slices.Sort(ratios)
	t.Logf("median ratio of %d rounds with %d events: %.1f", rounds, n, ratios[len(ratios)/2])
	assert.Greater(t, ratios[0], 1.0, "a served event is also processed")
}

// costServed returns the CPU time of a new server for each event of the bodies, until all have a verdict. The server is a program, this one
// if it is "".
func costServed(t *testing.T, load *load, bodies [][]byte, program string) time.Duration {
	sandbox := sandboxProcess(t)
	s := newServed(t, serveConfig, "--sandbox-url", sandbox)
	s.program = program
	if program == "" && os.Getenv("LANDFALL_COST_PROFILE") != "" {
		s.program = profiledBinary(t)
	}
	s.start()
	defer s.kill(syscall.SIGTERM)
	before := s.usage().cpu
	send(s, bodies, 16, 0)
	counts := s.waitSettled(int64(100 * len(bodies)))
	used := s.usage()
	spent := used.cpu - before
	t.Logf("heap in use at the end: %.0f MB", used.megabytes)
	require.Zero(t, counts["dead"]+counts["parked"]+counts["unmatched"], "%v", counts)
	load.check(t, sandbox)
	return spent / time.Duration(100*len(bodies))
}

// profiledBinary builds the command that writes a CPU profile.
func profiledBinary(t *testing.T) string {
	file := filepath.Join(t.TempDir(), "profiled")
	out, err := exec.Command("go", "build", "-o", file, "./testdata/profiled").CombinedOutput()
	require.NoError(t, err, string(out))
	return file
}

// costInProcess returns the CPU time of this process for each event of the bodies, in batches of 1,000.
func costInProcess(t *testing.T, bodies [][]byte) time.Duration {
	const batchSize = 1000
	var raw [][]byte
	for _, body := range bodies {
		var request struct{ Batch []json.RawMessage }
		require.NoError(t, json.Unmarshal(body, &request))
		for _, e := range request.Batch {
			raw = append(raw, e)
		}
	}
	plan, events := costPlan(t), make([]event.Event, batchSize)
	goruntime.GC()
	delivered, before := 0, processTime(t)
	for batch := range slices.Chunk(raw, batchSize) {
		for i := range batch {
			var err error
			events[i], err = event.Parse(batch[i])
			require.NoError(t, err)
		}
		for _, verdicts := range plan.RunBatch(t.Context(), events[:len(batch)]) {
			if verdicts[0].Outcome == runtime.Delivered {
				delivered++
			}
		}
	}
	spent := processTime(t) - before
	require.Greater(t, delivered, len(raw)*9/10, "only an older event of a user in the same batch is skipped")
	return spent / time.Duration(len(raw))
}

// costPlan returns the plan of an instance whose requests are discarded.
func costPlan(t *testing.T) *runtime.Plan {
	plugin := brazecohorts.Plugin()
	definition, err := plugin.Load()
	require.NoError(t, err)
	in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{"endpoint":"https://rest.iad-01.braze.com","client_secret":"s","partner_api_key":"p"},
		"subscriptions":[{"name":"all","action":"syncAudiences","mapping":{"personas_audience_key":{"@path":"$.context.personas.computation_key"}}}]}`))
	plan, err := runtime.New(plugin, definition, in, runtime.Host{Transport: discarded{}, Members: emptyMembers{}})
	require.NoError(t, err)
	return plan
}

// processTime returns the CPU time of this process.
func processTime(t *testing.T) time.Duration {
	var used syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// discarded answers every request as Braze does, and discards it.
type discarded struct{}

func (discarded) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: 201, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"message":"success"}`)), Request: r}, nil
}

// emptyMembers is a ledger without members that records nothing.
type emptyMembers struct{ destination.Members }

func (emptyMembers) Lookup(_ context.Context, _ string, identities []string) ([]destination.Record, error) {
	return make([]destination.Record, len(identities)), nil
}

func (emptyMembers) MarkUncertain(context.Context, destination.Audience, []destination.Change) error {
	return nil
}

func (emptyMembers) Record(context.Context, destination.Audience, []destination.Change) error {
	return nil
}

func (emptyMembers) Annotate(context.Context, destination.Audience, []destination.Note) error {
	return nil
}
