package ingest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// heldBody returns part of a body and then blocks.
type heldBody struct {
	part    io.Reader
	waiting chan<- struct{}
	release <-chan struct{}
}

func (b *heldBody) Read(p []byte) (int, error) {
	if n, _ := b.part.Read(p); n > 0 {
		return n, nil
	}
	b.waiting <- struct{}{}
	<-b.release
	return 0, io.ErrUnexpectedEOF
}

// Requests reserve memory for received bytes, not for the announced length, and together at most the budget.
func TestMemoryIsReservedAsBytesArrive(t *testing.T) {
	h, _ := limited(func(c *Config) { c.MaxMemory, c.Count = 1<<20, nil })
	waiting, release := make(chan struct{}), make(chan struct{})
	done := make(chan int)
	hold := func(key, part string) {
		go func() {
			done <- send(h, "/v1/batch", key, &heldBody{strings.NewReader(part), waiting, release}, "Content-Length: 512000").Code
		}()
		<-waiting
	}
	for range 100 {
		hold("", "")
	}
	assert.Zero(t, h.memory.used.Load(), "nothing has come")
	for range 3 {
		hold("wk", strings.Repeat(" ", 150_000))
	}
	used := h.memory.used.Load()
	assert.Greater(t, used, int64(450_000))
	assert.LessOrEqual(t, used, h.memory.limit)
	refused := send(h, "/v1/batch", "wk", strings.NewReader(strings.Repeat(" ", 400_000)))
	assert.Equal(t, 503, refused.Code, refused.Body)
	assert.Equal(t, "1", refused.Header().Get("Retry-After"))
	close(release)
	for range 103 {
		assert.Equal(t, 400, <-done)
	}
	assert.Zero(t, h.memory.used.Load())
	assert.Equal(t, 200, send(h, "/v1/page", "wk", strings.NewReader(`{"userId":"u"}`)).Code)
}

func TestAnonymousRequestsShareMemory(t *testing.T) {
	h, _ := limited(func(c *Config) { c.MaxMemory = 1 << 20 })
	body := `{"x":"` + strings.Repeat("x", 200_000) + `"}`
	w := send(h, "/v1/batch", "", strings.NewReader(body))
	assert.Equal(t, 413, w.Code, "it alone would take more than the share: %s", w.Body)
	assert.Zero(t, h.memory.used.Load())
	assert.Zero(t, h.memory.anonymous.Load())
}

func TestConcurrentBodiesPerAddress(t *testing.T) {
	h, _ := limited(func(c *Config) {
		c.MaxBodies, c.Count = 2, nil
		c.ClientAddr = func(r *http.Request) netip.Addr { return netip.MustParseAddr(r.Header.Get("From-Address")) }
	})
	waiting, release, done := make(chan struct{}), make(chan struct{}), make(chan int)
	for _, at := range []string{"2001:db8::1", "2001:db8::2", "192.0.2.1"} {
		go func() {
			done <- send(h, "/v1/page", "wk", &heldBody{strings.NewReader("{"), waiting, release}, "From-Address: "+at).Code
		}()
		<-waiting
	}
	page := `{"userId":"u"}`
	assert.Equal(t, 503, send(h, "/v1/page", "wk", strings.NewReader(page), "From-Address: 2001:db8::3").Code, "the same network")
	assert.Equal(t, 200, send(h, "/v1/page", "wk", strings.NewReader(page), "From-Address: 2001:db8:0:1::1").Code)
	assert.Equal(t, 200, send(h, "/v1/page", "wk", strings.NewReader(page), "From-Address: ::ffff:192.0.2.1").Code)
	close(release)
	for range 3 {
		<-done
	}
	assert.Equal(t, 200, send(h, "/v1/page", "wk", strings.NewReader(page), "From-Address: 2001:db8::3").Code)
	assert.Empty(t, h.bodies.count)
}

// pipeListener accepts pipes, so that a server can run in a synctest bubble.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func TestSlowBodyIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		every time.Duration
		bytes int
		want  string
	}{
		"a drip":       {time.Second, 1, "408"},
		"nothing":      {time.Hour, 0, "408"},
		"a slow phone": {time.Second, 5 << 10, "200"},
	} {
		synctest.Test(t, func(t *testing.T) {
			h, _ := limited()
			l := &pipeListener{make(chan net.Conn), make(chan struct{})}
			server := &http.Server{Handler: h, ReadTimeout: 30 * time.Second}
			go func() { _ = server.Serve(l) }()
			client, remote := net.Pipe()
			l.conns <- remote
			body := `{"userId":"u","x":"` + strings.Repeat("x", 30_000) + `"}`
			answered := make(chan string)
			go func() {
				answer, err := http.ReadResponse(bufio.NewReader(client), nil)
				if err != nil {
					answered <- err.Error()
					return
				}
				_ = answer.Body.Close()
				answered <- strconv.Itoa(answer.StatusCode)
			}()
			started := time.Now()
			_, err := fmt.Fprintf(client, "POST /v1/page HTTP/1.1\r\nHost: x\r\nAuthorization: Basic d2s6\r\nContent-Length: %d\r\n\r\n", len(body))
			require.NoError(t, err)
			var writing sync.WaitGroup
			writing.Go(func() {
				for left := body; left != ""; {
					time.Sleep(c.every)
					n := min(c.bytes, len(left))
					if _, err := io.WriteString(client, left[:n]); err != nil {
						return
					}
					left = left[n:]
				}
			})
			assert.Equal(t, c.want, <-answered, name)
			assert.Less(t, time.Since(started), 15*time.Second, name)
			_ = client.Close()
			_ = server.Close()
			writing.Wait()
		})
	}
}
