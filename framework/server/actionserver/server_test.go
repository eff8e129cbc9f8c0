package actionserver_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/server/actionserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const definition = `
name: Acme
slug: acme
aliases: [actions-acme]
mode: cloud
authentication: {scheme: oauth-managed, fields: {secret: {label: Secret, type: password, required: true}}}
actions:
  send:
    title: Send
    fields: {email: {label: Email, type: string, format: email, required: true}, plan: {label: Plan, type: string, dynamic: true}}
`

type anything struct{ event.Value }

func (a *anything) Decode(v event.Value) { a.Value = v }

// acme is a destination that supports all routes.
func acme() destination.Plugin {
	do := func(ctx context.Context, c destination.Client, path string) error {
		_, err := c.Do(ctx, destination.Request{Method: "POST", URL: "https://acme.example" + path, Body: []byte(`{}`)})
		return err
	}
	return destination.Plugin{
		Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(definition)}},
		Actions: map[string]destination.Action{"send": destination.Handle(destination.Handler[anything, anything]{
			Perform: func(ctx context.Context, call destination.Call[anything, anything]) (*destination.Response, error) {
				if call.Payload.Get("email").Str() == "slow@acme.example" {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return nil, do(ctx, call.Client, "/send")
			},
		})},
		OnDelete: func(ctx context.Context, in destination.DeleteInput) error {
			return do(ctx, in.Client, "/delete/"+in.UserID)
		},
		Test: func(_ context.Context, settings event.Value, _ destination.Deps) error {
			if settings.Get("secret").Str() != "hush" {
				return errors.New("the secret is wrong")
			}
			return nil
		},
		Choices: map[string]map[string]destination.ChoicesFunc{"send": {"plan": func(_ context.Context, in destination.ChoicesInput) (destination.Choices, error) {
			if in.Query == "none" {
				return destination.Choices{}, fault.FromStatus(429, "slow down")
			}
			return destination.Choices{Choices: []destination.Choice{{Label: "Gold", Value: "gold"}}, NextPage: "after " + in.Page}, nil
		}}},
	}
}

// echo responds with the path and the token of the request.
type echo struct{}

func (echo) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(202)
	_, _ = w.WriteString(`{"path":"` + r.URL.Path + `","said":"` + r.Header.Get("Authorization") + `"}`)
	return w.Result(), nil
}

func serve(t *testing.T, change ...func(*actionserver.Config)) *actionserver.Handler {
	var list []actionserver.Destination
	for _, e := range entries(t, brazecohorts.Plugin(), acme()) {
		d := actionserver.Destination{Entry: e, Transport: echo{}}
		if e.Plugin.Sandbox != nil {
			d.Transport = sandbox.Transport(e.Plugin.Sandbox.New(nil))
		}
		list = append(list, d)
	}
	c := actionserver.Config{Destinations: list, MaxEvents: 3}
	for _, f := range change {
		f(&c)
	}
	return actionserver.New(c)
}

func post(h http.Handler, path, body string, change ...func(*http.Request)) (int, string) {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.RemoteAddr, r.Host = "127.0.0.1:9", "localhost:3000"
	r.Header.Set("Content-Type", "application/json")
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

const (
	entered = `{"type":"track","userId":"u1","event":"Audience Entered","timestamp":"2026-01-01T00:00:00Z","properties":{"audience_key":"vip","vip":true},` +
		`"context":{"personas":{"computation_class":"audience","computation_id":"aud_1","computation_key":"vip"}}}`
	keys = `"settings":{"endpoint":"https://rest.iad-01.braze.com","client_secret":"very-secret","partner_api_key":"partner-key"}`
)

func TestResponses(t *testing.T) {
	h := serve(t)
	for name, c := range map[string]struct {
		path, body string
		status     int
		want       string
	}{
		"one event: the requests that were made": {"/syncAudiences", `{"payload":` + entered + `,"mapping":{"personas_audience_key":"vip"},` + keys + `}`, 200,
			`[{"request":{"url":"https://rest.iad-01.braze.com/partners/segment/cohorts","method":"POST","headers":{"content-type":"application/json","user-agent":"[hidden]"},` +
				`"body":"{\"partner_api_key\":\"[hidden]\",\"client_secret\":\"[hidden]\",\"cohort_id\":\"aud_1\",\"name\":\"vip\",\"created_at\":\"2026-01-01T00:00:00Z\"}"},` +
				`"response":{"statusCode":201,"statusMessage":"Created","headers":{"content-type":"application/json"},"body":{"message":"success"}}},` +
				`{"request":{"url":"https://rest.iad-01.braze.com/partners/segment/cohorts/users","method":"POST","headers":{"content-type":"application/json","user-agent":"[hidden]"},` +
				`"body":"{\"partner_api_key\":\"[hidden]\",\"client_secret\":\"[hidden]\",\"cohort_id\":\"aud_1\",\"cohort_changes\":[{\"user_ids\":[\"u1\"],\"device_ids\":[],\"aliases\":[]}]}"},` +
				`"response":{"statusCode":201,"statusMessage":"Created","headers":{"content-type":"application/json"},"body":{"message":"success"}}}]`},
		"several: a result for each": {"/acme/send", `{"payload":[{"m":"a@acme.example"},{"m":"no address"}],"mapping":{"email":{"@path":"$.m"}},"settings":{"secret":"hush"}}`, 200,
			`[{"status":200,"sent":{"email":"a@acme.example"}},{"status":400,"errortype":"PAYLOAD_VALIDATION_FAILED","errormessage":"Email should be an email address but is the text \"no address\"","errorreporter":"INTEGRATIONS"}]`},
		"a payload that is wrong: its fields": {"/send", `{"payload":{"m":"no address"},"mapping":{"email":{"@path":"$.m"}},"settings":{"secret":"hush"}}`, 200,
			`[{"statusCode":400,"message":"Email should be an email address but is the text \"no address\"","fields":{"email":"Email should be an email address but is the text \"no address\""},"requestError":true}]`},
		"without a mapping the payload is one": {"/actions-acme/send", `{"payload":{"email":"a@acme.example"},"settings":{"secret":"hush"},"auth":{"accessToken":"token-1"}}`, 200,
			`[{"request":{"url":"https://acme.example/send","method":"POST","headers":{"content-type":"application/json"},"body":"{}"},` +
				`"response":{"statusCode":202,"statusMessage":"Accepted","headers":{"content-type":"application/json"},"body":{"path":"/send","said":"Bearer [hidden]"}}}]`},
		"settings that are wrong": {"/send", `{"payload":{}}`, 200,
			`[{"statusCode":400,"message":"/settings/secret Secret is required but missing","fields":{"secret":"Secret is required but missing"},"requestError":true}]`},
		"a mapping that is wrong": {"/send", `{"payload":{},"mapping":{"email":{"@nope":1}},"settings":{"secret":"hush"}}`, 200,
			`[{"statusCode":400,"message":"/mapping/email has an invalid directive: @nope","requestError":true}]`},
		"an invalid event":          {"/send", `{"payload":["x"],"settings":{"secret":"hush"}}`, 200, `[{"statusCode":400,"message":"event 0 of the payload: an event must be a JSON object, but this is a string","requestError":true}]`},
		"too many events":           {"/send", `{"payload":[{},{},{},{}],"settings":{"secret":"hush"}}`, 200, `[{"statusCode":400,"message":"the payload has 4 events, and the maximum is 3","requestError":true}]`},
		"no body":                   {"/send", `[]`, 400, `{"error":"the body should be an object but is an array","ok":false}`},
		"credentials":               {"/acme/authenticate", `{"secret":"hush"}`, 200, `{"ok":true}`},
		"credentials as settings":   {"/acme/authenticate", `{"settings":{"secret":"hush"}}`, 200, `{"ok":true}`},
		"credentials that are bad":  {"/acme/authenticate", `{"secret":"other"}`, 200, `{"error":"the secret is wrong","fields":{},"ok":false}`},
		"credentials with a fault":  {"/acme/authenticate", `{"secrets":"hush"}`, 200, `{"error":"/settings/secrets is not a setting of Acme (did you mean \"secret\"?)\n/settings/secret Secret is required but missing","fields":{"secret":"Secret is required but missing","secrets":"is not a setting of Acme (did you mean \"secret\"?)"},"ok":false}`},
		"an ambiguous route":        {"/authenticate", `{}`, 404, `{"error":"several destinations have this route: use /acme/authenticate or /braze-cohorts/authenticate","ok":false}`},
		"a deletion":                {"/acme/delete", `{"payload":{"userId":"u1"},"settings":{"secret":"hush"}}`, 200, `[{"request":{"url":"https://acme.example/delete/u1","method":"POST","headers":{"content-type":"application/json"},"body":"{}"},"response":{"statusCode":202,"statusMessage":"Accepted","headers":{"content-type":"application/json"},"body":{"path":"/delete/u1","said":""}}}]`},
		"a deletion without a user": {"/acme/delete", `{"payload":{},"settings":{"secret":"hush"}}`, 200, `[{"statusCode":400,"message":"User ID is required but missing","requestError":true}]`},
		"no deletions":              {"/braze-cohorts/delete", `{}`, 404, `{"error":"Braze Cohorts has no \"delete\"","ok":false}`},
		"choices":                   {"/send/plan", `{"settings":{"secret":"hush"},"page":1}`, 200, `{"choices":[{"label":"Gold","value":"gold"}],"nextPage":"after "}`},
		"the next choices":          {"/send/plan", `{"settings":{"secret":"hush"},"page":"2"}`, 200, `{"choices":[{"label":"Gold","value":"gold"}],"nextPage":"after 2"}`},
		"choices that do not come":  {"/send/plan", `{"settings":{"secret":"hush"},"query":"none"}`, 500, `{"error":"fetching the choices of plan: slow down","ok":false}`},
		"a field without choices":   {"/send/email", `{"settings":{"secret":"hush"}}`, 500, `{"error":"the field \"email\" of send has no choices to fetch","ok":false}`},
		"an unknown action":         {"/sendd", `{}`, 404, `{"error":"there is no action \"sendd\" (did you mean \"send\"?)","ok":false}`},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := post(h, c.path, c.body)
			assert.Equal(t, c.status, status)
			assert.JSONEq(t, c.want, body, body)
		})
	}
}

func TestAccess(t *testing.T) {
	keyed := serve(t, func(c *actionserver.Config) { c.Key = "the-key-of-this-server" })
	from := func(address string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = address } }
	bearer := func(key string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+key) }
	}
	for name, c := range map[string]struct {
		h      http.Handler
		change []func(*http.Request)
		want   int
	}{
		"this machine": {serve(t), nil, 200},
		"another":      {serve(t), []func(*http.Request){from("10.0.0.1:9")}, 401},
		"a host name that resolves to this machine": {serve(t), []func(*http.Request){func(r *http.Request) { r.Host = "evil.example" }}, 401},
		"a page in a browser":                       {serve(t), []func(*http.Request){func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }}, 415},
		"this machine without key":                  {keyed, nil, 401},
		"another with the key":                      {keyed, []func(*http.Request){from("10.0.0.1:9"), bearer("the-key-of-this-server")}, 200},
		"another with another's key":                {keyed, []func(*http.Request){from("10.0.0.1:9"), bearer("the-key-of-that-server")}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			status, _ := post(c.h, "/acme/authenticate", `{"secret":"hush"}`, c.change...)
			assert.Equal(t, c.want, status)
		})
	}
}

func TestLimits(t *testing.T) {
	h := serve(t, func(c *actionserver.Config) { c.MaxBody, c.Timeout, c.Parallel = 1000, 50*time.Millisecond, 1 })
	status, body := post(h, "/acme/authenticate", `{"secret":"`+strings.Repeat("x", 2000)+`"}`)
	assert.Equal(t, 413, status, body)
	slow := `{"payload":{"email":"slow@acme.example"},"settings":{"secret":"hush"}}`
	status, body = post(h, "/send", slow)
	assert.Equal(t, 200, status)
	assert.Contains(t, body, `"statusCode":503`)
	first := make(chan struct{})
	go func() { defer close(first); _, _ = post(h, "/send", slow) }()
	time.Sleep(10 * time.Millisecond) // the turn is taken
	began := time.Now()
	status, _ = post(h, "/send", slow)
	assert.Contains(t, []int{200, 503}, status)
	assert.Less(t, time.Since(began), 30*time.Second)
	<-first
}

func TestManifest(t *testing.T) {
	r := httptest.NewRequest("GET", "/acme/manifest", nil)
	r.RemoteAddr, r.Host = "127.0.0.1:9", "localhost"
	w := httptest.NewRecorder()
	serve(t).ServeHTTP(w, r)
	assert.Equal(t, 200, w.Code)
	assert.Contains(t, w.Body.String(), `"slug":"acme"`)
}

func TestUntestedCredentialsAreNotCalledGood(t *testing.T) {
	untested := acme()
	untested.Test = nil
	h := actionserver.New(actionserver.Config{Destinations: []actionserver.Destination{{Entry: entries(t, untested)[0], Transport: echo{}}}})
	_, body := post(h, "/authenticate", `{"secret":"other"}`)
	assert.JSONEq(t, `{"ok":true,"message":"not tested: this destination has no test of its credentials"}`, body)
}
