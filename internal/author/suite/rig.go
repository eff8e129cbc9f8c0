package suite

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// canaryFor returns a secret that is easy to find in texts.
func canaryFor(key string) string { return "canary-of-" + key + "-6f1d0c9b27" }

// accessToken is the key of the access token's canary.
const accessToken = "access-token"

// secretCanaries returns the canaries of an instance's secrets.
func (s *subject) secretCanaries() []string {
	list := []string{canaryFor(accessToken)}
	for _, key := range s.definition.Secrets() {
		list = append(list, canaryFor(key))
	}
	return list
}

// withCanaries returns an instance whose secrets are canaries.
func (s *subject) withCanaries(in config.Instance) config.Instance {
	var members []event.Member
	for _, key := range s.definition.Secrets() {
		members = append(members, event.Member{Key: key, Value: event.NewString(canaryFor(key))})
	}
	in.Settings = destination.Overlay(in.Settings, event.NewObject(members))
	return in
}

// rig is a plan for a sample, with the requests that it sends and all output that users see.
type rig struct {
	plan     *runtime.Plan
	recorder *recorder
	mu       sync.Mutex
	output   bytes.Buffer
}

// newRig returns a rig for a sample. If remote is nil, a new sandbox is used.
func (s *subject) newRig(sm sample, remote http.RoundTripper) (*rig, error) {
	if remote == nil {
		remote = sandbox.Transport(s.plugin.Sandbox.New(nil))
	}
	r := &rig{recorder: &recorder{remote: remote}}
	host := runtime.Host{
		Transport: r.recorder, Log: slog.New(slog.NewJSONHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Observe: func(x httpx.Exchange) { _ = json.NewEncoder(r).Encode(x) },
		Env: func(name string) (string, bool) {
			v := sm.env.Get(name)
			return v.Str(), v.IsString()
		},
	}
	if s.definition.TakesToken && sm.instance.AccessToken == "" {
		host.Token = func(context.Context, string, string) (string, error) { return canaryFor(accessToken), nil }
	}
	var err error
	if r.plan, err = runtime.New(s.plugin, s.definition, sm.instance, host); err == nil {
		s.plans = append(s.plans, r.plan)
	}
	return r, err
}

// Write records output that users see.
func (r *rig) Write(text []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.output.Write(text)
}

func (r *rig) firstSubscription() *runtime.Subscription { return r.plan.Subscriptions()[0] }

func (r *rig) sentRequests() []string {
	r.recorder.mu.Lock()
	defer r.recorder.mu.Unlock()
	return r.recorder.requests
}

// deliverPayloads delivers payloads of one event in batches, as the queue does. The verdicts are by index.
func (r *rig) deliverPayloads(ctx context.Context, e event.Event, payloads ...event.Value) []runtime.Verdict {
	verdicts := make([]runtime.Verdict, len(payloads))
	var batches runtime.Batches
	take := func(items []runtime.Item) {
		for i, v := range r.plan.Deliver(ctx, items) {
			verdicts[items[i].Index] = v
		}
	}
	for i, payload := range payloads {
		item, refused := r.plan.NewItem(r.firstSubscription(), payload, i)
		if refused != nil {
			verdicts[i] = *refused
			continue
		}
		item.Event = e
		take(batches.Add(r.plan, item))
	}
	for _, b := range batches.Flush() {
		take(b.Items)
	}
	return verdicts
}

// deliverDecided delivers the payload of a sample until it is not to be retried, at most five times: another plan may have created
// meanwhile what this one wanted to create, which the next attempt finds.
func (r *rig) deliverDecided(ctx context.Context, sm sample) []runtime.Verdict {
	var verdicts []runtime.Verdict
	for range 5 {
		verdicts = r.deliverPayloads(ctx, sm.event, sm.payload)
		if !slices.ContainsFunc(verdicts, func(v runtime.Verdict) bool { return v.Outcome == runtime.Retry }) {
			break
		}
	}
	return verdicts
}

// recorder is a transport that records requests.
type recorder struct {
	remote   http.RoundTripper
	mu       sync.Mutex
	requests []string
}

func (w *recorder) RoundTrip(r *http.Request) (*http.Response, error) {
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

// remoteFunc is a remote as a function.
type remoteFunc func(*http.Request) (*http.Response, error)

func (f remoteFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var errNoAnswer = errors.New("the connection was reset")

// respondWith returns a remote with the same response to every request. A status of 0 means no response.
func respondWith(status int, body string, header ...string) remoteFunc {
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
