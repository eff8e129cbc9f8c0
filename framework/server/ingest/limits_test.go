package ingest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// counts holds the counted outcomes by "source outcome".
type counts map[string]int

// limited returns a Handler with the sources wk and slow (2 events a second) that stores nothing.
func limited(change ...func(*Config)) (*Handler, counts) {
	counted, mu := counts{}, sync.Mutex{}
	c := Config{
		Sources: []Source{{ID: "web", WriteKey: "wk"}, {ID: "slow", WriteKey: "slow", PerSecond: 2}},
		Append:  func(context.Context, []Event) error { return nil },
		Count: func(source, outcome string, n int) {
			mu.Lock()
			defer mu.Unlock()
			counted[source+" "+outcome] += n
		},
		Now: func() time.Time { return noon },
	}
	for _, f := range change {
		f(&c)
	}
	return New(c), counted
}

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return b.String()
}

// send posts a body with the key in the header, if not "". "zip" among the headers compresses the body.
func send(h http.Handler, path, key string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", path, body)
	if key != "" {
		r.SetBasicAuth(key, "")
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// unreadBody fails the test if it is read.
type unreadBody struct{ t *testing.T }

func (b unreadBody) Read([]byte) (int, error) {
	b.t.Error("the body was read")
	return 0, io.EOF
}

func batchOf(n int, event string) string {
	return `{"batch":[` + strings.TrimSuffix(strings.Repeat(event+",", n), ",") + `]}`
}

func TestRefusedRequestIsNotRead(t *testing.T) {
	h, counted := limited()
	assert.Equal(t, 401, send(h, "/v1/batch", "nobody", unreadBody{t}).Code)
	assert.Equal(t, 415, send(h, "/v1/batch", "wk", unreadBody{t}, "Content-Encoding: br").Code)
	for range 4 {
		require.Equal(t, 200, send(h, "/v1/page", "slow", strings.NewReader(`{"userId":"u"}`)).Code)
	}
	w := send(h, "/v1/batch", "slow", unreadBody{t})
	assert.Equal(t, 429, w.Code)
	assert.Equal(t, "1", w.Header().Get("Retry-After"))
	many := httptest.NewRequest("POST", "/v1/batch", unreadBody{t})
	for i := range 200 {
		many.Header.Set("X-"+strconv.Itoa(i), "1")
	}
	got := httptest.NewRecorder()
	h.ServeHTTP(got, many)
	assert.Equal(t, 431, got.Code)
	assert.Equal(t, counts{" unauthorized": 1, "web refused": 1, "slow accepted": 4, "slow limited": 1, " refused": 1}, counted)
}

func TestWriteKeyOfLongBodyIsCheckedEarly(t *testing.T) {
	h, _ := limited()
	for key, want := range map[string]int{"wk": 200, "nobody": 401} {
		body := `{"sentAt":{"a":["writeKey"]},"writeKey":"` + key + `",` + batchOf(5000, `{"type":"page","userId":"u"}`)[1:]
		read := &countingReader{from: strings.NewReader(body)}
		assert.Equal(t, want, send(h, "/v1/b", "", read).Code)
		assert.Equal(t, want == 200, read.n == len(body), "%s: %d of %d bytes", key, read.n, len(body))
	}
	body := batchOf(3000, `{"type":"page","userId":"u"}`)
	late := body[:len(body)-1] + `,"writeKey":"wk"}`
	assert.Equal(t, 200, send(h, "/v1/b", "", strings.NewReader(late)).Code, "a key at the end")
	assert.Equal(t, 200, send(h, "/v1/b", "", strings.NewReader(zipped(late)), "Content-Encoding: gzip").Code)
	assert.Equal(t, 401, send(h, "/v1/b", "", strings.NewReader(`{"writeKey":"wk",`+body[1:len(body)-1]+`,"writeKey":"no"}`)).Code, "the last one counts")
	assert.Equal(t, 200, send(h, "/v1/p", "", strings.NewReader(`{"userId":"u","writeKey":"wk"}`), "Authorization: Bearer for-a-proxy").Code)
	assert.Equal(t, 200, send(h, "/v1/p", "", strings.NewReader(`{"userId":"u"}`), "Authorization: Bearer wk").Code)
	assert.Zero(t, h.memory.used.Load())
	assert.Zero(t, h.memory.anonymous.Load())
}

type countingReader struct {
	from io.Reader
	n    int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.from.Read(p[:min(len(p), 4096)])
	c.n += n
	return n, err
}

// The cost of a small request does not depend on how often its context would be copied.
func TestEventSizeIsCheckedBeforeBuilding(t *testing.T) {
	const event = `{"type":"identify","userId":"u"}`
	wide := make([]string, 8000)
	for i := range wide {
		wide[i] = fmt.Sprintf(`"k%d":%d`, i, i)
	}
	keys := "{" + strings.Join(wide, ",") + "}"
	for name, body := range map[string]string{
		"a large context":          `{"context":{"x":"` + strings.Repeat("a", 250_000) + `"},` + batchOf(6500, event)[1:],
		"a context with many keys": `{"context":` + keys + `,` + batchOf(9000, event)[1:],
		"large integrations":       `{"integrations":{"x":"` + strings.Repeat("a", 250_000) + `"},` + batchOf(6500, event)[1:],
		"one below the bound":      `{"context":{"x":"` + strings.Repeat("a", 30_000) + `"},` + batchOf(9000, event)[1:],
		"half of it in each":       `{"context":{"x":"` + strings.Repeat("a", 30_000) + `"},"integrations":{"x":"` + strings.Repeat("a", 30_000) + `"},` + batchOf(9000, event)[1:],
		"own contexts":             `{"context":{"x":"` + strings.Repeat("a", 200_000) + `"},` + batchOf(5000, `{"type":"identify","userId":"u","context":{"y":1}}`)[1:],
		"no events":                batchOf(200_000, `0`),
		"empty objects":            batchOf(150_000, `{}`),
		"nested":                   batchOf(1200, strings.Repeat(`{"a":`, 60)+`0`+strings.Repeat(`}`, 60)),
	} {
		t.Run(name, func(t *testing.T) {
			h, counted := limited()
			small := zipped(body)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			w := send(h, "/v1/batch", "slow", strings.NewReader(small), "Content-Encoding: gzip")
			runtime.ReadMemStats(&after)
			assert.Equal(t, 400, w.Code)
			assert.Less(t, int(after.TotalAlloc-before.TotalAlloc), 64*len(body), "bytes allocated for %d bytes", len(body))
			assert.Less(t, w.Body.Len(), 150_000)
			assert.Greater(t, counted["slow rejected"], 1000)
			assert.Zero(t, h.memory.used.Load())
			again := send(h, "/v1/page", "slow", unreadBody{t})
			assert.Equal(t, 429, again.Code, "what was refused counts")
			seconds, err := strconv.Atoi(again.Header().Get("Retry-After"))
			require.NoError(t, err)
			assert.Greater(t, seconds, 400)
		})
	}
}

// An event is accepted if its own context replaces the large members of the batch's context.
func TestEventContextOverridesBatchContext(t *testing.T) {
	h, counted := limited()
	large := `{"context":{"x":"` + strings.Repeat("a", 40_000) + `","y":1},"batch":[{"type":"page","userId":"u","context":{"x":"b"}},{"type":"page","userId":"u","context":{"x":null}},{"type":"page","userId":"u"}]}`
	w := send(h, "/v1/batch", "wk", strings.NewReader(large))
	assert.Equal(t, 200, w.Code)
	assert.Equal(t, counts{"web accepted": 1, "web rejected": 2}, counted, w.Body.String())
}

func TestManyRejectedEventsAreCounted(t *testing.T) {
	h, counted := limited()
	w := send(h, "/v1/batch", "wk", strings.NewReader(batchOf(3000, `{"type":"page","messageId":{"x":"`+strings.Repeat("x", 100)+`"}}`)[:]))
	assert.Equal(t, 400, w.Code)
	assert.Equal(t, 1000, strings.Count(w.Body.String(), `"index"`))
	assert.Contains(t, w.Body.String(), `"rejectedEvents":3000`)
	assert.Equal(t, counts{"web rejected": 3000}, counted)
}

func TestInvalidRequestsCountAgainstTheLimit(t *testing.T) {
	for name, c := range map[string]struct {
		body    string
		headers string
		status  int
	}{
		"not valid JSON":    {strings.Repeat("[", 200_000), "X: x", 400},
		"gzip of no JSON":   {zipped(strings.Repeat("x", 200_000)), "Content-Encoding: gzip", 400},
		"a bomb":            {zipped(strings.Repeat(" ", 50<<20)), "Content-Encoding: gzip", 413},
		"rejected events":   {batchOf(10, `{}`), "X: x", 400},
		"a batch of others": {batchOf(10, `{"type":"page","userId":"u"}`), "X: x", 200},
	} {
		h, _ := limited()
		assert.Equal(t, c.status, send(h, "/v1/batch", "slow", strings.NewReader(c.body), c.headers).Code, name)
		assert.Equal(t, 429, send(h, "/v1/batch", "slow", unreadBody{t}).Code, name)
	}
	h, _ := limited(func(c *Config) {
		c.Append = func(context.Context, []Event) error { return io.ErrShortWrite }
	})
	for range 3 {
		assert.Equal(t, 503, send(h, "/v1/batch", "slow", strings.NewReader(batchOf(10, `{"type":"page","userId":"u"}`))).Code, "the server's failure costs nothing")
	}
}

// The average rate holds for batches of any size, and requests refused because of the limit do not lower it.
func TestRateLimitIsAnAverage(t *testing.T) {
	b := newBucket(10)
	now := noon
	taken, refused := 0, 0
	for range 6000 { // a minute
		if _, ok := b.takeToken(now); ok {
			b.chargeTokens(99)
			taken += 100
		} else {
			refused++
		}
		now = now.Add(10 * time.Millisecond)
	}
	assert.InDelta(t, 600, taken, 120)
	assert.Positive(t, refused)
	wait, ok := b.takeToken(now)
	require.False(t, ok)
	_, ok = b.takeToken(now.Add(wait + time.Millisecond))
	assert.True(t, ok, "Retry-After is enough")
	assert.Nil(t, newBucket(0))
}

func TestCompressionRatioLimit(t *testing.T) {
	h, _ := limited(func(c *Config) { c.MaxBatch = 10 << 20 })
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w := send(h, "/v1/batch", "wk", strings.NewReader(zipped(`{"batch":["`+strings.Repeat("a", 9<<20)+`"]}`)), "Content-Encoding: gzip")
	runtime.ReadMemStats(&after)
	assert.Equal(t, 413, w.Code)
	h2, _ := limited(func(c *Config) { c.MaxBatch = 10 << 20 })
	body := batchOf(2000, `{"type":"page","userId":"u","properties":{"n":1}}`)
	assert.Equal(t, 200, send(h2, "/v1/batch", "wk", strings.NewReader(zipped(body)), "Content-Encoding: gzip").Code, "%d bytes of %d", len(zipped(body)), len(body))
}

func TestExpectContinueIsRefusedBeforeTheBody(t *testing.T) {
	h, _ := limited()
	server := httptest.NewServer(h)
	defer server.Close()
	for key, want := range map[string]string{"nobody": "HTTP/1.1 401 Unauthorized", "wk": "HTTP/1.1 100 Continue"} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		r, err := http.NewRequest("POST", server.URL, nil)
		require.NoError(t, err)
		r.SetBasicAuth(key, "")
		_, err = fmt.Fprintf(conn, "POST /v1/page HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nExpect: 100-continue\r\nContent-Length: 14\r\n\r\n", r.Header.Get("Authorization"))
		require.NoError(t, err)
		line, err := bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, want, strings.TrimSpace(line))
		_ = conn.Close()
	}
}

// Invalid or untrue HTTP/1.1 framing is refused.
func TestBodiesWithWrongLengths(t *testing.T) {
	h, _ := limited()
	server := httptest.NewServer(h)
	defer server.Close()
	const head = "POST /v1/page HTTP/1.1\r\nHost: x\r\nAuthorization: Basic d2s6\r\n"
	for name, c := range map[string]struct{ text, want string }{
		"cleartext HTTP/2":      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 505"},
		"a short body":          {head + "Content-Length: 100\r\n\r\n{}", "HTTP/1.1 400"},
		"two lengths":           {head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "HTTP/1.1 400"},
		"a negative length":     {head + "Content-Length: -1\r\n\r\n{}", "HTTP/1.1 400"},
		"chunks":                {head + "Transfer-Encoding: chunked\r\n\r\n8\r\n{\"userId\r\n6\r\n\":\"u\"}\r\n0\r\n\r\n", "HTTP/1.1 200"},
		"bad chunks":            {head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}", "HTTP/1.1 400"},
		"chunks beyond a bound": {head + "Transfer-Encoding: chunked\r\n\r\n200000\r\n" + strings.Repeat(" ", 0x200000), "HTTP/1.1 413"},
	} {
		answer := ""
		for range 10 { // a client that is slow to read an answer to what it still sends loses the answer
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			go func() {
				_, _ = io.WriteString(conn, c.text)
				_ = conn.(*net.TCPConn).CloseWrite()
			}()
			text, err := io.ReadAll(io.LimitReader(conn, 12))
			_ = conn.Close()
			if answer = string(text); err == nil {
				break
			}
		}
		assert.Equal(t, c.want, answer, name)
	}
}

// TestKeyInTheHeaderCounts checks that a long request whose header has the write key is not identified again by a key in its body.
func TestKeyInTheHeaderCounts(t *testing.T) {
	h, counted := limited(func(c *Config) { c.MaxEvent = 1 << 10 })
	event := `{"type":"track","event":"A","userId":"u1"}`
	body := `{"writeKey":"another","batch":[` + strings.Repeat(event+",", 99) + event + `]}`
	w := send(h, "/v1/batch", "wk", strings.NewReader(body))
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	assert.Equal(t, counts{"web accepted": 100}, counted)
	assert.Equal(t, http.StatusUnauthorized, send(h, "/v1/batch", "", strings.NewReader(body)).Code)
}

// TestBuffersAreBounded checks that a buffer for a body has at most one byte more than the limit, which shows that the body is longer, and that
// its bytes are reserved once.
func TestBuffersAreBounded(t *testing.T) {
	h, _ := limited()
	for _, c := range []struct{ limit, expected int }{{100, 0}, {100, 1 << 20}, {firstBuffer, 0}, {5 * firstBuffer, 0}} {
		q := &request{Handler: h, memory: memoryGrant{budget: &h.memory}}
		var raw []byte
		for range 10 {
			grown, refused := q.makeSpace(raw, c.limit, c.expected)
			require.Nil(t, refused)
			assert.LessOrEqual(t, cap(grown), c.limit+1, c)
			assert.EqualValues(t, cap(grown), q.memory.held, c)
			if raw = grown[:cap(grown)]; len(raw) == c.limit+1 {
				break
			}
		}
		assert.Len(t, raw, c.limit+1, "a body of the whole length has a place: %v", c)
		q.memory.releaseAll()
	}
	assert.Zero(t, h.memory.used.Load())
}

// TestABufferGetsTheAnnouncedSizeWhenAnEighthHasCome checks that a client must send what it lets the server allocate.
func TestABufferGetsTheAnnouncedSizeWhenAnEighthHasCome(t *testing.T) {
	h, _ := limited()
	for _, c := range []struct {
		expected int
		want     []int // capacities
	}{
		{700, []int{firstBuffer}},
		{8*firstBuffer - 1, []int{firstBuffer, 8 * firstBuffer}},
		{8 * firstBuffer, []int{firstBuffer, 8 * firstBuffer, 16 * firstBuffer}},
		{75_000, []int{firstBuffer, 8 * firstBuffer, 32 * firstBuffer}},
		{600_000, []int{firstBuffer, 8 * firstBuffer, 64 * firstBuffer, 600_001}}, // no buffers of that size are kept
		{0, []int{firstBuffer, 2 * firstBuffer, 4 * firstBuffer}},
	} {
		q := &request{Handler: h, memory: memoryGrant{budget: &h.memory}}
		var raw []byte
		for _, want := range c.want {
			grown, refused := q.makeSpace(raw, 1<<20, c.expected)
			require.Nil(t, refused)
			require.Equal(t, want, cap(grown), c)
			raw = grown[:cap(grown)]
		}
		q.memory.releaseAll()
	}
}

// TestReplacedBuffersAreEmpty checks that a buffer that is used again has its size and nothing of the body before, and that none has the odd size
// of a last buffer.
func TestReplacedBuffersAreEmpty(t *testing.T) {
	var buffers bufferPool
	for size, index := range map[int]int{
		firstBuffer: 0, 2 * firstBuffer: 1, 8 * firstBuffer: 3, 32 * firstBuffer: 5, 128 * firstBuffer: 7, 256 * firstBuffer: -1,
		0: -1, 1: -1, firstBuffer - 1: -1, firstBuffer + 1: -1, 3 * firstBuffer: -1, 75_001: -1,
	} {
		assert.Equal(t, index, buffers.find(size), size)
		for range 3 {
			b := buffers.get(size)
			assert.Empty(t, b)
			require.Equal(t, size, cap(b))
			b = b[:size]
			assert.Equal(t, size, bytes.Count(b, []byte{0}))
			for i := range b {
				b[i] = 'x'
			}
			buffers.put(b[:size/2])
		}
	}
}

// TestTextsOfARequestAreApart checks that the texts of events that share memory do not overlap, whatever is appended to one.
func TestTextsOfARequestAreApart(t *testing.T) {
	var b textBlock
	var texts [][]byte
	var want []string
	for i := range 60 {
		v := event.NewObject([]event.Member{{Key: "k", Value: event.NewString(strings.Repeat("\x01", i*i))}}) // six bytes each, more than Size says
		text := b.appendJSON(v, 60-i)
		texts, want = append(texts, text), append(want, v.JSON())
		_ = append(text, strings.Repeat("y", 100)...)
	}
	for i, text := range texts {
		assert.Equal(t, want[i], string(text))
	}
}
