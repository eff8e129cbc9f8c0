package destinationtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// canary is a secret that is known wherever it shows.
func canary(key string) string { return "canary-of-" + key + "-6f1d0c9b27" }

// accessToken names the canary of access tokens.
const accessToken = "access-token"

// canaries are the secrets of an instance.
func (s *subject) canaries() []string {
	list := []string{canary(accessToken)}
	for _, key := range s.definition.Secrets() {
		list = append(list, canary(key))
	}
	return list
}

// withCanaries is an instance with a canary for each of its secrets.
func (s *subject) withCanaries(in config.Instance) config.Instance {
	var members []event.Member
	for _, key := range s.definition.Secrets() {
		members = append(members, event.Member{Key: key, Value: event.NewString(canary(key))})
	}
	in.Settings = destination.Overlay(in.Settings, event.NewObject(members))
	return in
}

// rig is a plan of a sample, what its requests go to, and all that people get to see of it.
type rig struct {
	plan *runtime.Plan
	wire *wire
	mu   sync.Mutex
	seen bytes.Buffer
}

// rig makes a plan of a sample. Without a remote, a fresh sandbox answers.
func (s *subject) rig(sm sample, remote http.RoundTripper) (*rig, error) {
	if remote == nil {
		remote = sandbox.Transport(s.plugin.Sandbox.New(nil))
	}
	r := &rig{wire: &wire{remote: remote}}
	host := runtime.Host{
		Transport: r.wire, Log: slog.New(slog.NewJSONHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Observe: func(x httpx.Exchange) { _ = json.NewEncoder(r).Encode(x) },
		Env: func(name string) (string, bool) {
			v := sm.env.Get(name)
			return v.Str(), v.IsString()
		},
	}
	if s.definition.TakesToken && sm.instance.AccessToken == "" {
		host.Token = func(context.Context, string, string) (string, error) { return canary(accessToken), nil }
	}
	var err error
	r.plan, err = runtime.New(s.plugin, s.definition, sm.instance, host)
	return r, err
}

// Write keeps what people get to see.
func (r *rig) Write(text []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen.Write(text)
}

func (r *rig) subscription() *runtime.Subscription { return r.plan.Subscriptions()[0] }

func (r *rig) requests() []string {
	r.wire.mu.Lock()
	defer r.wire.mu.Unlock()
	return r.wire.requests
}

// deliver takes payloads of one event to the handler in batches, as the queue does. The verdicts are index by index.
func (r *rig) deliver(ctx context.Context, e event.Event, payloads ...event.Value) []runtime.Verdict {
	verdicts := make([]runtime.Verdict, len(payloads))
	var batches runtime.Batches
	take := func(items []runtime.Item) {
		for i, v := range r.plan.Deliver(ctx, items) {
			verdicts[items[i].Index] = v
		}
	}
	for i, payload := range payloads {
		item, refused := r.plan.Item(r.subscription(), payload, i)
		if refused != nil {
			verdicts[i] = *refused
			continue
		}
		item.Event = e
		take(batches.Add(r.plan, item))
	}
	for _, b := range batches.Rest() {
		take(b.Items)
	}
	return verdicts
}

// wire keeps what is sent.
type wire struct {
	remote   http.RoundTripper
	mu       sync.Mutex
	requests []string
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s\n", r.Method, r.URL)
	_ = r.Header.Write(&text)
	text.Write(body)
	w.mu.Lock()
	w.requests = append(w.requests, text.String())
	w.mu.Unlock()
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	return w.remote.RoundTrip(again)
}

// remote is a remote as a function.
type remote func(*http.Request) (*http.Response, error)

func (f remote) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var errNoAnswer = errors.New("the connection was reset")

// answers is a remote that says the same to everything. A status of 0 is no answer.
func answers(status int, body string, header ...string) remote {
	return func(r *http.Request) (*http.Response, error) {
		if status == 0 {
			return nil, errNoAnswer
		}
		h := http.Header{"Content-Type": {"application/json"}}
		for i := 0; i+1 < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{
			StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h,
			Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
		}, nil
	}
}
