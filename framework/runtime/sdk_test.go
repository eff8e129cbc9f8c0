package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// runSDK performs an event with a handler that sends with an http.Client, and checks the verdict, what the server saw, and what is shown.
func runSDK(t *testing.T, path string, fromEvent, follow bool, want string, seen []string) {
	t.Helper()
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, password, _ := r.BasicAuth()
		got = append(got, strings.Join([]string{r.Method, r.URL.RequestURI(), user + ":" + password, string(body), r.Header.Get("X-Own"), r.Header.Get("Content-Type")}, " "))
		switch r.URL.Path {
		case "/refused":
			w.WriteHeader(http.StatusBadRequest)
		case "/away":
			http.Redirect(w, r, "https://evil.example/", http.StatusFound)
		}
	}))
	defer server.Close()
	perform := func(ctx context.Context, call destination.Call[empty, empty]) (*destination.Response, error) {
		client := call.Client.HTTPClient()
		if follow {
			client = &http.Client{Transport: call.Client}
		}
		if fromEvent {
			ctx = httpx.FromEvent(ctx)
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+path, io.NopCloser(strings.NewReader("hello")))
		if err != nil {
			return nil, err
		}
		r.Header.Set("X-Own", "yes")
		r.Header.Set("Content-Type", "text/csv")
		response, err := client.Do(r)
		if err != nil {
			return nil, err
		}
		_ = response.Body.Close()
		return &destination.Response{Status: response.StatusCode}, nil
	}
	plugin := destination.Plugin{
		Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(`
name: A
slug: a
mode: cloud
authentication: {scheme: basic, fields: {username: {label: U, type: string}, password: {label: P, type: password}}}
request: {query: {app: landfall}}
actions: {send: {title: Send, defaultSubscription: type = "track", fields: {}}}
`)}},
		Actions: map[string]destination.Action{"send": destination.Handle(destination.Handler[empty, empty]{Perform: perform})},
	}
	d, err := plugin.Load()
	require.NoError(t, err)
	var shown []string
	base := httpx.NewTransport(httpx.TransportConfig{})
	defer base.CloseIdleConnections()
	plan, err := runtime.New(plugin, d, instanceOf(`{"id":"i","settings":{"username":"ann","password":"s3cret-password"},"subscriptions":[{"action":"send"}]}`),
		runtime.Host{Transport: base, Observe: func(x httpx.Exchange) { shown = append(shown, fmt.Sprint(x)) }})
	require.NoError(t, err)
	v := plan.RunBatch(t.Context(), events(t, `{"type":"track"}`))[0][0]
	text := fmt.Sprint(v.Outcome, " ", v.Reason)
	if v.Outcome == runtime.Delivered {
		text = fmt.Sprint(v.Outcome, " ", v.Status)
	}
	assert.Contains(t, text, want)
	assert.Equal(t, seen, got)
	assert.NotEmpty(t, shown)
	for _, x := range shown {
		assert.NotContains(t, x, "s3cret-password")
	}
}

// TestSDKsSendWithTheClient sends with an http.Client of the instance's client, as an SDK does, to a real server.
func TestSDKsSendWithTheClient(t *testing.T) {
	for _, c := range []struct {
		name, path string
		fromEvent  bool
		follow     bool // with an http.Client of its own, which follows redirects
		want       string
		seen       []string
	}{
		{name: "a request", path: "/ok", want: "delivered 200", seen: []string{"POST /ok?app=landfall ann:s3cret-password hello yes text/csv"}},
		{name: "a refusal is a response", path: "/refused", want: "delivered 400", seen: []string{"POST /refused?app=landfall ann:s3cret-password hello yes text/csv"}},
		{name: "a redirect is a response", path: "/away", want: "delivered 302", seen: []string{"POST /away?app=landfall ann:s3cret-password hello yes text/csv"}},
		{name: "a redirect is not followed", path: "/away", follow: true, want: "refused the remote answered with a redirect to evil.example, which is not followed: use Client.HTTPClient, whose redirects are responses",
			seen: []string{"POST /away?app=landfall ann:s3cret-password hello yes text/csv"}},
		{name: "a host from an event", path: "/ok", fromEvent: true, want: "because 127.0.0.1 is a loopback address"},
	} {
		t.Run(c.name, func(t *testing.T) { runSDK(t, c.path, c.fromEvent, c.follow, c.want, c.seen) })
	}
}

// instanceOf returns the config of an instance.
func instanceOf(text string) config.Instance { return config.InstanceOf(event.MustParse(text)) }

// TestBodiesOfSDKs checks bodies that cannot be sent.
func TestBodiesOfSDKs(t *testing.T) {
	client := destination.NewClient(httpx.New(httpx.Config{Base: answers(func(*http.Request, string) (int, string) { return 200, "{}" })}), nil)
	send := func(body io.Reader) error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://a.example.com/", body)
		require.NoError(t, err)
		response, err := client.HTTPClient().Do(r)
		if err == nil {
			err = response.Body.Close()
		}
		return err
	}
	assert.NoError(t, send(nil))
	assert.NoError(t, send(strings.NewReader("x")))
	assert.ErrorContains(t, send(errorReader{}), "reading the request body: no disk")
	err := send(strings.NewReader(strings.Repeat("x", httpx.DefaultMaxBytes+1)))
	var known *fault.Error
	require.True(t, errors.As(err, &known))
	assert.Equal(t, http.StatusRequestEntityTooLarge, known.Status)
	assert.False(t, known.Retry)
}

// errorReader fails.
type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errors.New("no disk") }

// TestWhatActionsRead checks that handlers get the event and the mapping only if the action says so.
func TestWhatActionsRead(t *testing.T) {
	for reads, want := range map[string]string{
		"":                 "[ ] [ ]",
		"[event]":          `[{"type":"track","n":1} ] [{"type":"track","n":2} ]`,
		"[mapping]":        `[ {"n":{"@path":"$.n"},"x":1}] [ {"n":{"@path":"$.n"},"x":1}]`,
		"[event, mapping]": `[{"type":"track","n":1} {"n":{"@path":"$.n"},"x":1}] [{"type":"track","n":2} {"n":{"@path":"$.n"},"x":1}]`,
	} {
		text := "name: A\nslug: a\nmode: cloud\nauthentication: {scheme: none}\nactions:\n  send:\n    title: Send\n" +
			"    fields: {n: {label: N, type: integer, default: {\"@path\": $.n}}, x: {label: X, type: integer}}\n"
		if reads != "" {
			text += "    reads: " + reads + "\n"
		}
		for _, batched := range []bool{false, true} {
			var got []string
			h := destination.Handler[empty, empty]{Perform: func(_ context.Context, call destination.Call[empty, empty]) (*destination.Response, error) {
				got = append(got, fmt.Sprintf("[%s %s]", call.Event.JSON(), call.Mapping.JSON()))
				return nil, nil
			}}
			if batched {
				h = destination.Handler[empty, empty]{PerformBatch: func(_ context.Context, call destination.BatchCall[empty, empty]) (*destination.MultiStatus, error) {
					for i := range call.Payloads {
						got = append(got, fmt.Sprintf("[%s %s]", call.Event(i).JSON(), call.Mapping.JSON()))
					}
					return nil, nil
				}}
			}
			plugin := destination.Plugin{Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(text)}}, Actions: map[string]destination.Action{"send": destination.Handle(h)}}
			d, err := plugin.Load()
			require.NoError(t, err)
			plan, err := runtime.New(plugin, d, instanceOf(`{"id":"i","subscriptions":[{"action":"send","subscribe":"type = \"track\"","mapping":{"x":1},"useDefaultMappings":true}]}`), runtime.Host{})
			require.NoError(t, err)
			plan.RunBatch(t.Context(), events(t, `{"type":"track","n":1}`, `{"type":"track","n":2}`))
			assert.Equal(t, want, strings.Join(got, " "), "%s %v", reads, batched)
		}
	}
	_, err := destination.ParseDefinition("d.yaml", []byte("name: A\nslug: a\nmode: cloud\nauthentication: {scheme: none}\nactions: {send: {title: S, fields: {}, reads: [event], request: {url: \"https://a.example.com\"}}}"))
	assert.ErrorContains(t, err, "d.yaml:5:47: /actions/send/reads is for handlers in Go: a request reads the payload")
	_, err = destination.ParseDefinition("d.yaml", []byte("name: A\nslug: a\nmode: cloud\nauthentication: {scheme: none}\nactions: {send: {title: S, fields: {}, reads: [events]}}"))
	assert.ErrorContains(t, err, `did you mean "event"?`)
}
