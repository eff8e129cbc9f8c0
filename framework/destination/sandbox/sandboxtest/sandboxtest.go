// Package sandboxtest connects the tests of a destination to its sandbox over a real socket, with the redirect of
// --sandbox-url, and records the redacted exchanges.
//
// It is for tests only. A Remote is safe for concurrent use.
package sandboxtest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// Remote is a destination's sandbox on a socket.
type Remote struct {
	t      *testing.T
	plugin destination.Plugin
	URL    string

	mu        sync.Mutex
	exchanges []httpx.Exchange
}

// Start starts the sandbox of a destination with command-line options. It stops when the test ends.
func Start(t *testing.T, plugin destination.Plugin, options map[string][]string) *Remote {
	server := httptest.NewServer(plugin.Sandbox.New(options))
	t.Cleanup(server.Close)
	return &Remote{t: t, plugin: plugin, URL: server.URL}
}

// Plan compiles an instance, given as in a config, whose requests go to the sandbox.
func (r *Remote) Plan(instance string, host runtime.Host) *runtime.Plan {
	definition, err := r.plugin.Load()
	require.NoError(r.t, err)
	to, err := url.Parse(r.URL)
	require.NoError(r.t, err)
	base := httpx.NewTransport(httpx.TransportConfig{})
	r.t.Cleanup(base.CloseIdleConnections)
	host.Transport = httpx.Redirect(base, to)
	host.Observe = func(x httpx.Exchange) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.exchanges = append(r.exchanges, x)
	}
	plan, err := runtime.New(r.plugin, definition, config.InstanceOf(event.MustParse(instance)), host)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { _ = plan.Close(context.Background()) })
	return plan
}

// RunBatch runs events through a plan as one batch. It returns each outcome, followed by a colon and the reason if there is
// one.
func (r *Remote) RunBatch(plan *runtime.Plan, events ...string) []string {
	list := make([]event.Event, len(events))
	for i, text := range events {
		e, err := event.Parse([]byte(text))
		require.NoError(r.t, err)
		list[i] = e
	}
	var outcomes []string
	for _, verdicts := range plan.RunBatch(r.t.Context(), list) {
		for _, v := range verdicts {
			outcomes = append(outcomes, strings.TrimSuffix(string(v.Outcome)+": "+v.Reason, ": "))
		}
	}
	return outcomes
}

// Transcript returns the redacted exchanges so far as JSON.
func (r *Remote) Transcript() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, err := json.Marshal(r.exchanges)
	require.NoError(r.t, err)
	return string(text)
}

// Requests returns the number of requests so far.
func (r *Remote) Requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.exchanges)
}

// AddFault makes the next requests fail.
func (r *Remote) AddFault(text string) {
	response, err := http.Post(r.URL+"/__sandbox/faults", "application/json", strings.NewReader(text))
	require.NoError(r.t, err)
	defer response.Body.Close()
	require.Equal(r.t, http.StatusOK, response.StatusCode)
}

// State returns the data of the sandbox.
func (r *Remote) State() event.Value {
	response, err := http.Get(r.URL + "/__sandbox/state")
	require.NoError(r.t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	v, err := event.ParseValue(raw)
	require.NoError(r.t, err)
	return v
}
