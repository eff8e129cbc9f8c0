package explain_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/explain"
)

const entered = `{"type":"track","event":"Audience Entered","userId":"ana","timestamp":"2026-01-02T03:04:05Z","properties":{"vip":true},"context":{"personas":{"computation_class":"audience","computation_id":"aud_1","computation_key":"vip"}}}`

func plan(t *testing.T, base http.RoundTripper, requests *explain.Recorder) *runtime.Plan {
	plugin := brazecohorts.Plugin()
	definition, err := plugin.Load()
	require.NoError(t, err)
	in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{"client_secret":"very-secret","partner_api_key":"partner-key"},
		"subscriptions":[{"name":"VIP","action":"syncAudiences","mapping":{"personas_audience_key":"vip"}}]}`))
	if base == nil {
		base = sandbox.Transport(plugin.Sandbox.New(nil))
	}
	p, err := runtime.New(plugin, definition, in, runtime.Host{Transport: base, Observe: requests.Observe})
	require.NoError(t, err)
	return p
}

func TestDeliver(t *testing.T) {
	requests := &explain.Recorder{}
	p := plan(t, nil, requests)
	e, err := event.Parse([]byte(entered))
	require.NoError(t, err)
	st := explain.Deliver(t.Context(), p, p.Subscriptions()[0], e, requests)
	assert.True(t, st.Matched)
	assert.Equal(t, "delivered", st.Outcome)
	require.Len(t, st.Exchanges, 2)
	assert.Equal(t, 201, st.Exchanges[1].Status)
	require.Len(t, st.Requests, 2)
	assert.NotContains(t, string(st.Requests[1].JSON), "very-secret")
	assert.Equal(t, &explain.Batch{Key: `"vip","aud_1",`, Size: runtime.MaxBatch}, st.Batch)
	fields := map[string]explain.Field{}
	for _, f := range st.Fields {
		fields[f.Field] = f
	}
	assert.Equal(t, explain.Field{Field: "external_id", Label: "External User ID", From: "@path $.userId", Mapped: []byte(`"ana"`), Value: []byte(`"ana"`)}, fields["external_id"])
	assert.Equal(t, "not mapped", fields["device_id"].Note)
	again := explain.DryRun(t.Context(), p, p.Subscriptions()[0], e, requests)
	assert.Equal(t, "skipped", again.Outcome, "the plan remembers")
	assert.Empty(t, again.Requests)
}

func TestDryRunOfAnEventThatDoesNotMatch(t *testing.T) {
	requests := &explain.Recorder{}
	p := plan(t, nil, requests)
	e, err := event.Parse([]byte(`{"event":"Other"}`))
	require.NoError(t, err)
	st := explain.DryRun(t.Context(), p, p.Subscriptions()[0], e, requests)
	assert.False(t, st.Matched)
	assert.Equal(t, fault.CauseNotSubscribed, st.Cause)
	assert.Empty(t, st.Fields)
	assert.Empty(t, st.Requests)
}

func TestRequestJSON(t *testing.T) {
	for body, want := range map[string]string{
		`{"a":1}`: `{"json":{"a":1},"method":"POST","url":"u"}`, `a=1&b=2`: `{"body":"a=1\u0026b=2","method":"POST","url":"u"}`, ``: `{"method":"POST","url":"u"}`,
	} {
		got, err := json.Marshal(explain.RequestOf(httpx.Exchange{Method: "POST", URL: "u", Body: []byte(body)}))
		require.NoError(t, err)
		assert.Equal(t, want, string(got))
	}
}
