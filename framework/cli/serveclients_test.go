package cli

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// residentMB is the memory of the server's process.
func (s *served) residentMB() int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Skip("there is no /proc here")
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	require.NoError(s.t, err)
	return kb >> 10
}

// Thousands of clients that announce bodies but send none cost little, and block neither health checks nor other clients.
func TestClientsThatHoldConnections(t *testing.T) {
	s := newServed(t, serveConfig+"ingest: {maxConnections: 2000, maxConnectionsPerAddress: 1000}\n", "--sandbox")
	s.start()
	s.logs("limits of ingest")
	s.logs("maxMemoryBytes=268435456")
	before := s.residentMB()
	for i := range 1500 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		body := ""
		if i%2 == 0 {
			body = "{"
		}
		_, err = io.WriteString(conn, "POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 512000\r\n\r\n"+body)
		require.NoError(t, err)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		began := time.Now()
		answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(s.url + path)
		require.NoError(t, err)
		_ = answer.Body.Close()
		assert.Equal(t, 200, answer.StatusCode)
		assert.Less(t, time.Since(began), 30*time.Second)
	}
	assert.Less(t, s.residentMB()-before, 150, "MB for 1500 connections")
	t.Logf("%d MB before, %d MB with 1500 connections", before, s.residentMB())
}

// TestBrowserRetries sends requests from a page of another origin as analytics-next does when it retries: to a path with two
// slashes, and with a readable Retry-After in a 429.
func TestBrowserRetries(t *testing.T) {
	b := newBrowser(t)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<main>a page</main>")
	}))
	defer page.Close()
	config := strings.Replace(serveConfig, "writeKey: wk", "writeKey: wk, eventsPerSecond: 0.01", 1)
	s := newServed(t, config+"ingest: {origins: [\""+page.URL+"\"]}\n", "--sandbox")
	s.start()
	b.url = page.URL
	b.open("/")
	send := fmt.Sprintf(`(async () => {
		const said = [];
		for (let i = 0; i < 3; i++) {
			const answer = await fetch(%q, {method: "POST", keepalive: true, headers: {"Content-Type": "application/json", "X-Retry-Count": String(i), "Authorization": "Basic " + btoa("wk:")},
				body: JSON.stringify({type: "page", anonymousId: "a", messageId: "m" + i})});
			said.push(answer.status + " " + (answer.headers.get("Retry-After") > 0));
		}
		navigator.sendBeacon(%q, JSON.stringify({anonymousId: "a", writeKey: "wk"}));
		navigator.sendBeacon(%q, new Blob([JSON.stringify({anonymousId: "a", writeKey: "wk"})], {type: "application/json"}));
		const refused = await fetch(%q, {method: "POST", body: "{}"});
		said.push(refused.status + " " + (await refused.json()).success);
		return said.join(", ");
	})()`, s.url+"//v1/p", s.url+"/v1/p", s.url+"/v1/p", s.url+"/v1/p")
	said := ask[string](b, send)
	assert.Equal(t, "200 false, 429 true, 429 true, 401 false", said)
	require.Eventually(t, func() bool {
		_, text := s.ask("/metrics")
		return strings.Contains(text, `landfall_events_total{outcome="limited",source="web"} 4`)
	}, time.Minute, 50*time.Millisecond, "the beacons have come")
}
