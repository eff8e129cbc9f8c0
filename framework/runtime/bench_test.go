package runtime_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/config"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// taken answers every request as Braze does, and keeps none.
type taken struct{ bytes int }

func (t *taken) RoundTrip(r *http.Request) (*http.Response, error) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return nil, err
	}
	t.bytes += int(n)
	return &http.Response{StatusCode: 201, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"message":"success"}`)), Request: r}, nil
}

// kilobyte is an Engage event of about 1 KB.
func kilobyte(i int) []byte {
	return fmt.Appendf(nil, `{"type":"track","event":"Audience Entered","userId":"user-%06d","anonymousId":"5e1d8f2a-0000-4000-8000-%012d","messageId":"personas_%020d","timestamp":"2026-03-04T05:06:07.008Z","originalTimestamp":"2026-03-04T05:06:07.008Z","sentAt":"2026-03-04T05:06:07.500Z","receivedAt":"2026-03-04T05:06:08.000Z","channel":"server","version":2,"context":{"ip":"203.0.113.9","locale":"en-GB","timezone":"Europe/Lisbon","library":{"name":"unknown","version":"unknown"},"personas":{"computation_class":"audience","computation_id":"aud_2fKq8VipGold","computation_key":"vip_gold","namespace":"spa_7hPq2Shop","space_id":"spa_7hPq2Shop"},"traits":{"email":"user-%06d@example.com","first_name":"Ana","plan":"gold"},"device":{"id":"device-%06d","type":"ios","adTrackingEnabled":false},"page":{"url":"https://shop.example.com/sale?ref=mail","title":"Sale"}},"integrations":{"All":false,"Braze Cohorts":true},"properties":{"audience_key":"vip_gold","vip_gold":true,"lifetime_value":425.5,"orders":3,"tags":["a","b","c"]}}`, i, i, i, i, i)
}

func newPlan(b testing.TB, transport http.RoundTripper, members destination.Members) *runtime.Plan {
	plugin := brazecohorts.Plugin()
	definition, err := plugin.Load()
	require.NoError(b, err)
	in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{"endpoint":"https://rest.iad-01.braze.com","client_secret":"secret-1","partner_api_key":"partner-1"},
		"subscriptions":[{"name":"all","action":"syncAudiences","mapping":{"personas_audience_key":{"@path":"$.properties.audience_key"}}}]}`))
	p, err := runtime.New(plugin, definition, in, runtime.Host{Transport: transport, Members: members})
	require.NoError(b, err)
	return p
}

// BenchmarkBatch1000 is the whole way without network, in batches of 1,000: bytes in, verdicts and request bytes out. x-floor is
// its cost divided by that of gjson.ValidBytes over the same events, measured beside it.
func BenchmarkBatch1000(b *testing.B) {
	const size = 1000
	raw := make([][]byte, size)
	for i := range raw {
		raw[i] = kilobyte(i)
	}
	wire := &taken{}
	members := &forgetful{destination.NewMemoryMembers()}
	plan := newPlan(b, wire, members)
	events := make([]event.Event, size)
	var floor time.Duration
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		b.StopTimer()
		begin := time.Now()
		for i := range raw {
			if !gjson.ValidBytes(raw[i]) {
				b.Fatal("not valid")
			}
		}
		floor += time.Since(begin)
		b.StartTimer()
		for i := range raw {
			e, err := event.Parse(raw[i])
			if err != nil {
				b.Fatal(err)
			}
			events[i] = e
		}
		for _, verdicts := range plan.RunBatch(context.Background(), events) {
			if verdicts[0].Outcome != runtime.Delivered {
				b.Fatal(verdicts[0].Reason)
			}
		}
	}
	b.StopTimer()
	require.Positive(b, wire.bytes)
	b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(b.Elapsed().Seconds()/floor.Seconds(), "x-floor")
}

// forgetful is a ledger that knows nobody, so that every batch is sent.
type forgetful struct{ destination.Members }

func (forgetful) Look(_ context.Context, _ string, identities []string) ([]destination.Record, error) {
	return make([]destination.Record, len(identities)), nil
}
