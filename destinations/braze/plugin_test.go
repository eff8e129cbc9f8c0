package braze_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations/braze"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/internal/author/harness"
)

// TestCases runs every case file of the destination.
func TestCases(t *testing.T) {
	registry, err := destination.NewRegistry([]destination.Plugin{braze.Plugin()})
	require.NoError(t, err)
	files, err := filepath.Glob("../../fixtures/braze/cases/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	suite := &harness.Suite{Registry: registry}
	tried := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		cases, err := harness.Parse(file, text)
		require.NoError(t, err)
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				for _, p := range suite.Run(context.Background(), c).Problems {
					t.Error(p)
				}
			})
		}
		for line := range strings.Lines(string(text)) {
			if key, ok := strings.CutPrefix(line, "action: "); ok {
				tried[strings.TrimSpace(key)] = true
			}
		}
	}
	entry, err := registry.Find("braze")
	require.NoError(t, err)
	for _, a := range entry.Definition.Actions {
		for _, key := range append(a.Aliases, a.Key) {
			assert.True(t, tried[key], "%s has no case", key)
		}
	}
}

// newPlan returns a plan with one subscription, "all", that sends every event to an action.
func newPlan(t testing.TB, transport http.RoundTripper, action, mapping string, observe func(httpx.Exchange)) *runtime.Plan {
	plugin := braze.Plugin()
	definition, err := plugin.Load()
	require.NoError(t, err)
	in := config.InstanceOf(event.MustParse(fmt.Sprintf(`{"id":"main","settings":{"endpoint":"https://rest.iad-01.braze.com","api_key":"very-secret"},
		"subscriptions":[{"name":"all","action":%q,"subscribe":"type = \"track\" or type = \"identify\"","mapping":%s}]}`, action, mapping)))
	plan, err := runtime.New(plugin, definition, in, runtime.Host{Transport: transport, Observe: observe})
	require.NoError(t, err)
	return plan
}

func parse(t testing.TB, texts ...string) []event.Event {
	list := make([]event.Event, len(texts))
	for i, text := range texts {
		e, err := event.Parse([]byte(text))
		require.NoError(t, err)
		list[i] = e
	}
	return list
}

// scripted is a transport that answers requests with a function.
type scripted func(r *http.Request, body []byte) (status int, response string)

func (s scripted) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	status, response := s(r, body)
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(response)), Request: r}, nil
}

func TestRequestsCarryTheKeyAndTracesHideIt(t *testing.T) {
	var headers []http.Header
	var seen []httpx.Exchange
	plan := newPlan(t, scripted(func(r *http.Request, _ []byte) (int, string) {
		headers = append(headers, r.Header.Clone())
		return 400, `{"message":"no, very-secret","errors":[{"type":"very-secret is no key","input_array":"events","index":0}]}`
	}), "trackEvent", `{}`, func(x httpx.Exchange) { seen = append(seen, x) })
	one := `{"type":"track","event":"One","userId":"u1","receivedAt":"2026-01-02T03:04:05Z"}`
	verdict := plan.RunBatch(t.Context(), parse(t, one))[0][0]
	assert.Equal(t, "[hidden] is no key", verdict.Reason)
	assert.Equal(t, "Bearer very-secret", headers[0].Get("Authorization"))
	assert.Empty(t, headers[0].Get("X-Braze-Batch"))
	text, err := json.Marshal(seen)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "very-secret")
	plan.RunBatch(t.Context(), parse(t, one, one))
	assert.Equal(t, "true", headers[1].Get("X-Braze-Batch"))
}

func TestCredentials(t *testing.T) {
	for _, c := range []struct {
		key  string
		want string
	}{{"very-secret", ""}, {"another", "API Key is not a key of this cluster"}} {
		pretend := braze.Plugin().Sandbox.New(map[string][]string{"api-key": {c.key}})
		err := newPlan(t, sandbox.Transport(pretend), "trackEvent", `{}`, nil).Test(t.Context())
		if c.want == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, c.want)
		}
	}
	down := scripted(func(*http.Request, []byte) (int, string) { return 503, `{"message":"later"}` })
	assert.EqualError(t, newPlan(t, down, "trackEvent", `{}`, nil).Test(t.Context()), "later")
}

// order returns an order of n products.
func order(user string, n int) string {
	products := make([]string, n)
	for i := range products {
		products[i] = fmt.Sprintf(`{"product_id":"%s-%d","price":1}`, user, i)
	}
	return fmt.Sprintf(`{"type":"track","event":"Order Completed","userId":%q,"receivedAt":"2026-01-02T03:04:05Z","properties":{"products":[%s]}}`, user, strings.Join(products, ","))
}

func TestAnOrderLargerThanARequestIsNeverCountedTwice(t *testing.T) {
	for _, c := range []struct {
		second  int
		outcome runtime.Outcome
		reason  string
	}{
		{201, runtime.Delivered, ""},
		{503, runtime.Refused, "Braze has accepted a part of it, which would count twice after a retry; error of the rest: down"},
		{400, runtime.Refused, "down"},
	} {
		n := 0
		plan := newPlan(t, scripted(func(*http.Request, []byte) (int, string) {
			if n++; n == 1 {
				return 201, `{"message":"success"}`
			}
			return c.second, `{"message":"down"}`
		}), "trackPurchase", `{}`, nil)
		verdict := plan.RunBatch(t.Context(), parse(t, order("u1", 80)))[0][0]
		assert.Equal(t, c.outcome, verdict.Outcome)
		assert.Equal(t, c.reason, verdict.Reason)
		assert.Equal(t, 2, n)
	}
}

func TestRecipientsBeyondARequest(t *testing.T) {
	recipients := strings.TrimSuffix(strings.Repeat(`{"external_user_id":"u"},`, 60), ",")
	for _, c := range []struct {
		second  int
		outcome runtime.Outcome
	}{{201, runtime.Delivered}, {503, runtime.Refused}} {
		n := 0
		plan := newPlan(t, scripted(func(*http.Request, []byte) (int, string) {
			if n++; n == 1 {
				return 201, `{"message":"success"}`
			}
			return c.second, `{"message":"down"}`
		}), "triggerCanvas", `{"canvas_id":"c","recipients":{"@path":"$.recipients"}}`, nil)
		verdict := plan.RunBatch(t.Context(), parse(t, `{"type":"track","recipients":[`+recipients+`]}`))[0][0]
		assert.Equal(t, c.outcome, verdict.Outcome, verdict.Reason)
		assert.Equal(t, 2, n)
	}
}

func TestAnItemThatIsTooLargeFailsAlone(t *testing.T) {
	n := 0
	plan := newPlan(t, scripted(func(*http.Request, []byte) (int, string) { n++; return 201, `{"message":"success"}` }), "updateUserProfile", `{}`, nil)
	got := plan.RunBatch(t.Context(), parse(t, `{"type":"identify","userId":"u1","traits":{"bio":"`+strings.Repeat("x", 100_000)+`"}}`, `{"type":"identify","userId":"u2"}`))
	assert.Regexp(t, `^an object of the payload has 100\d\d\d bytes, but Braze accepts at most 100000$`, got[0][0].Reason)
	assert.Equal(t, runtime.Delivered, got[1][0].Outcome)
	assert.Equal(t, 1, n)
}

func TestChoicesOfCampaignsAndCanvasesAreFetched(t *testing.T) {
	plan := newPlan(t, sandbox.Transport(braze.Plugin().Sandbox.New(map[string][]string{"api-key": {"very-secret"}})), "trackEvent", `{}`, nil)
	for field, action := range map[string]string{"campaign_id": "triggerCampaign", "canvas_id": "triggerCanvas"} {
		got, err := plan.Choices(t.Context(), action, field, "", "", event.Value{})
		require.NoError(t, err)
		kind := strings.TrimSuffix(field, "_id")
		assert.Equal(t, []destination.Choice{{Label: "A " + kind + " of the sandbox", Value: "sandbox-" + kind}}, got.Choices)
	}
}

func TestHookCreatesTheCatalog(t *testing.T) {
	plugin := braze.Plugin()
	definition, err := plugin.Load()
	require.NoError(t, err)
	transport := sandbox.Transport(plugin.Sandbox.New(map[string][]string{"catalogs": {"taken"}}))
	run := func(operation string) (*runtime.Plan, error) {
		in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{"endpoint":"https://rest.iad-01.braze.com","api_key":"k"},"subscriptions":[
			{"name":"lamps","action":"upsertCatalogItem","subscribe":"type = \"track\"","syncMode":"upsert","hooks":{"onMappingSave":` + operation + `},
			 "mapping":{"item_id":{"@path":"$.id"},"item":{"price":5}}}]}`))
		plan, err := runtime.New(plugin, definition, in, runtime.Host{Transport: transport})
		require.NoError(t, err)
		_, err = plan.RunHooks(t.Context(), plan.Subscriptions()[0], false)
		return plan, err
	}
	const columns = `,"columns":[{"name":"id","type":"number"},{"name":"price","type":"number"}]}`
	_, err = run(`{"operation":"create","created_catalog_name":"taken"` + columns)
	assert.ErrorContains(t, err, "The catalog name already exists (Invalid Request)")
	for _, operation := range []string{`{"operation":"create","created_catalog_name":"lamps"` + columns, `{"operation":"select","selected_catalog_name":"lamps"}`} {
		plan, err := run(operation)
		require.NoError(t, err)
		verdict := plan.RunBatch(t.Context(), parse(t, `{"type":"track","id":"a"}`))[0][0]
		assert.Equal(t, runtime.Delivered, verdict.Outcome, verdict.Reason)
	}
}

func TestPresetsForTheCart(t *testing.T) {
	definition, err := braze.Plugin().Load()
	require.NoError(t, err)
	takers := func(name string) (list []string) {
		e := event.MustParse(fmt.Sprintf(`{"type":"track","event":%q}`, name))
		for _, preset := range definition.Presets {
			if preset.Type != "automatic" {
				continue
			}
			query, err := fql.Compile(preset.Subscribe)
			require.NoError(t, err)
			if query.Match(e) {
				list = append(list, preset.Action+" "+preset.Mapping.Get("name").Str()+" "+preset.Mapping.Get("action").Str())
			}
		}
		return list
	}
	assert.Equal(t, []string{"ecommerce ecommerce.cart_updated add"}, takers("Product Added"))
	assert.Equal(t, []string{"ecommerce ecommerce.cart_updated remove"}, takers("Product Removed"))
	assert.Equal(t, []string{"trackEvent  "}, takers("Cart Viewed"))
}

// Whatever is in errors of an accepted request, unless it is empty, fails the events that have no error of their own.
func TestErrorsOfAnyForm(t *testing.T) {
	for errors, want := range map[string]runtime.Outcome{
		`[]`: runtime.Delivered, `{}`: runtime.Delivered, `null`: runtime.Delivered,
		`"all failed"`: runtime.Refused, `{"type":"all failed"}`: runtime.Refused, `true`: runtime.Refused, `1`: runtime.Refused, `[null]`: runtime.Refused, `["all failed"]`: runtime.Refused,
	} {
		plan := newPlan(t, scripted(func(*http.Request, []byte) (int, string) { return 201, `{"message":"success","errors":` + errors + `}` }), "trackEvent", `{}`, nil)
		verdict := plan.RunBatch(t.Context(), parse(t, `{"type":"track","event":"One","userId":"u1","receivedAt":"2026-01-02T03:04:05Z"}`))[0][0]
		assert.Equal(t, want, verdict.Outcome, errors)
		if strings.Contains(errors, "all failed") {
			assert.Equal(t, "all failed (Braze does not say which object of the request it means)", verdict.Reason, errors)
		}
	}
}
