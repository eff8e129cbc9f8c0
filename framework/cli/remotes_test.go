package cli

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
)

// newBrazeSandbox starts a Braze sandbox on a port.
func newBrazeSandbox(t *testing.T, poison ...string) *httptest.Server {
	for _, sb := range allSandboxes(destinations.All()) {
		if sb.Name == "braze" {
			server := httptest.NewServer(sb.New(map[string][]string{"poison-users": poison}))
			t.Cleanup(server.Close)
			return server
		}
	}
	require.Fail(t, "there is no sandbox of Braze")
	return nil
}

// members returns the members of each cohort in a sandbox.
func members(t *testing.T, sandbox string) map[string]map[string]bool {
	answer, err := http.Get(sandbox + "/__sandbox/state")
	require.NoError(t, err)
	defer answer.Body.Close()
	var state struct {
		Cohorts map[string]struct {
			Members struct {
				Users []string `json:"user_ids"`
			}
		}
	}
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&state))
	got := map[string]map[string]bool{}
	for id, c := range state.Cohorts {
		got[id] = map[string]bool{}
		for _, user := range c.Members.Users {
			got[id][user] = true
		}
	}
	return got
}

// injectFaults makes requests to a sandbox fail.
func injectFaults(t *testing.T, sandbox, text string) {
	answer, err := http.Post(sandbox+"/__sandbox/faults", "application/json", strings.NewReader(text))
	require.NoError(t, err)
	body, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	require.Equal(t, 200, answer.StatusCode, "%s", body)
}

const users = "/partners/segment/cohorts/users"

// newHangingServer starts a server that never answers.
func newHangingServer(t *testing.T) string {
	end := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { close(end); server.Close() })
	return server.URL
}

// newHostRouter starts a server that forwards requests by their host.
func newHostRouter(t *testing.T, to map[string]string) string {
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			target, err := url.Parse(to[r.In.Header.Get("X-Forwarded-Host")])
			if err == nil && target.Host != "" {
				r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			}
		},
		ErrorLog: log.New(io.Discard, "", 0),
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) {
			panic(http.ErrAbortHandler) // a dropped connection stays one
		},
	})
	t.Cleanup(server.Close)
	return server.URL
}
