package runtime_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations/webhook"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

func TestBatchSizes(t *testing.T) {
	for size, want := range map[string]struct {
		items   int
		warning string
	}{
		`0`: {1000, ""}, `-1`: {1000, ""}, `7`: {7, ""}, `"8"`: {8, ""}, `1.9`: {1, ""}, `1000`: {1000, ""},
		`5000`: {1000, "batch_size is 5000, but the maximum of send is 1000: batches have 1000"}, `1e30`: {1000, "maximum of send is 1000"},
		`{"@path": "$.n"}`: {3, ""}, `"5000"`: {1000, "batch_size is 5000, but the maximum of send is 1000"}, `{"@literal": 5000}`: {1000, "batch_size is 5000"}, `{"@expr": "50 * 100"}`: {1000, "batch_size is 5000"},
		`[5000]`: {1000, "batch_size is 5000"}, `{"@template": "70"}`: {70, ""},
	} {
		plugin := webhook.Plugin()
		definition, err := plugin.Load()
		require.NoError(t, err)
		in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{},"subscriptions":[{"name":"all","action":"send","subscribe":"type = \"track\"",
			"mapping":{"url":"https://x.example","enable_batching":true,"batch_size":` + size + `}}]}`))
		plan, err := runtime.New(plugin, definition, in, runtime.Host{})
		require.NoError(t, err, size)
		var warnings []string
		for _, w := range plan.Warnings() {
			warnings = append(warnings, w.String())
		}
		if want.warning == "" {
			assert.Empty(t, warnings, size)
		} else {
			assert.Contains(t, strings.Join(warnings, ";"), want.warning, size)
		}
		e, err := event.Parse([]byte(`{"type":"track","n":3}`))
		require.NoError(t, err)
		item, refused := plan.Prepare(plan.Subscriptions()[0], e, 0)
		require.Nil(t, refused, size)
		assert.Equal(t, want.items, item.BatchSize, size)
	}
}

const largeBatches = `
name: Bulk
slug: bulk
mode: cloud
authentication: {scheme: oauth2, authorizeUrl: "https://x.example/a", tokenUrl: "https://x.example/t"}
actions:
  send:
    title: Send
    fields:
      id: {label: ID, type: string, default: {"@path": $.userId}}
      batch_size: {label: Batch Size, type: integer%s}
`

// newBulk returns a plan whose action has the given keys of its batch_size field.
func newBulk(t *testing.T, keys string, host runtime.Host, refresh func(context.Context, destination.RefreshInput) (oauth.Token, error)) *runtime.Plan {
	t.Helper()
	none := func(_ context.Context, call destination.BatchCall[noSettings, noSettings]) (*destination.MultiStatus, error) {
		return destination.NewMultiStatus(len(call.Payloads)), nil
	}
	plugin := destination.Plugin{
		Definition: fstest.MapFS{"destination.yaml": {Data: fmt.Appendf(nil, largeBatches, keys)}}, Refresh: refresh,
		Actions: map[string]destination.Action{"send": destination.Handle(destination.Handler[noSettings, noSettings]{PerformBatch: none})},
	}
	definition, err := plugin.Load()
	require.NoError(t, err)
	in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{},
		"subscriptions":[{"name":"all","action":"send","subscribe":"type = \"track\"","mapping":{}}]}`))
	in.Auth = event.MustParse(`{"clientId":"c","clientSecret":"s"}`)
	plan, err := runtime.New(plugin, definition, in, host)
	require.NoError(t, err)
	return plan
}

type noSettings struct{}

func (*noSettings) Decode(event.Value) {}

func TestDefinitionCanRaiseTheBatchSize(t *testing.T) {
	for keys, want := range map[string]int{
		``: 1000, `, default: 50`: 50, `, default: 100000`: 1000, `, default: 5000, maximum: 5000`: 5000, `, maximum: 5000`: 1000,
		`, maximum: 20`: 20, `, default: 10000, maximum: 10000`: 10_000, `, default: 20000, maximum: 20000`: 10_000,
	} {
		plan := newBulk(t, keys, runtime.Host{}, nil)
		var batches runtime.Batches
		for round := range 2 { // the second one uses pooled slices
			for i := range want {
				e, err := event.Parse(fmt.Appendf(nil, `{"type":"track","userId":"%d"}`, i))
				require.NoError(t, err)
				item, refused := plan.Prepare(plan.Subscriptions()[0], e, 0)
				require.Nil(t, refused)
				require.Equal(t, want, item.BatchSize, keys)
				full := batches.Add(plan, item)
				require.Equal(t, i == want-1, full != nil, "%s: item %d of round %d", keys, i, round)
				for j, of := range full {
					require.Equal(t, fmt.Sprint(j), of.Payload.Get("id").Str(), keys)
				}
				runtime.Release(full)
			}
		}
	}
}

func TestRefreshGetsTheHostsClock(t *testing.T) {
	at := time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC)
	refresh := func(_ context.Context, in destination.RefreshInput) (oauth.Token, error) {
		return oauth.Token{Access: "a", Expires: in.Now().Add(time.Hour)}, nil
	}
	plan := newBulk(t, "", runtime.Host{Now: func() time.Time { return at }}, refresh)
	token, err := plan.Login().RefreshToken(t.Context(), oauth.Token{})
	require.NoError(t, err)
	assert.Equal(t, at.Add(time.Hour), token.Expires)

	token, err = newBulk(t, "", runtime.Host{}, refresh).Login().RefreshToken(t.Context(), oauth.Token{})
	require.NoError(t, err)
	assert.WithinRange(t, token.Expires, time.Now().Add(time.Hour-time.Minute), time.Now().Add(time.Hour))
}

// newLists returns a plan of a definition without code whose subscription to the action send has the given keys.
func newLists(t *testing.T, definition, subscription string, host runtime.Host) *runtime.Plan {
	t.Helper()
	plugin := destination.Plugin{Definition: fstest.MapFS{"destination.yaml": {Data: []byte(definition)}}}
	d, err := plugin.Load()
	require.NoError(t, err)
	in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{},"subscriptions":[{"name":"all","action":"send","subscribe":"type = \"track\"",` + subscription + `}]}`))
	plan, err := runtime.New(plugin.Complete(d), d, in, host)
	require.NoError(t, err, subscription)
	return plan
}

// TestMappingWithoutBatchKeys checks that events of different lists are not sent to one list without a warning.
func TestMappingWithoutBatchKeys(t *testing.T) {
	const definition = `
name: Lists
slug: lists
mode: cloud
authentication: {scheme: none}
actions:
  send:
    title: Send
    fields:
      list_id: {label: List, type: string}
      enable_batching: {label: Enable Batching, type: boolean}
      batch_keys: {label: Batch Keys, type: string, multiple: true, default: [list_id]}
    request: {url: "https://api.example.com/{{payloads[0].list_id}}", batch: {}, body: {"@path": $.items}}
`
	const list = `"list_id":{"@path":"$.properties.list"}`
	for mapping, warns := range map[string]bool{
		list: true, `"list_id":"{{properties.list}}"`: true, `"list_id":"a"`: false, list + `,"batch_keys":["list_id"]`: false, list + `,"enable_batching":false`: false,
	} {
		warnings := newLists(t, definition, `"useDefaultMappings":false,"mapping":{`+mapping+`}`, runtime.Host{}).Warnings().Err()
		if !warns {
			assert.NoError(t, warnings, mapping)
			continue
		}
		assert.ErrorContains(t, warnings, `has no batch_keys, so events that differ in list_id share a request, which is sent with those of the first: map batch_keys to ["list_id"]`, mapping)
	}
}

// TestBatchSizeAboveThatOfTheRequest checks the warning of a batch_size that is larger than the batches of a definition's request.
func TestBatchSizeAboveThatOfTheRequest(t *testing.T) {
	definition := `
name: Lists
slug: lists
mode: cloud
authentication: {scheme: none}
actions:
  send:
    title: Send
    fields: {batch_size: {label: Batch Size, type: integer, maximum: 500}}
    request: {url: "https://api.example.com/", batch: {size: 100}, body: {"@path": $.items}}
`
	for size, warns := range map[int]bool{100: false, 101: true, 5000: true} {
		warnings := newLists(t, definition, fmt.Sprintf(`"mapping":{"batch_size":%d}`, size), runtime.Host{}).Warnings().Err()
		if !warns {
			assert.NoError(t, warnings, size)
			continue
		}
		assert.ErrorContains(t, warnings, fmt.Sprintf("is %d, but the maximum of send is 100: batches have 100", size))
	}
}

// TestRequestsKnowBatches checks that a request knows a batch of one event from an event by itself.
func TestRequestsKnowBatches(t *testing.T) {
	const definition = `
name: Lists
slug: lists
mode: cloud
authentication: {scheme: none}
actions:
  send:
    title: Send
    fields: {id: {label: Id, type: string}, enable_batching: {label: Enable Batching, type: boolean}}
    request:
      batch: {}
      steps:
        - {when: {"@path": $.batched}, url: https://api.example.com/batch, body: {"@path": $.items}}
        - {when: {"@expr": "not batched"}, url: https://api.example.com/one, body: {"@path": $.payload}}
`
	var sent []string
	transport := sandbox.Transport(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { sent = append(sent, r.URL.Path) }))
	plan := newLists(t, definition, `"mapping":{"enable_batching":{"@path":"$.batch"}}`, runtime.Host{Transport: transport})
	one, err := event.Parse([]byte(`{"type":"track"}`))
	require.NoError(t, err)
	off, err := event.Parse([]byte(`{"type":"track","batch":false}`))
	require.NoError(t, err)
	plan.RunBatch(t.Context(), []event.Event{one})
	plan.RunBatch(t.Context(), []event.Event{one, one})
	plan.RunBatch(t.Context(), []event.Event{off})
	plan.Run(t.Context(), one)
	assert.Equal(t, []string{"/batch", "/batch", "/one", "/one"}, sent)
}
