package httpx_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/fault"
)

// rawServer answers every request with what write writes.
func rawServer(t *testing.T, write func(w io.Writer)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				write(conn)
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return "http://" + l.Addr().String()
}

// endless writes until the client closes the connection, or 10 GB.
func endless(w io.Writer, head, part string) {
	_, err := io.WriteString(w, head)
	for n := 0; err == nil && n < 10<<30; n += len(part) {
		_, err = io.WriteString(w, part)
	}
}

// TestHostileRemotes checks that a response or a failure arrives within the time limit and with bounded memory, whatever the remote
// does.
func TestHostileRemotes(t *testing.T) {
	const (
		ok      = "HTTP/1.1 200 OK\r\n"
		tooSlow = "it took longer than 1s"
	)
	block := strings.Repeat("x", 64<<10)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 1000 {
		_, _ = io.WriteString(z, block)
	}
	_ = z.Close()
	for name, c := range map[string]struct {
		write func(io.Writer)
		want  string // "" for an answer
		retry bool
	}{
		"a body of 10 GB":  {func(w io.Writer) { endless(w, ok+"Content-Length: 10737418240\r\n\r\n", block) }, "larger than 262144 bytes", false},
		"an endless body":  {func(w io.Writer) { endless(w, ok+"\r\n", block) }, "larger than 262144 bytes", false},
		"an endless error": {func(w io.Writer) { endless(w, "HTTP/1.1 500 X\r\n\r\n", block) }, "larger than 262144 bytes", true},
		"endless chunks":   {func(w io.Writer) { endless(w, ok+"Transfer-Encoding: chunked\r\n\r\n", "10000\r\n"+block+"\r\n") }, "larger than 262144 bytes", false},
		"tiny chunks": {func(w io.Writer) {
			endless(w, ok+"Transfer-Encoding: chunked\r\n\r\n", "1;"+strings.Repeat("e", 1000)+"\r\nx\r\n")
		}, "no answer", true},
		"a gzip bomb": {func(w io.Writer) {
			_, _ = fmt.Fprintf(w, ok+"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", bomb.Len(), bomb.String())
		}, "larger than 262144 bytes", false},
		"2 MB of headers": {func(w io.Writer) {
			_, _ = io.WriteString(w, ok+strings.Repeat("X-A: "+strings.Repeat("a", 1000)+"\r\n", 2000)+"Content-Length: 0\r\n\r\n")
		}, "no answer", true},
		"endless headers":     {func(w io.Writer) { endless(w, ok, "X-A: a\r\n") }, "no answer", true},
		"an endless header":   {func(w io.Writer) { endless(w, ok+"X-A: ", block) }, "no answer", true},
		"endless early hints": {func(w io.Writer) { endless(w, "", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n") }, "no answer", true},
		"endless trailers":    {func(w io.Writer) { endless(w, ok+"Transfer-Encoding: chunked\r\n\r\n0\r\n", "X-A: a\r\n") }, "no answer", true},
		"a redirect": {func(w io.Writer) {
			_, _ = io.WriteString(w, "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")
		}, "", false},
		"a short body":       {func(w io.Writer) { _, _ = io.WriteString(w, ok+"Content-Length: 100\r\n\r\n{}") }, "no answer", true},
		"no HTTP":            {func(w io.Writer) { _, _ = io.WriteString(w, "SSH-2.0-OpenSSH_9.6\r\n") }, "no answer", true},
		"nothing":            {func(io.Writer) {}, "no answer", true},
		"silence":            {func(w io.Writer) { _, _ = io.Copy(io.Discard, w.(io.Reader)) }, tooSlow, true},
		"a drip of headers":  {func(w io.Writer) { drip(w, ok) }, tooSlow, true},
		"a drip of the body": {func(w io.Writer) { drip(w, ok+"Content-Length: 100000\r\n\r\n") }, tooSlow, true},
		"an unknown encoding": {func(w io.Writer) {
			_, _ = io.WriteString(w, ok+"Content-Encoding: rot13\r\nContent-Length: 2\r\n\r\n{}")
		}, "", false},
		"gzip that is none": {func(w io.Writer) {
			_, _ = io.WriteString(w, ok+"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}")
		}, "no answer", true},
		"two different lengths": {func(w io.Writer) { _, _ = io.WriteString(w, ok+"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}") }, "no answer", true},
	} {
		t.Run(name, func(t *testing.T) {
			url := rawServer(t, c.write)
			base := httpx.NewTransport(httpx.TransportConfig{})
			defer base.CloseIdleConnections()
			limit := time.Minute
			if c.want == tooSlow {
				limit = time.Second
			}
			chain := httpx.New(httpx.Config{Base: base, Timeout: limit, MaxResponseBytes: 256 << 10})
			r, err := http.NewRequest("POST", url, strings.NewReader("{}"))
			require.NoError(t, err)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err = chain.RoundTrip(r)
			runtime.ReadMemStats(&after)
			assert.Less(t, (after.TotalAlloc-before.TotalAlloc)>>20, uint64(64), "MB")
			if c.want == "" {
				assert.NoError(t, err)
				return
			}
			var known *fault.Error
			require.ErrorAs(t, err, &known)
			assert.Contains(t, known.Message, c.want)
			assert.Equal(t, c.retry, known.Retry, known.Message)
			assert.Less(t, len(known.Message), 2000)
		})
	}
}

// drip writes a byte every 50 ms until the client closes the connection.
func drip(w io.Writer, head string) {
	_, err := io.WriteString(w, head)
	for err == nil {
		time.Sleep(50 * time.Millisecond)
		_, err = io.WriteString(w, "x")
	}
}
