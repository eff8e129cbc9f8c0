package ingest_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"

	"github.com/segmentio/analytics-go/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/server/ingest"
)

// kinds returns the types of the collected events.
func (s *sink) kinds() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	kinds := map[string]int{}
	for _, e := range s.events {
		kinds[e.Value.Get("type").Str()]++
	}
	return kinds
}

var one = map[string]int{"track": 1, "identify": 1, "page": 1, "screen": 1, "group": 1, "alias": 1}

func TestSegmentsGoClient(t *testing.T) {
	s := &sink{}
	server := httptest.NewServer(handler(s, func(c *ingest.Config) { c.Now = nil }))
	defer server.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client, err := analytics.NewWithConfig("wk", analytics.Config{Endpoint: server.URL, Transport: transport, BatchSize: 4})
	require.NoError(t, err)
	for _, m := range []analytics.Message{
		analytics.Track{UserId: "g1", Event: "Order Completed", Properties: analytics.NewProperties().SetRevenue(12.5)},
		analytics.Identify{UserId: "g1", Traits: analytics.NewTraits().SetEmail("a@example.com")},
		analytics.Page{UserId: "g1", Name: "Home"}, analytics.Screen{UserId: "g1", Name: "Main"},
		analytics.Group{UserId: "g1", GroupId: "x"}, analytics.Alias{UserId: "g1", PreviousId: "a1"},
	} {
		require.NoError(t, client.Enqueue(m))
	}
	require.NoError(t, client.Close())
	assert.Equal(t, one, s.kinds())
}

// The test installs the client next to a copy of the script. It is skipped without Node and npm.
func TestSegmentsNodeClient(t *testing.T) {
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not installed")
		}
	}
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/node")))
	install := exec.Command("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("the client cannot be installed: %v: %s", err, out)
	}
	s := &sink{}
	server := httptest.NewServer(handler(s, func(c *ingest.Config) { c.Now = nil }))
	defer server.Close()
	script := exec.Command("node", "send.js", server.URL)
	script.Dir = dir
	out, err := script.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Equal(t, one, s.kinds(), string(out))
}
