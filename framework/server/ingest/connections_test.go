package ingest_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/server/ingest"
)

// guarded returns the URL of a server with /healthz and the tracking API, behind connection limits.
func guarded(t *testing.T, b ingest.ConnectionLimits) string {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	mux.Handle("/", handler(&sink{}, func(c *ingest.Config) { c.Now, c.BodyGrace = nil, time.Hour })) // bodies are held as long as a slow machine needs
	server := httptest.NewUnstartedServer(mux)
	limits := ingest.NewConnections(b)
	limits.Guard(server.Config)
	server.Listener = limits.Listen(server.Listener)
	server.Start()
	t.Cleanup(server.CloseClientConnections)
	t.Cleanup(server.Close)
	return server.URL
}

// open opens a connection and writes to it.
func open(t *testing.T, url, text string) net.Conn {
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, text)
	require.NoError(t, err)
	return conn
}

// request makes a request over a new connection and returns its status; 0 if it got no response.
func request(t *testing.T, method, url, body string) int {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	require.NoError(t, err)
	r.SetBasicAuth("wk", "")
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

const (
	slowHead = "POST /v1/batch HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 512000\r\n\r\n{"
	page     = `{"userId":"u"}`
)

// At the connection limit, health checks respond at once, and events are refused with status 503.
func TestHealthRespondsAtConnectionLimit(t *testing.T) {
	for name, b := range map[string]ingest.ConnectionLimits{
		"of one address": {Max: 1000, PerAddress: 20},
		"of the server":  {Max: 20, PerAddress: 1000},
		"of a proxy":     {Max: 20, PerAddress: 1, Trusted: func(a netip.Addr) bool { return a.IsLoopback() }},
	} {
		t.Run(name, func(t *testing.T) {
			url := guarded(t, b)
			var held []net.Conn
			for range 300 {
				conn := open(t, url, slowHead)
				_, err := io.ReadFull(conn, make([]byte, len("HTTP/1.1 100"))) // once a handler waits for the body, or has refused it
				require.NoError(t, err)
				held = append(held, conn)
			}
			for range 5 {
				assert.Equal(t, 200, request(t, "GET", url+"/healthz", ""))
				assert.Equal(t, 503, request(t, "POST", url+"/v1/page", page))
			}
			for _, conn := range held {
				_ = conn.Close()
			}
			require.Eventually(t, func() bool { return request(t, "POST", url+"/v1/page", page) == 200 }, time.Minute, 10*time.Millisecond)
		})
	}
}

// New connections replace idle ones.
func TestIdleConnectionsAreReplaced(t *testing.T) {
	url := guarded(t, ingest.ConnectionLimits{Max: 20, PerAddress: 1000})
	for i := range 50 {
		text := "" // never used
		if i%2 == 0 {
			text = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" // used and kept
		}
		conn := open(t, url, text)
		if text != "" {
			_, err := conn.Read(make([]byte, 12))
			require.NoError(t, err)
		}
	}
	for range 50 {
		assert.Equal(t, 200, request(t, "POST", url+"/v1/page", page))
	}
}

func TestLimitPerAddress(t *testing.T) {
	url := guarded(t, ingest.ConnectionLimits{Max: 1000, PerAddress: 20})
	for range 60 {
		open(t, url, slowHead)
	}
	assert.Equal(t, 503, request(t, "POST", url+"/v1/page", page))
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	conn, err := from.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /v1/page HTTP/1.1\r\nHost: x\r\nAuthorization: Basic d2s6\r\nContent-Length: %d\r\n\r\n%s", len(page), page)
	require.NoError(t, err)
	status := make([]byte, 12)
	_, err = io.ReadFull(conn, status)
	require.NoError(t, err)
	assert.Equal(t, "HTTP/1.1 200", string(status))
}
