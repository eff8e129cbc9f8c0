package actionserver_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/server/actionserver"
)

// transport answers requests with a function.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answering returns a transport that answers with a status, headers and a body.
func answering(status int, body string, headers ...string) transport {
	return func(*http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Add(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.WriteString(body)
		return w.Result(), nil
	}
}

// entries loads plugins.
func entries(t *testing.T, plugins ...destination.Plugin) []destination.Entry {
	t.Helper()
	registry, err := destination.NewRegistry(plugins)
	require.NoError(t, err)
	entries, err := registry.Entries()
	require.NoError(t, err)
	return entries
}

// only returns a Handler for one destination.
func only(t *testing.T, p destination.Plugin, base http.RoundTripper, change ...func(*actionserver.Config)) *actionserver.Handler {
	t.Helper()
	c := actionserver.Config{Destinations: []actionserver.Destination{{Entry: entries(t, p)[0], Transport: base}}}
	for _, f := range change {
		f(&c)
	}
	return actionserver.New(c)
}

const sendOne = `{"payload":{"email":"a@acme.example"},"settings":{"secret":"hush"}}`

// TestAnswersOfTheRemote checks the response for each answer of the remote: what it refuses is a failure, and other answers are shown.
func TestAnswersOfTheRemote(t *testing.T) {
	for _, c := range []struct {
		remote transport
		want   string
	}{
		{answering(200, "plain text", "X-A", "1", "X-A", "2"), `"response":{"statusCode":200,"statusMessage":"OK","headers":{"x-a":"1, 2"},"body":"plain text"}`},
		{answering(200, `{"b":1}`), `"body":{"b":1}}`},
		{answering(204, ""), `"statusCode":204,"statusMessage":"No Content","headers":{},"body":""}`},
		{answering(400, `{"message":"bad"}`), `"statusCode":400,"message":"`},
		{answering(503, ""), `"statusCode":503,"message":"`},
		{func(*http.Request) (*http.Response, error) { return nil, errors.New("cut off") }, `"message":"`},
	} {
		status, body := post(only(t, acme(), c.remote), "/send", sendOne)
		assert.Equal(t, 200, status)
		assert.Contains(t, body, c.want)
		assert.NotContains(t, body, "hush")
		refused := strings.Contains(c.want, `"message":"`)
		assert.Equal(t, refused, strings.Contains(body, `"requestError":true`), body)
		_, list := post(only(t, acme(), c.remote), "/send", `{"payload":[{"email":"a@acme.example"}],"mapping":{"email":{"@path":"$.email"}},"settings":{"secret":"hush"}}`)
		assert.Equal(t, refused, strings.Contains(list, `"errormessage"`), list)
	}
	for status, refused := range map[int]bool{200: false, 404: true, 503: true} {
		_, body := post(only(t, acme(), answering(status, "{}")), "/delete", `{"payload":{"userId":"u1"},"settings":{"secret":"hush"}}`)
		assert.Equal(t, refused, strings.Contains(body, `"requestError":true`), "%d %s", status, body)
	}
	_, body := post(only(t, acme(), answering(200, "")), "/delete", `{"payload":{"anonymousId":"a1"},"settings":{"secrets":"hush"}}`)
	assert.Contains(t, body, `"fields":{"secret":"Secret is required but missing","secrets":"`)
	assert.Contains(t, body, `"statusCode":400`)
}

// TestMappings checks which mapping applies: that of the body, over the defaults of the fields; without both, the payload.
func TestMappings(t *testing.T) {
	defaults := acme()
	defaults.Definition = fstest.MapFS{destination.DefinitionFile: {Data: []byte(strings.Replace(definition, "required: true}, plan:", `required: true, default: {"@path": $.mail}}, plan:`, 1))}}
	for _, c := range []struct {
		plugin  destination.Plugin
		body    string
		works   bool
		because string
	}{
		{acme(), `{"payload":{"email":"a@acme.example"}`, true, "the payload is the mapping"},
		{acme(), `{"payload":{"email":"a@acme.example"},"mapping":{}`, true, "an empty mapping is none"},
		{acme(), `{"payload":[{"email":"a@acme.example"}]`, true, "the first payload is the mapping"},
		{acme(), `{"payload":{"email":"a@acme.example"},"mapping":{"plan":"x"}`, false, "the mapping has no email"},
		{acme(), `{"payload":{"email":"a@acme.example"},"mapping":["email"]`, false, "a list is no mapping"},
		{acme(), `{"mapping":{"email":"a@acme.example"}`, true, "no payload is an empty event"},
		{acme(), `{"payload":[]`, true, "no events"},
		{defaults, `{"payload":{"mail":"a@acme.example"}`, true, "the default is the mapping"},
		{defaults, `{"payload":{"email":"a@acme.example"}`, false, "the payload is not the mapping if there is a default"},
		{defaults, `{"payload":{"mail":"no address"},"mapping":{"email":"b@acme.example"}`, true, "the mapping replaces the default"},
	} {
		status, body := post(only(t, c.plugin, answering(200, "{}")), "/send", c.body+`,"settings":{"secret":"hush"}}`)
		assert.Equal(t, 200, status, c.because)
		assert.Equal(t, c.works, !strings.Contains(body, "rror"), "%s: %s", c.because, body)
	}
}

// TestRequestsThatAreNoJSONPost checks methods, paths, content types and bodies at the edges.
func TestRequestsThatAreNoJSONPost(t *testing.T) {
	h := serve(t, func(c *actionserver.Config) { c.MaxBody, c.MaxEvents = 200, 2 })
	method := func(m string) func(*http.Request) { return func(r *http.Request) { r.Method = m } }
	kind := func(k string) func(*http.Request) { return func(r *http.Request) { r.Header.Set("Content-Type", k) } }
	ok := `{"secret":"hush"}`
	for _, c := range []struct {
		path, body string
		change     func(*http.Request)
		want       int
		says       string
	}{
		{"/acme/authenticate", ok, method("PUT"), 405, "send a POST"},
		{"/acme/authenticate", ok, method("GET"), 405, "send a POST"},
		{"/acme/manifest", ok, method("POST"), 404, `Acme has no \"manifest\"`},
		{"/acme/manifest/x", ok, method("GET"), 405, "send a POST"},
		{"/acme/send/plan/x", ok, method("POST"), 404, `no \"send/plan/x\"`},
		{"/acme/other/plan", ok, method("POST"), 404, `no \"other/plan\"`},
		{"/acme/createAudience", ok, method("POST"), 404, `no \"createAudience\"`},
		{"/acme/getAudience", ok, method("POST"), 404, `no \"getAudience\"`},
		{"/", ok, method("POST"), 404, `there is no action \"\"`},
		{"/acme/authenticate/", ok, method("POST"), 200, `"ok":true`},
		{"/acme/authenticate", ok, kind("application/json; charset=utf-8"), 200, `"ok":true`},
		{"/acme/authenticate", ok, kind(""), 415, "the body must be JSON"},
		{"/acme/authenticate", `{"secret":`, kind("application/json"), 400, "the body is not valid JSON"},
		{"/acme/authenticate", ok + strings.Repeat(" ", 200-len(ok)), kind("application/json"), 200, `"ok":true`},
		{"/acme/authenticate", ok + strings.Repeat(" ", 201-len(ok)), kind("application/json"), 413, "is larger than 0 KB"},
		{"/acme/send", `{"payload":[{"email":"x"},{}],"settings":{"secret":"hush"}}`, method("POST"), 200, `"status":400`},
		{"/acme/send", `{"payload":[{},{},{}],"settings":{"secret":"hush"}}`, method("POST"), 200, "the payload has 3 events, and the maximum is 2"},
	} {
		status, body := post(h, c.path, c.body, c.change)
		assert.Equal(t, c.want, status, c.path)
		assert.Contains(t, body, c.says, c.path)
	}
	r := httptest.NewRequest("PUT", "/acme/send", nil)
	r.RemoteAddr, r.Host = "127.0.0.1:9", "localhost"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	assert.Equal(t, []string{"POST", "application/json"}, []string{w.Header().Get("Allow"), w.Header().Get("Content-Type")})
}

// TestWrongKeysAreLimited checks that an address with too many wrong keys is told when to come back, also with the right key.
func TestWrongKeysAreLimited(t *testing.T) {
	h := serve(t, func(c *actionserver.Config) { c.Key = "the-key-of-this-server" })
	try := func(key string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/acme/manifest", nil)
		r.RemoteAddr = "192.0.2.1:9"
		r.Header.Set("Authorization", "Bearer "+key)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	assert.Equal(t, 200, try("the-key-of-this-server").Code)
	first := try("wrong")
	assert.Equal(t, []any{401, "Bearer", ""}, []any{first.Code, first.Header().Get("WWW-Authenticate"), first.Header().Get("Retry-After")})
	for range 20 {
		try("wrong")
	}
	limited := try("the-key-of-this-server")
	assert.Equal(t, 429, limited.Code)
	assert.NotEmpty(t, limited.Header().Get("Retry-After"))
	assert.Contains(t, limited.Body.String(), "too many wrong keys")
}

// TestConcurrentRequestsAreLimited checks that a request waits for a slot, as long as its client does.
func TestConcurrentRequestsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := serve(t, func(c *actionserver.Config) { c.Timeout, c.Parallel = time.Minute, 1 })
		slow := `{"payload":{"email":"slow@acme.example"},"settings":{"secret":"hush"}}`
		done := make(chan string)
		go func() { _, body := post(h, "/send", slow); done <- body }()
		synctest.Wait()
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		status, body := post(h, "/acme/authenticate", `{"secret":"hush"}`, func(r *http.Request) { *r = *r.WithContext(impatient) })
		assert.Equal(t, 503, status)
		assert.Contains(t, body, "too many concurrent requests")
		waiting := make(chan int)
		go func() {
			status, _ := post(h, "/acme/authenticate", `{"secret":"hush"}`, func(r *http.Request) { *r = *r.WithContext(t.Context()) })
			waiting <- status
		}()
		time.Sleep(30 * time.Second)
		assert.Contains(t, <-done, `"statusCode":503`, "the time of a request is limited")
		assert.Equal(t, 200, <-waiting)
	})
}

// TestAudiences checks the routes that create an audience and look one up.
func TestAudiences(t *testing.T) {
	p := acme()
	p.Definition = fstest.MapFS{destination.DefinitionFile: {Data: []byte(definition + "audienceConfig: {mode: {type: synced, full_audience_sync: false}}\n")}}
	var asked []destination.AudienceInput
	p.CreateAudience = func(_ context.Context, in destination.AudienceInput) (string, error) {
		asked = append(asked, in)
		if in.Name == "refused" {
			return "", errors.New("no such plan")
		}
		return "created-" + in.Key, nil
	}
	p.GetAudience = func(_ context.Context, in destination.AudienceInput) (string, error) {
		asked = append(asked, in)
		return "found-" + in.ExternalID, nil
	}
	h := only(t, p, answering(200, "{}"))
	const settings = `,"settings":{"secret":"hush"}}`
	for _, c := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/createAudience", `{"audienceName":"VIP","personas":{"computation_key":"vip","computation_id":"aud_1"}` + settings, 200, `{"externalId":"created-vip"}`},
		{"/createAudience", `{"audienceName":"VIP"` + settings, 200, `{"externalId":"created-VIP"}`},
		{"/getAudience", `{"audienceName":"VIP","externalId":"e1"` + settings, 200, `{"externalId":"e1"}`},
		{"/createAudience", `{"audienceName":"refused"` + settings, 400, "no such plan"},
		{"/createAudience", `{"audienceName":"VIP"}`, 400, "Secret is required but missing"},
	} {
		status, body := post(h, c.path, c.body)
		assert.Equal(t, c.status, status, c.body)
		assert.Contains(t, body, c.want)
	}
	require.Len(t, asked, 4)
	assert.Equal(t, []string{"vip", "aud_1", "VIP"}, []string{asked[0].Key, asked[0].ID, asked[0].Name})
	assert.Equal(t, []string{"VIP", "", "e1"}, []string{asked[2].Key, asked[2].ID, asked[2].ExternalID})
}
