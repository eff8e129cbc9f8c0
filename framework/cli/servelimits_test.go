package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
)

// countingRemote is a simulated Braze that records when requests arrive, and can answer with 429.
type countingRemote struct {
	*httptest.Server
	mu      sync.Mutex
	arrived []time.Time
	refuse  bool // answer with 429 from now on
}

func newCountingRemote(t *testing.T) *countingRemote {
	box, r := newBrazeSandbox(t), &countingRemote{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if strings.HasPrefix(request.URL.Path, "/__sandbox/") {
			box.Config.Handler.ServeHTTP(w, request)
			return
		}
		r.mu.Lock()
		r.arrived = append(r.arrived, time.Now())
		refuse := r.refuse
		r.mu.Unlock()
		if refuse {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		box.Config.Handler.ServeHTTP(w, request)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *countingRemote) requests() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.arrived
}

// enter accepts an event of a user who enters an audience of its own, which takes two requests.
func (s *served) enter(writeKey, audience string) {
	s.t.Helper()
	event := fmt.Sprintf(`{"type":"track","event":"Audience Entered","userId":"u1","messageId":"%s","properties":{"%s":true},
		"context":{"personas":{"computation_class":"audience","computation_id":"%s","computation_key":"%s"}}}`, audience, audience, audience, audience)
	r, err := http.NewRequest(http.MethodPost, s.url+"/v1/track", strings.NewReader(event))
	require.NoError(s.t, err)
	r.SetBasicAuth(writeKey, "")
	answer, err := s.client.Do(r)
	require.NoError(s.t, err)
	_ = answer.Body.Close()
	require.Equal(s.t, 200, answer.StatusCode)
}

// statusOf waits until the status of an instance is as expected.
func (s *served) statusOf(instance string, expected func(delivery.Status) bool) {
	s.t.Helper()
	var found delivery.Status
	assert.Eventually(s.t, func() bool {
		code, text := s.ask("/admin/status", "Authorization", "Bearer "+s.admin.Token)
		var list []delivery.Status
		if code != 200 || json.Unmarshal([]byte(text), &list) != nil {
			return false
		}
		for _, status := range list {
			if status.Instance == instance {
				found = status
				return expected(status)
			}
		}
		return false
	}, 60*time.Second, 50*time.Millisecond)
	if s.t.Failed() {
		text, _ := json.Marshal(found)
		s.t.Logf("the status is %s", text)
		s.t.FailNow()
	}
}

// sharedConfig is two instances that share a budget.
func sharedConfig(limits, second string) string {
	instance := func(id, source string) string {
		return strings.Replace(strings.Replace(serveConfig[strings.Index(serveConfig, "  - id:"):], "braze-main", id, 1), "sources: [web]", "sources: ["+source+"]\n    limits: {budget: crm, concurrency: 1}", 1)
	}
	return "sources: [{id: web, writeKey: wk}, {id: shop, writeKey: shop}]\ndelivery: {linger: 10ms}\nbudgets: {crm: " + limits + "}\ndestinations:\n" + instance("one", "web") + instance("two", second)
}

// TestServeAndCommandsShareABudget checks that a server and a command beside it, or on another machine with the same cluster, never send more
// together than the budget of both allows.
func TestServeAndCommandsShareABudget(t *testing.T) {
	t.Parallel()
	config := sharedConfig("{requestsPerHour: 8, hourWindow: sliding}", "web")
	t.Run("on its machine", func(t *testing.T) { testSharedWithCommands(t, config, false) })
	t.Run("on another machine", func(t *testing.T) {
		cluster := newNATSServer(t)
		testSharedWithCommands(t, fmt.Sprintf("nats: {url: %q, replicas: 1}\n", cluster)+config, true)
	})
}

func testSharedWithCommands(t *testing.T, config string, elsewhere bool) {
	remote := newCountingRemote(t)
	s := newServed(t, config, "--sandbox-url", remote.URL)
	s.start()
	file := filepath.Join(s.dir, "landfall.yaml")
	if elsewhere {
		file = filepath.Join(t.TempDir(), "landfall.yaml")
		require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	}
	program, err := binary()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "users.csv"), []byte("external_id\nu1\n"), 0o600))
	sync := func(audience string, most time.Duration) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), most)
		defer cancel()
		var out bytes.Buffer
		c := exec.CommandContext(ctx, program, "sync", "--sandbox-url", remote.URL, "--config", file, "--instance", "one", "--audience", audience, filepath.Join(s.dir, "users.csv"))
		c.Stdout, c.Stderr = &out, &out
		err := c.Run()
		return out.String(), err
	}
	out, err := sync("command", time.Minute)
	require.NoError(t, err, out)
	require.Len(t, remote.requests(), 2, "the audience and its user")
	for i := range 6 {
		s.enter("wk", fmt.Sprintf("aud_%d", i))
	}
	s.statusOf("two", func(status delivery.Status) bool {
		return status.Limits != nil && len(status.Limits.Budget.Windows) == 1 && status.Limits.Budget.Windows[0].Used == 8 && status.Limits.Budget.Windows[0].Resets.After(time.Now())
	})
	s.statusOf("one", func(delivery.Status) bool { return len(remote.requests()) == 8 })
	out, err = sync("later", 4*time.Second)
	require.Error(t, err, "it waits: "+out)
	assert.Len(t, remote.requests(), 8)
	code, metrics := s.ask("/metrics", "Authorization", "Bearer "+s.admin.Token)
	require.Equal(t, 200, code)
	assert.Regexp(t, `landfall_budget_used\{budget="budget crm",instance="one",per="1h",unit="requests"\} 8`, metrics)
	s.kill(syscall.SIGINT)
}

// TestServeKeepsALimitPerSecond checks the shortest time that requests take.
func TestServeKeepsALimitPerSecond(t *testing.T) {
	t.Parallel()
	remote := newCountingRemote(t)
	s := newServed(t, sharedConfig("{requestsPerSecond: 5}", "web"), "--sandbox-url", remote.URL)
	s.start()
	began := time.Now()
	for i := range 4 {
		s.enter("wk", fmt.Sprintf("aud_%d", i))
	}
	s.statusOf("one", func(delivery.Status) bool { return len(remote.requests()) == 16 })
	assert.Greater(t, time.Since(began), 3*time.Second, "16 requests with 5 in any second")
	s.kill(syscall.SIGINT)
}

// TestARefusalPausesAllThatShareABudget checks that after a 429 for one instance none of the budget sends, and that the status says until when.
func TestARefusalPausesAllThatShareABudget(t *testing.T) {
	t.Parallel()
	remote := newCountingRemote(t)
	remote.refuse = true
	s := newServed(t, sharedConfig("{requestsPerSecond: 1000}", "shop"), "--sandbox-url", remote.URL)
	s.start()
	s.enter("wk", "first")
	paused := func(status delivery.Status) bool {
		return status.Limits != nil && status.Limits.Budget.PausedUntil.After(time.Now().Add(time.Minute))
	}
	s.statusOf("one", paused)
	require.Len(t, remote.requests(), 1)
	s.enter("shop", "second")
	s.statusOf("two", func(status delivery.Status) bool { return paused(status) && status.Lag > 0 && status.Waiting > 0 })
	time.Sleep(500 * time.Millisecond) // a request that is not held back would arrive now
	assert.Len(t, remote.requests(), 1)
	s.kill(syscall.SIGINT)
}
