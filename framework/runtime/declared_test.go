package runtime_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// shop is a definition without code; %s are lines of authentication, of the destination, and of the request.
const shop = `name: Shop
slug: shop
mode: cloud
authentication:
  scheme: oauth2
  tokenUrl: https://shop.example.com/token
  authorizeUrl: https://shop.example.com/authorize
  fields: {key: {label: Key, type: password}}
%s
actions:
  put:
    title: Put
    defaultSubscription: type = "track"
    fields:
      id: {label: ID, type: string, default: {"@path": $.userId}}
      more: {label: More, type: object, additionalProperties: true, default: {"@path": $.properties}}
    request:
      url: /things
%s
`

// answers is a remote that answers with a function of the request's body.
type answers func(r *http.Request, body string) (status int, answer string)

func (f answers) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	status, answer := f(r, string(body))
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer)), Request: r}, nil
}

func declaredPlan(t *testing.T, definition string, host runtime.Host) *runtime.Plan {
	t.Helper()
	plugin := destination.Plugin{Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(definition)}}}
	d, err := plugin.Load()
	require.NoError(t, err)
	plan, err := runtime.New(plugin, d, config.InstanceOf(event.MustParse(`{"id":"i","settings":{"key":"very-secret-key"},"subscriptions":[{"name":"s","action":"put"}]}`)), host)
	require.NoError(t, err)
	return plan
}

func tokens(list ...string) func(context.Context, string, string) (string, error) {
	at := 0
	return func(_ context.Context, _, refused string) (string, error) {
		if refused == list[at] && at < len(list)-1 {
			at++
		}
		return list[at], nil
	}
}

func TestTokenIsSentWhereTheRequestSays(t *testing.T) {
	for name, where := range map[string][2]string{
		"in a header":      {`request: {baseUrl: "https://shop.example.com", headers: {X-Access: "{{auth.accessToken}}"}}`, ``},
		"in a query":       {`request: {baseUrl: "https://shop.example.com"}`, `      query: {token: "{{auth.accessToken}}"}`},
		"in a body":        {`request: {baseUrl: "https://shop.example.com"}`, `      body: {token: {"@path": $.auth.accessToken}}`},
		"by an expression": {`request: {baseUrl: "https://shop.example.com"}`, `      headers: {X-Access: {"@expr": "auth.accessToken"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			var seen []string
			var shown []httpx.Exchange
			plan := declaredPlan(t, fmt.Sprintf(shop, where[0], where[1]), runtime.Host{
				Token:   tokens("stale-token-1", "fresh-token-2"),
				Observe: func(x httpx.Exchange) { shown = append(shown, x) },
				Transport: answers(func(r *http.Request, body string) (int, string) {
					assert.Empty(t, r.Header.Get("Authorization"))
					all := r.Header.Get("X-Access") + r.URL.RawQuery + body
					seen = append(seen, all)
					if strings.Contains(all, "stale-token-1") {
						return 401, `{"message":"stale-token-1 is stale"}`
					}
					return 200, `{}`
				}),
			})
			verdicts := plan.RunBatch(t.Context(), events(t, `{"type":"track","userId":"u1"}`))
			assert.Equal(t, runtime.Delivered, verdicts[0][0].Outcome, verdicts[0][0].Reason)
			assert.Len(t, seen, 2)
			text, err := json.Marshal(shown)
			require.NoError(t, err)
			assert.NotContains(t, string(text), "stale-token-1")
			assert.NotContains(t, string(text), "fresh-token-2")
		})
	}
}

func TestTokenIsABearerTokenByDefault(t *testing.T) {
	plan := declaredPlan(t, fmt.Sprintf(shop, `request: {baseUrl: "https://shop.example.com/v1/"}`, ``), runtime.Host{
		Token: tokens("token-1"),
		Transport: answers(func(r *http.Request, _ string) (int, string) {
			return 200, fmt.Sprintf(`{"was":%q}`, r.Header.Get("Authorization")+" "+r.URL.String())
		}),
	})
	v := plan.RunBatch(t.Context(), events(t, `{"type":"track","userId":"u1"}`))[0][0]
	assert.Equal(t, "Bearer [hidden] https://shop.example.com/v1/things", strings.Replace(v.Body.Get("was").Str(), "token-1", "[hidden]", 1))
}

func TestGoHandlersUseTheSharedRequestSettings(t *testing.T) {
	definition := strings.Replace(fmt.Sprintf(shop, `request: {baseUrl: "https://shop.example.com", headers: {X-Key: "{{settings.key}}", X-Own: base}, query: {v: 2, own: base},
  sign: {header: X-Signature, secret: "{{settings.key}}"}}`, ``), "    request:\n      url: /things\n", "", 1)
	plugin := destination.Plugin{
		Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(definition)}},
		Actions: map[string]destination.Action{"put": destination.Handle(destination.Handler[empty, empty]{
			Perform: func(ctx context.Context, call destination.Call[empty, empty]) (*destination.Response, error) {
				return call.Client.Do(ctx, destination.Request{Method: "POST", URL: "/own?own=1", Header: http.Header{"X-Own": {"handler"}}, Body: []byte(`{"a":1}`)})
			},
		})},
	}
	d, err := plugin.Load()
	require.NoError(t, err)
	plan, err := runtime.New(plugin, d, config.InstanceOf(event.MustParse(`{"id":"i","settings":{"key":"it-is-secret"},"subscriptions":[{"action":"put"}]}`)), runtime.Host{
		Token: tokens("t"),
		Transport: answers(func(r *http.Request, body string) (int, string) {
			assert.Equal(t, "https://shop.example.com/own?own=1&v=2", r.URL.String())
			assert.Equal(t, "it-is-secret", r.Header.Get("X-Key"))
			assert.Equal(t, "handler", r.Header.Get("X-Own"))
			assert.Equal(t, "0b4d75e5c0de1c983797db393cd534e33acc9584f32d03de960cfdf457980cd0", r.Header.Get("X-Signature"))
			assert.Equal(t, "application/json", r.Header.Get("Content-Type"))
			return 200, `{}`
		}),
	})
	require.NoError(t, err)
	assert.Equal(t, runtime.Delivered, plan.RunBatch(t.Context(), events(t, `{"type":"track"}`))[0][0].Outcome)
}

// empty is a payload type that decodes nothing.
type empty struct{}

// Decode ignores the value.
func (*empty) Decode(event.Value) {}

// TestEveryPayloadOfABatchHasItsOwnVerdict checks that every payload is sent once and has the verdict of its response, for any
// response.
func TestEveryPayloadOfABatchHasItsOwnVerdict(t *testing.T) {
	definition := fmt.Sprintf(shop, `request: {baseUrl: "https://shop.example.com"}`, `      batch:
        size: 7
        bytes: 300
        unique: {"@path": $.payload.id}
        item: {id: {"@path": $.payload.id}, at: {"@path": $.index}, more: {"@transform": {apply: {"@path": $.payload.more.part}, mapping: {p: {"@path": $.p}}}}}
      body: {"@path": $.items}
      response: {errors: {path: wrong, index: at, base: 1, message: why, status: status}}`)
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		sent, want := map[string]int{}, map[string]string{}
		plan := declaredPlan(t, definition, runtime.Host{Token: tokens("t"), Transport: answers(func(_ *http.Request, body string) (int, string) {
			items := event.MustParse(body)
			assert.LessOrEqual(t, items.Len(), 7)
			assert.LessOrEqual(t, len(body), 300)
			var wrong []string
			whole := random.IntN(4) == 0
			ids := map[string]bool{}
			for i, item := range items.Items() {
				id, n := item.Get("id").Str(), item.Get("more").Get("p").Text()
				assert.Equal(t, int64(i), item.Get("at").Int())
				assert.False(t, ids[id], "%s is twice in a request", id)
				ids[id] = true
				sent[n]++
				want[n] = "delivered"
				if whole {
					want[n] = "retry 503 Service Unavailable"
				}
				switch random.IntN(3) {
				case 0:
					want[n] = "refused 404 no " + n
					wrong = append(wrong, fmt.Sprintf(`{"at":%d,"why":"no %s","status":404}`, i+1, n))
				case 1:
					if !whole {
						continue
					}
				}
			}
			if whole {
				return 503, fmt.Sprintf(`{"wrong":[%s],"message":"Service Unavailable"}`, strings.Join(wrong, ","))
			}
			return 207, fmt.Sprintf(`{"wrong":[%s]}`, strings.Join(wrong, ","))
		})})
		texts := make([]string, 1+random.IntN(30))
		for i := range texts {
			switch random.IntN(6) {
			case 0: // its item cannot be made
				texts[i] = fmt.Sprintf(`{"type":"track","userId":"u%d","properties":{"part":%d}}`, random.IntN(5), i)
				want[fmt.Sprint(i)] = "refused 400 mapping"
			case 1: // it is too large alone
				texts[i] = fmt.Sprintf(`{"type":"track","userId":"u%d","properties":{"part":{"p":"%d%s"}}}`, random.IntN(5), i, strings.Repeat("x", 300))
				want[fmt.Sprint(i)] = "refused 400 the request is larger than 300 bytes"
			default:
				texts[i] = fmt.Sprintf(`{"type":"track","userId":"u%d","properties":{"part":{"p":%d}}}`, random.IntN(5), i)
			}
		}
		for i, v := range plan.RunBatch(t.Context(), events(t, texts...)) {
			got := string(v[0].Outcome)
			if v[0].Reason != "" {
				got = fmt.Sprintf("%s %d %s", got, v[0].Status, v[0].Reason)
			}
			require.True(t, strings.HasPrefix(got, want[fmt.Sprint(i)]) && want[fmt.Sprint(i)] != "", "%d: %q, but %q was wanted", i, got, want[fmt.Sprint(i)])
		}
		for n, times := range sent {
			require.Equal(t, 1, times, n)
		}
	}
}

func TestDefinitionMustMatchItsCode(t *testing.T) {
	declared := fmt.Sprintf(shop, `request: {baseUrl: "https://shop.example.com"}`, ``)
	handler := map[string]destination.Action{"put": destination.Handle(destination.Handler[empty, empty]{Perform: func(context.Context, destination.Call[empty, empty]) (*destination.Response, error) { return nil, nil }})}
	test := func(context.Context, event.Value, destination.Deps) error { return nil }
	for _, c := range []struct {
		definition string
		plugin     destination.Plugin
		want       string
	}{
		{declared, destination.Plugin{}, ""},
		{declared, destination.Plugin{Actions: handler}, `destination.yaml:18:7: /actions/put/request is not allowed: the action "put" also has a handler`},
		{strings.Replace(declared, "    request:\n      url: /things\n", "", 1), destination.Plugin{}, `destination.yaml:12:5: /actions/put has neither a request nor a handler`},
		{strings.Replace(declared, "  fields: {key", "  test: handler\n  fields: {key", 1), destination.Plugin{}, `destination.yaml:8:9: /authentication/test needs a handler: set Plugin.Test`},
		{strings.Replace(declared, "  fields: {key", "  test: {url: /me}\n  fields: {key", 1), destination.Plugin{Test: test}, `destination.yaml:8:9: /authentication/test is not allowed: the plugin also has a handler for it`},
		{strings.Replace(declared, "  fields: {key", "  test: handlr\n  fields: {key", 1), destination.Plugin{}, `destination.yaml:8:9: /authentication/test should be handler but is "handlr"`},
		{strings.Replace(declared, `request: {baseUrl: "https://shop.example.com"}`, ``, 1), destination.Plugin{}, `destination.yaml:18:12: /actions/put/request/url is a path, but the destination has no request: {baseUrl: …}`},
		{declared + "    dynamicFields: {idd: {request: {url: /x}}}\n", destination.Plugin{}, `destination.yaml:20:36: /actions/put/dynamicFields/idd/request needs response: {choices: …}`},
	} {
		c.plugin.Definition = fstest.MapFS{destination.DefinitionFile: {Data: []byte(c.definition)}}
		_, err := c.plugin.Load()
		if c.want == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, c.want)
		}
	}
}
