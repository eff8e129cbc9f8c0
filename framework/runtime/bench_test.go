package runtime_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	goruntime "runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/stream"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// taken answers every request as Braze does, and discards it.
type taken struct{ bytes int }

func (t *taken) RoundTrip(r *http.Request) (*http.Response, error) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return nil, err
	}
	t.bytes += int(n)
	return &http.Response{StatusCode: 201, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"message":"success"}`)), Request: r}, nil
}

// kilobyte returns an Engage event of about 1 KB.
func kilobyte(i int) []byte {
	return fmt.Appendf(nil, `{"type":"track","event":"Audience Entered","userId":"user-%06d","anonymousId":"5e1d8f2a-0000-4000-8000-%012d","messageId":"personas_%020d","timestamp":"2026-03-04T05:06:07.008Z","originalTimestamp":"2026-03-04T05:06:07.008Z","sentAt":"2026-03-04T05:06:07.500Z","receivedAt":"2026-03-04T05:06:08.000Z","channel":"server","version":2,"context":{"ip":"203.0.113.9","locale":"en-GB","timezone":"Europe/Lisbon","library":{"name":"unknown","version":"unknown"},"personas":{"computation_class":"audience","computation_id":"aud_2fKq8VipGold","computation_key":"vip_gold","namespace":"spa_7hPq2Shop","space_id":"spa_7hPq2Shop"},"traits":{"email":"user-%06d@example.com","first_name":"Ana","plan":"gold"},"device":{"id":"device-%06d","type":"ios","adTrackingEnabled":false},"page":{"url":"https://shop.example.com/sale?ref=mail","title":"Sale"}},"integrations":{"All":false,"Braze Cohorts":true},"properties":{"audience_key":"vip_gold","vip_gold":true,"lifetime_value":425.5,"orders":3,"tags":["a","b","c"]}}`, i, i, i, i, i)
}

func newPlan(b testing.TB, transport http.RoundTripper, members destination.Members) *runtime.Plan {
	return planOf(b, transport, members, `{"name":"all","action":"syncAudiences","mapping":{"personas_audience_key":{"@path":"$.properties.audience_key"}}}`)
}

// planOf returns a plan of an instance with these subscriptions.
func planOf(b testing.TB, transport http.RoundTripper, members destination.Members, subscriptions string) *runtime.Plan {
	plugin := brazecohorts.Plugin()
	definition, err := plugin.Load()
	require.NoError(b, err)
	in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{"endpoint":"https://rest.iad-01.braze.com","client_secret":"secret-1","partner_api_key":"partner-1"},
		"subscriptions":[` + subscriptions + `]}`))
	p, err := runtime.New(plugin, definition, in, runtime.Host{Transport: transport, Members: members})
	require.NoError(b, err)
	return p
}

const batchSize = 1000

// batchOf returns a batch of events, as bytes.
func batchOf(make func(i int) []byte) [][]byte {
	raw := [][]byte{}
	for i := range batchSize {
		raw = append(raw, make(i))
	}
	return raw
}

// floor measures the time that gjson.ValidBytes takes for a batch.
func floor(b testing.TB, raw [][]byte) time.Duration {
	begin := time.Now()
	for i := range raw {
		if !gjson.ValidBytes(raw[i]) {
			b.Fatal("not valid")
		}
	}
	return time.Since(begin)
}

// run processes a batch from bytes to verdicts. Every event must be delivered by one subscription.
func run(b testing.TB, plan *runtime.Plan, raw [][]byte, events []event.Event) {
	for i := range raw {
		e, err := event.Parse(raw[i])
		if err != nil {
			b.Fatal(err)
		}
		events[i] = e
	}
	for _, verdicts := range plan.RunBatch(context.Background(), events) {
		delivered := 0
		for i := range verdicts {
			if verdicts[i].Outcome == runtime.Delivered {
				delivered++
			}
		}
		if delivered != 1 {
			b.Fatal(verdicts[0].Reason)
		}
	}
}

// cpu returns the CPU time of this process, on all cores and including garbage collection. On a busy machine it is more accurate
// than the elapsed time.
func cpu(b testing.TB) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkBatch1000 processes batches of 1,000 events without a network, from bytes to verdicts and request bytes. x-floor is the
// elapsed time divided by that of gjson.ValidBytes over the same events, measured in the same rounds; x-floor-cpu is the same ratio
// of CPU time.
func BenchmarkBatch1000(b *testing.B) {
	raw, events := batchOf(kilobyte), make([]event.Event, batchSize)
	wire := &taken{}
	plan := newPlan(b, wire, &forgetful{destination.NewMemoryMembers()})
	var least, leastCPU, worked time.Duration
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		b.StopTimer()
		before := cpu(b)
		least += floor(b, raw)
		between := cpu(b)
		b.StartTimer()
		run(b, plan, raw, events)
		leastCPU += between - before
		worked += cpu(b) - between
	}
	b.StopTimer()
	require.Positive(b, wire.bytes)
	b.ReportMetric(worked.Seconds()/leastCPU.Seconds(), "x-floor-cpu")
	b.ReportMetric(float64(batchSize*b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(b.Elapsed().Seconds()/least.Seconds(), "x-floor")
}

// BenchmarkBatch1000Parallel is BenchmarkBatch1000 on the number of cores of -cpu, each with its own plan.
func BenchmarkBatch1000Parallel(b *testing.B) {
	raw := batchOf(kilobyte)
	plans := make(chan *runtime.Plan, goruntime.GOMAXPROCS(0))
	for range cap(plans) {
		plans <- newPlan(b, &taken{}, &forgetful{destination.NewMemoryMembers()})
	}
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		events, plan := make([]event.Event, batchSize), <-plans
		for pb.Next() {
			run(b, plan, raw, events)
		}
	})
	b.ReportMetric(float64(batchSize*b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkParse measures event.Parse alone, relative to the same floor.
func BenchmarkParse(b *testing.B) {
	raw := batchOf(kilobyte)
	var least time.Duration
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		least += floor(b, raw)
		b.StartTimer()
		for i := range raw {
			if _, err := event.Parse(raw[i]); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/least.Seconds(), "x-floor")
}

// BenchmarkSubscriptions1 sends the events through one subscription for all audiences, for comparison with
// BenchmarkSubscriptions50.
func BenchmarkSubscriptions1(b *testing.B) { benchmarkSubscriptions(b, 1) }

// BenchmarkSubscriptions50 sends the events through 50 subscriptions, one for each audience, so that each event matches one.
func BenchmarkSubscriptions50(b *testing.B) { benchmarkSubscriptions(b, 50) }

func benchmarkSubscriptions(b *testing.B, n int) {
	audience := func(i int) string { return fmt.Sprintf("vip_%04d", i%50) }
	var lines []byte
	for i := range 10 * batchSize {
		lines = append(append(lines, bytes.ReplaceAll(kilobyte(i), []byte("vip_gold"), []byte(audience(i)))...), '\n')
	}
	var subscriptions []string
	for i := range n {
		query := `event = \"Audience Entered\"`
		if n > 1 {
			query += fmt.Sprintf(` and properties.audience_key = \"%s\"`, audience(i))
		}
		subscriptions = append(subscriptions, fmt.Sprintf(
			`{"name":"s%d","action":"syncAudiences","subscribe":"%s","mapping":{"personas_audience_key":{"@path":"$.properties.audience_key"},"batch_keys":[]}}`, i, query))
	}
	plan := planOf(b, &taken{}, &forgetful{destination.NewMemoryMembers()}, strings.Join(subscriptions, ","))
	b.ReportAllocs()
	begin := cpu(b)
	for b.Loop() {
		var summary stream.Summary
		each := func(e stream.Event) error { summary.Add(e); return nil }
		require.NoError(b, stream.New(stream.Config{Plans: []*runtime.Plan{plan}, OnEvent: each}).Run(context.Background(), bytes.NewReader(lines)))
		require.Equal(b, 10*batchSize, summary.Delivered)
	}
	b.ReportMetric(float64((cpu(b)-begin).Nanoseconds())/float64(10*batchSize*b.N), "cpu-ns/event")
}

// TestAllocations limits the allocations of an event.
func TestAllocations(t *testing.T) {
	raw, events := batchOf(kilobyte), make([]event.Event, batchSize)
	plan := newPlan(t, &taken{}, &forgetful{destination.NewMemoryMembers()})
	assert.LessOrEqual(t, testing.AllocsPerRun(5, func() { run(t, plan, raw, events) })/batchSize, float64(mostAllocations))
}

// TestChooserMissesNothing compares the index of subscriptions with matching each of them.
func TestChooserMissesNothing(t *testing.T) {
	queries := []string{
		`event = "A"`, `event = "B"`, `event in ["A", "C"]`, `type = "track"`, `event = "A" and properties.k = "1"`, `event = "A" and properties.k = "2"`,
		`properties.k = "1" or properties.k = "3"`, `event != "A"`, `event = "A" or event = "A"`, `!(event = "B")`, `properties.k = ""`, `contains(event, "A")`,
	}
	var subscriptions []string
	for i, q := range queries {
		text := event.NewString(q).JSON()
		subscriptions = append(subscriptions, fmt.Sprintf(`{"name":"s%d","action":"syncAudiences","subscribe":%s,"mapping":{"personas_audience_key":"k"}}`, i, text))
	}
	plans := []*runtime.Plan{planOf(t, &taken{}, destination.NewMemoryMembers(), strings.Join(subscriptions, ","))}
	for part := range slices.Chunk(subscriptions, 3) { // too few for an index
		plans = append(plans, planOf(t, &taken{}, destination.NewMemoryMembers(), strings.Join(part, ",")))
	}
	for _, plan := range plans {
		checkCandidates(t, plan)
	}
}

// checkCandidates compares the candidates and verdicts of a plan with the queries of its subscriptions.
func checkCandidates(t *testing.T, plan *runtime.Plan) {
	for _, name := range []string{`"A"`, `"B"`, `"C"`, `""`, `null`, `1`, `["A"]`} {
		for _, k := range []string{`{"k":"1"}`, `{"k":"2"}`, `{"k":"3"}`, `{"k":""}`, `{}`, `""`, `null`} {
			e, err := event.Parse(fmt.Appendf(nil, `{"event":%s,"type":"track","properties":%s}`, name, k))
			require.NoError(t, err)
			var chosen, matching []string
			for _, s := range plan.Candidates(e, nil) {
				if s.Query().Match(e.Value()) {
					chosen = append(chosen, s.Name())
				}
			}
			verdicts := plan.Run(context.Background(), e)
			for i, s := range plan.Subscriptions() {
				matches := s.Query().Match(e.Value())
				if matches {
					matching = append(matching, s.Name())
				}
				assert.Equal(t, matches, verdicts[i].Cause != fault.CauseNotSubscribed, "%s in %s", s.Name(), e.Raw())
				assert.Equal(t, s.Name(), verdicts[i].Subscription)
			}
			assert.Equal(t, matching, chosen, e.Raw())
		}
	}
}

// forgetful is a ledger without members, so that every batch is sent.
type forgetful struct{ destination.Members }

func (forgetful) Lookup(_ context.Context, _ string, identities []string) ([]destination.Record, error) {
	return make([]destination.Record, len(identities)), nil
}
