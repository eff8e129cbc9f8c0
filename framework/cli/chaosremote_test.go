package cli

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
)

// misbehavior is one way in which a remote fails. It answers a connection that has sent a request.
type misbehavior struct {
	name  string
	acted bool // the remote has acted on the request before it fails
	play  func(conn net.Conn, r *http.Request)

	refusal bool // what is sent becomes dead letters
}

// answerWith returns a misbehavior that answers with a status line, headers and a body.
func answerWith(status string, headers map[string]string, body string) func(net.Conn, *http.Request) {
	return func(conn net.Conn, _ *http.Request) {
		var b bytes.Buffer
		fmt.Fprintf(&b, "HTTP/1.1 %s\r\n", status)
		for name, value := range headers {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
		_, _ = conn.Write(b.Bytes())
	}
}

// answerEndlessly returns a misbehavior that writes a head and repeats a part until the client gives up, or 10 GB are written.
func answerEndlessly(head, part string) func(net.Conn, *http.Request) {
	return func(conn net.Conn, _ *http.Request) { writeEndlessly(conn, head, part, 10<<30) }
}

func writeEndlessly(w io.Writer, head, part string, most int) {
	_, err := io.WriteString(w, head)
	for n := 0; err == nil && n < most; n += len(part) {
		_, err = io.WriteString(w, part)
	}
}

func closeConn(net.Conn, *http.Request) {}

func resetConn(conn net.Conn, _ *http.Request) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// misbehaviors are the ways in which the remote of the chaos test fails. Those that a repeated request can survive come first,
// refusals last.
func misbehaviors() []misbehavior {
	block := strings.Repeat("x", 64<<10)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 200 {
		_, _ = io.WriteString(z, block)
	}
	_ = z.Close()
	soon := func(conn net.Conn, r *http.Request) {
		answerWith("429 Too Many Requests", map[string]string{"Retry-After": time.Now().Add(time.Second).UTC().Format(http.TimeFormat)}, "{}")(conn, r)
	}
	reset := func(conn net.Conn, r *http.Request) {
		answerWith("429 Too Many Requests", map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.FormatInt(time.Now().Add(time.Second).Unix(), 10)}, "{}")(conn, r)
	}
	return []misbehavior{
		{"closes before it acts", false, closeConn, false},
		{"closes after it has acted", true, closeConn, false},
		{"resets before it acts", false, resetConn, false},
		{"resets after it has acted", true, resetConn, false},
		{"500", false, answerWith("500 Internal Server Error", nil, "{}"), false},
		{"500 after it has acted", true, answerWith("500 Internal Server Error", nil, "{}"), false},
		{"502 with a page", false, answerWith("502 Bad Gateway", map[string]string{"Content-Type": "text/html"}, "<html>proxy</html>"), false},
		{"503, Retry-After in seconds", false, answerWith("503 Service Unavailable", map[string]string{"Retry-After": "1"}, ""), false},
		{"429, Retry-After as a date", false, soon, false},
		{"429, Retry-After: 0", false, answerWith("429 Too Many Requests", map[string]string{"Retry-After": "0"}, ""), false},
		{"429, Retry-After below zero", false, answerWith("429 Too Many Requests", map[string]string{"Retry-After": "-5"}, ""), false},
		{"429, Retry-After with a fraction", false, answerWith("429 Too Many Requests", map[string]string{"Retry-After": "0.5"}, ""), false},
		{"429, Retry-After is garbage", false, answerWith("429 Too Many Requests", map[string]string{"Retry-After": "tomorrow"}, ""), false},
		{"429, the reset of the rate limit", false, reset, false},
		{"408", false, answerWith("408 Request Timeout", nil, ""), false},
		{"423", false, answerWith("423 Locked", nil, `{"message":"resource locked"}`), false},
		{"504 after it has acted", true, answerWith("504 Gateway Timeout", nil, ""), false},
		{"garbage for a status line", true, func(conn net.Conn, _ *http.Request) { _, _ = io.WriteString(conn, "\x00\xff nonsense\r\n\r\n") }, false},
		{"half a head", true, func(conn net.Conn, _ *http.Request) { _, _ = io.WriteString(conn, "HTTP/1.1 201 Crea") }, false},
		{"a body that ends early", true, func(conn net.Conn, _ *http.Request) {
			_, _ = io.WriteString(conn, "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{\"mess")
		}, false},
		{"500 with a body of 10 GB", false, answerEndlessly("HTTP/1.1 500 X\r\nContent-Length: 10737418240\r\n\r\n", block), false},
		{"500 with endless chunks", true, answerEndlessly("HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n", "10000\r\n"+block+"\r\n"), false},
		{"2 MB of headers", true, func(conn net.Conn, _ *http.Request) {
			writeEndlessly(conn, "HTTP/1.1 500 X\r\n", "X-Much: "+strings.Repeat("y", 8000)+"\r\n", 2<<20)
			_, _ = io.WriteString(conn, "\r\n")
		}, false},
		{"500 that is a gzip bomb", false, answerWith("500 X", map[string]string{"Content-Encoding": "gzip"}, bomb.String()), false},
		{"500 with broken gzip", false, answerWith("500 X", map[string]string{"Content-Encoding": "gzip"}, "no gzip"), false},
		{"200 with garbage after it has acted", true, answerWith("200 OK", map[string]string{"Content-Type": "text/html"}, "<html>\x00\xff"), false},
		{"many interim answers", true, func(conn net.Conn, _ *http.Request) {
			writeEndlessly(conn, "", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 64<<10)
			_, _ = io.WriteString(conn, "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n")
		}, false},
		{"a redirect to itself", false, func(conn net.Conn, r *http.Request) {
			answerWith("307 Temporary Redirect", map[string]string{"Location": r.URL.Path}, "")(conn, r)
		}, true},
		{"a redirect elsewhere", false, answerWith("302 Found", map[string]string{"Location": "http://127.0.0.1:9/steal"}, ""), true},
		{"401", false, answerWith("401 Unauthorized", nil, `{"message":"Invalid Partner API key"}`), true},
		{"413", false, answerWith("413 Payload Too Large", nil, ""), true},
		{"400", false, answerWith("400 Bad Request", nil, `{"message":"no"}`), true},
		{"404 with a page", false, answerWith("404 Not Found", map[string]string{"Content-Type": "text/html"}, "<html>"), true},
	}
}

// chaoticRemote is a proxy in front of a Braze sandbox. While it is on, some of the requests that change members meet a
// misbehavior. It records each change that reaches the sandbox.
type chaoticRemote struct {
	*httptest.Server
	sandbox http.Handler
	all     []misbehavior
	on      atomic.Bool

	mu      sync.Mutex
	random  *rand.Rand
	next    int
	met     map[string]int
	last    map[string]bool
	changes map[string]int
}

// newChaoticRemote returns a chaoticRemote, with or without refusals, which a repeated request does not survive.
func newChaoticRemote(t *testing.T, refusals bool) *chaoticRemote {
	c := &chaoticRemote{all: misbehaviors(), random: rand.New(rand.NewPCG(3, 4)), met: map[string]int{}, last: map[string]bool{}, changes: map[string]int{}}
	if !refusals {
		c.all = slices.DeleteFunc(c.all, func(m misbehavior) bool { return m.refusal })
	}
	for _, sb := range allSandboxes(destinations.All()) {
		if sb.Name == "braze" {
			c.sandbox = sb.New(nil)
		}
	}
	require.NotNil(t, c.sandbox)
	c.Server = httptest.NewUnstartedServer(c)
	c.Config.ErrorLog = log.New(io.Discard, "", 0)
	c.Start()
	t.Cleanup(c.Close)
	return c
}

// ServeHTTP forwards a request to the sandbox, or applies a misbehavior to it.
func (c *chaoticRemote) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != users {
		c.sandbox.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	m := c.nextMisbehavior()
	if m == nil || m.acted {
		c.countChanges(body)
	}
	if m == nil {
		c.sandbox.ServeHTTP(w, r)
		return
	}
	if m.acted {
		c.sandbox.ServeHTTP(httptest.NewRecorder(), r)
	}
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	m.play(conn, r)
}

// nextMisbehavior returns the next misbehavior for one of four requests, and nil for the others.
func (c *chaoticRemote) nextMisbehavior() *misbehavior {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.on.Load() || c.random.IntN(4) != 0 {
		return nil
	}
	m := c.all[c.next%len(c.all)]
	c.next++
	c.met[m.name]++
	return &m
}

// countChanges counts how often the membership of each user changes in the requests that reach the sandbox.
func (c *chaoticRemote) countChanges(body []byte) {
	var request struct {
		CohortID string `json:"cohort_id"`
		Changes  []struct {
			Users  []string `json:"user_ids"`
			Remove bool     `json:"should_remove"`
		} `json:"cohort_changes"`
	}
	if json.Unmarshal(body, &request) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, change := range request.Changes {
		for _, user := range change.Users {
			key := request.CohortID + " " + user
			if was, known := c.last[key]; !known || was == change.Remove {
				c.changes[key]++
			}
			c.last[key] = !change.Remove
		}
	}
}

// checkOrder fails if a user's membership changed more often than in the user's events, because an older request then came after a
// newer one.
func (c *chaoticRemote) checkOrder(t *testing.T, l *load) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wrong := 0
	for key, n := range c.changes {
		if n > l.changes[key] {
			wrong++
		}
	}
	require.Zero(t, wrong, "users who were sent an older change after a newer one")
}
