package ingest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestBodiesMustBeObjects checks bodies that are JSON, but no object.
func TestBodiesMustBeObjects(t *testing.T) {
	h, counted := limited(func(c *Config) { c.Append = func(context.Context, []Event) error { t.Error("stored"); return nil } })
	for body, kind := range map[string]string{`[]`: "an array", `"text"`: "a string", `5`: "a number", `null`: "null", `true`: "a boolean"} {
		for _, path := range []string{"/v1/batch", "/v1/page"} {
			w := send(h, path, "wk", strings.NewReader(body))
			assert.Equal(t, 400, w.Code)
			assert.Contains(t, w.Body.String(), "the body should be a JSON object but is "+kind, path)
		}
	}
	assert.Equal(t, counts{"web refused": 10}, counted)
}

// TestWithoutAWriteKey checks requests without a key, and with an empty one, also if a source has no key.
func TestWithoutAWriteKey(t *testing.T) {
	h, counted := limited(func(c *Config) {
		c.Sources = append(c.Sources, Source{ID: "keyless"})
		c.Append = func(context.Context, []Event) error { t.Error("stored"); return nil }
	})
	for name, c := range map[string]struct{ body, authorization string }{
		"nothing":                   {`{"userId":"u"}`, ""},
		"an empty key in the body":  {`{"userId":"u","writeKey":""}`, ""},
		"a key that is no text":     {`{"userId":"u","writeKey":{"wk":1}}`, ""},
		"an empty user":             {`{"userId":"u"}`, "Basic Og=="},
		"a key as the password":     {`{"userId":"u"}`, "Basic OndrCg=="},
		"an empty bearer token":     {`{"userId":"u"}`, "Bearer "},
		"another scheme":            {`{"userId":"u"}`, "Token wk"},
		"a key below the root":      {`{"userId":"u","context":{"writeKey":"wk"}}`, ""},
		"a wrong user, right body":  {`{"userId":"u","writeKey":"wk"}`, "Basic bm86"},
		"a key in another letters'": {`{"userId":"u","writeKey":"WK"}`, ""},
	} {
		w := send(h, "/v1/page", "", strings.NewReader(c.body), "Authorization: "+c.authorization)
		assert.Equal(t, 401, w.Code, name)
		assert.Equal(t, `Basic realm="write key"`, w.Header().Get("WWW-Authenticate"))
	}
	assert.Equal(t, counts{" unauthorized": 10}, counted)
}

// TestTheKeyInTheHeaderDecides checks that a writeKey in the body does not change the source that the header names.
func TestTheKeyInTheHeaderDecides(t *testing.T) {
	var sources []string
	h, _ := limited(func(c *Config) {
		c.Append = func(_ context.Context, events []Event) error { sources = append(sources, events[0].Source); return nil }
	})
	for _, authorization := range []string{"Basic d2s6", "Bearer wk"} {
		require.Equal(t, 200, send(h, "/v1/page", "", strings.NewReader(`{"userId":"u","writeKey":"slow"}`), "Authorization: "+authorization).Code)
	}
	require.Equal(t, 200, send(h, "/v1/page", "", strings.NewReader(`{"userId":"u","writeKey":"slow"}`), "Authorization: Basic Og==").Code)
	assert.Equal(t, []string{"web", "web", "slow"}, sources)
}

// TestSizesAtTheLimit checks an event and a request of the greatest allowed size, and those that are a byte larger.
func TestSizesAtTheLimit(t *testing.T) {
	h, _ := limited(func(c *Config) { c.MaxEvent, c.MaxBatch = 1000, 4000 })
	event := func(size int) string {
		const built = `,"timestamp":"2026-01-02T12:00:00.000Z","receivedAt":"2026-01-02T12:00:00.000Z"}`
		head := `{"type":"page","messageId":"m","userId":"u","name":"`
		return head + strings.Repeat("x", size-len(head)-len(`"`+built)) + `"}`
	}
	assert.Equal(t, 200, send(h, "/v1/page", "wk", strings.NewReader(event(1000))).Code)
	w := send(h, "/v1/page", "wk", strings.NewReader(event(1001)))
	assert.Equal(t, 413, w.Code, "the size is that of the event as it is stored")
	assert.NotContains(t, w.Body.String(), `"rejected"`)
	w = send(h, "/v1/batch", "wk", strings.NewReader(`{"batch":[`+event(1001)+`]}`))
	assert.Equal(t, 400, w.Code)
	assert.Contains(t, w.Body.String(), `{"index":0,"messageId":"m","error":"the event is larger than 0 KB"}`)
	body := func(size int) string { b := batchOf(2, event(900)); return b + strings.Repeat(" ", size-len(b)) }
	for _, headers := range []string{"X: x", "Content-Encoding: gzip", "Content-Encoding: GZIP", "Content-Encoding: x-gzip", "Content-Encoding: identity"} {
		for size, want := range map[int]int{4000: 200, 4001: 413} {
			text := body(size)
			if strings.HasSuffix(strings.ToLower(headers), "gzip") {
				text = zipped(text)
			}
			assert.Equal(t, want, send(h, "/v1/batch", "wk", strings.NewReader(text), headers).Code, "%s %d", headers, size)
			assert.Equal(t, want, send(h, "/v1/batch", "wk", io.MultiReader(strings.NewReader(text)), headers).Code, "%s %d in chunks", headers, size)
		}
	}
}

// TestBrokenGzip checks bodies whose compressed part ends early or is damaged.
func TestBrokenGzip(t *testing.T) {
	h, _ := limited()
	text := zipped(batchOf(20, `{"type":"page","userId":"u"}`))
	damaged := []byte(text)
	damaged[len(damaged)-6] ^= 1 // in the checksum
	for name, body := range map[string]string{"cut off": text[:len(text)-9], "damaged": string(damaged), "no gzip": "{}", "empty": "", "trailing text": text + "x"} {
		w := send(h, "/v1/batch", "wk", strings.NewReader(body), "Content-Encoding: gzip")
		assert.Equal(t, 400, w.Code, name)
		assert.Contains(t, w.Body.String(), "not valid gzip", name)
	}
	assert.Equal(t, 200, send(h, "/v1/batch", "wk", strings.NewReader(text), "Content-Encoding: gzip").Code, "the reader is good after errors")
}

// TestConnectionsAfterARefusal checks that a client whose request is refused before its body was read can keep its connection if the rest
// of the body is small and has arrived, and that the connection is closed otherwise.
func TestConnectionsAfterARefusal(t *testing.T) {
	h, _ := limited()
	server := httptest.NewServer(h)
	defer server.Close()
	const head = "POST /v1/page HTTP/1.1\r\nHost: x\r\nAuthorization: Basic bm86\r\n"
	chunks := func(n int) string {
		return fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", n, strings.Repeat("x", n))
	}
	for name, c := range map[string]struct {
		rest  string
		keeps bool
	}{
		"no body":                   {"Content-Length: 0\r\n\r\n", true},
		"a small body":              {"Content-Length: 2\r\n\r\n{}", true},
		"the largest":               {fmt.Sprintf("Content-Length: %d\r\n\r\n%s", maxUnread, strings.Repeat("x", maxUnread)), true},
		"a larger one":              {fmt.Sprintf("Content-Length: %d\r\n\r\n%s", maxUnread+1, strings.Repeat("x", maxUnread+1)), false},
		"small chunks":              {chunks(100), true},
		"large chunks":              {chunks(maxUnread + 1), false},
		"bad chunks":                {"Transfer-Encoding: chunked\r\n\r\nzz\r\n", false},
		"a client that waits":       {"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n", false},
		"more headers than allowed": {strings.Repeat("X-A: 1\r\n", 1) + manyHeaders() + "Content-Length: 2\r\n\r\n{}", false},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			_, _ = io.WriteString(conn, head+c.rest)
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			assert.Equal(t, !c.keeps, answer.Close)
			assert.Contains(t, []int{401, 431}, answer.StatusCode)
			_ = answer.Body.Close()
		})
	}
}

func manyHeaders() string {
	var lines strings.Builder
	for i := range maxHeaders + 1 {
		fmt.Fprintf(&lines, "X-%d: 1\r\n", i)
	}
	return lines.String()
}

// TestHeadersAtTheLimit checks the greatest allowed number of headers. One of them is the write key.
func TestHeadersAtTheLimit(t *testing.T) {
	h, _ := limited()
	for extra, want := range map[int]int{maxHeaders - 1: 200, maxHeaders: 431} {
		var headers []string
		for i := range extra {
			headers = append(headers, fmt.Sprintf("X-%d: 1", i))
		}
		assert.Equal(t, want, send(h, "/v1/page", "wk", strings.NewReader(`{"userId":"u"}`), headers...).Code)
	}
}

// TestRetryAfter checks the header for each waiting time: whole seconds, at least one and at most an hour; none if retrying is useless.
func TestRetryAfter(t *testing.T) {
	for after, want := range map[time.Duration]string{0: "", time.Millisecond: "1", time.Second: "1", 1001 * time.Millisecond: "2", 59 * time.Minute: "3540", time.Hour: "3600", 50 * time.Hour: "3600"} {
		w := httptest.NewRecorder()
		(&refusal{status: 503, retryAfter: after, message: "m"}).writeTo(w)
		assert.Equal(t, want, w.Header().Get("Retry-After"), after)
		assert.Empty(t, w.Header().Get("Connection"))
		assert.Empty(t, w.Header().Get("WWW-Authenticate"))
		assert.JSONEq(t, `{"success":false,"error":"m"}`, w.Body.String())
		assert.Equal(t, []string{"application/json", "nosniff"}, []string{w.Header().Get("Content-Type"), w.Header().Get("X-Content-Type-Options")})
	}
}

// TestRejectedEventsAreListedAndLogged checks the response and the log of a batch of which some or all events are rejected.
func TestRejectedEventsAreListedAndLogged(t *testing.T) {
	var log strings.Builder
	h, counted := limited(func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	long := strings.Repeat("m", maxNamed)
	w := send(h, "/v1/batch", "wk", strings.NewReader(`{"batch":[{"type":"page","userId":"u"},{"type":"page","messageId":"`+long[:maxNamed-2]+`"},{"type":"page","messageId":"`+long+`"},5]}`))
	assert.Equal(t, 200, w.Code)
	assert.Equal(t, 3, strings.Count(w.Body.String(), `"index"`))
	assert.Contains(t, w.Body.String(), `{"index":1,"messageId":"`+long[:maxNamed-2]+`"`)
	assert.Contains(t, w.Body.String(), `{"index":2,"error":`, "a long messageId is not repeated")
	assert.NotContains(t, w.Body.String(), "rejectedEvents")
	assert.Contains(t, log.String(), "events rejected")
	assert.Contains(t, log.String(), "events=3")
	assert.Equal(t, counts{"web accepted": 1, "web rejected": 3}, counted)

	w = send(h, "/v1/batch", "wk", strings.NewReader(`{"batch":[5,{}]}`))
	assert.Equal(t, 400, w.Code)
	assert.Contains(t, w.Body.String(), `"success":false,"error":"`)
	assert.Equal(t, 2, strings.Count(w.Body.String(), `"index"`))
	w = send(h, "/v1/page", "wk", strings.NewReader(`{}`))
	assert.Equal(t, 400, w.Code)
	assert.NotContains(t, w.Body.String(), `"index"`, "a request with one event has no list")
	w = send(h, "/v1/batch", "wk", strings.NewReader(batchOf(maxListed, `{}`)))
	assert.NotContains(t, w.Body.String(), "rejectedEvents", "the list is complete")
	w = send(h, "/v1/batch", "wk", strings.NewReader(batchOf(maxListed+1, `{}`)))
	assert.Contains(t, w.Body.String(), fmt.Sprintf(`"rejectedEvents":%d`, maxListed+1))
	w = send(h, "/v1/batch", "wk", strings.NewReader(`{"batch":[]}`))
	assert.Equal(t, 200, w.Code, "an empty batch")
}

// TestFailedAppendReturnsTheTokens checks that events which could not be stored do not count against the rate.
func TestFailedAppendReturnsTheTokens(t *testing.T) {
	fails := true
	h, counted := limited(func(c *Config) {
		c.Append = func(context.Context, []Event) error {
			if fails {
				return io.ErrShortWrite
			}
			return nil
		}
	})
	body := batchOf(4, `{"type":"page","userId":"u"}`)
	assert.Equal(t, 503, send(h, "/v1/batch", "slow", strings.NewReader(body)).Code)
	fails = false
	assert.Equal(t, 200, send(h, "/v1/batch", "slow", strings.NewReader(body)).Code)
	assert.Equal(t, 429, send(h, "/v1/batch", "slow", strings.NewReader(body)).Code)
	assert.Equal(t, counts{"slow unavailable": 4, "slow accepted": 4, "slow limited": 1}, counted)
}

// TestKeyInPrefix checks where the start of a body has the write key: as a text at the top level, whatever comes before it.
func TestKeyInPrefix(t *testing.T) {
	for text, want := range map[string]string{
		`{"writeKey":"wk","batch":[{`: "wk",
		`{"sentAt":"now","n":5,"b":[1,{"writeKey":"no"}],"o":{"writeKey":"no"},"writeKey":"wk"`: "wk",
		"\xef\xbb\xbf{ \"writeKey\" : \"wk\"":                                                   "wk",
		`{"x":"writeKey","y":"no"`:                                                              "",
		`{"writeKey":5,"x":"no"`:                                                                "",
		`{"writeKey":{"a":"no"},"x":"no"`:                                                       "",
		`{"writeKey":"w`:                                                                        "",
		`{"batch":[{"writeKey":"no"}`:                                                           "",
		`["writeKey","no"`:                                                                      "",
		`{"writeKey" "no"`:                                                                      "",
		``:                                                                                      "",
	} {
		key, found := keyInPrefix([]byte(text))
		assert.Equal(t, want, key, text)
		assert.Equal(t, want != "", found, text)
	}
}

// TestBodiesThatEndEarlyCloseTheConnection checks the response to a body that is shorter than announced.
func TestBodiesThatEndEarlyCloseTheConnection(t *testing.T) {
	h, counted := limited()
	w := send(h, "/v1/page", "wk", io.MultiReader(strings.NewReader(`{"userId":`), iotest.ErrReader(io.ErrUnexpectedEOF)))
	assert.Equal(t, []any{400, "close"}, []any{w.Code, w.Header().Get("Connection")})
	assert.Contains(t, w.Body.String(), "the body is shorter than its Content-Length")
	assert.Equal(t, counts{"web refused": 1}, counted)
}
