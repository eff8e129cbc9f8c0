package sandbox_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/landfall-dev/landfall/framework/destination/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counter is an API that counts the requests it has processed.
type counter struct{ n atomic.Int64 }

func (c *counter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	c.n.Add(1)
	w.WriteHeader(http.StatusCreated)
}
func (c *counter) State() any { return map[string]int64{"n": c.n.Load()} }
func (c *counter) Reset()     { c.n.Store(0) }

// ways are the two ways to call a sandbox.
func ways(t *testing.T, do func(t *testing.T, call func(method, path, body string) (*http.Response, error), api *counter)) {
	for name, inProcess := range map[string]bool{"tcp": false, "in process": true} {
		t.Run(name, func(t *testing.T) {
			api := &counter{}
			handler := sandbox.New(sandbox.Config{API: api, Secrets: []string{"key"}})
			url, transport := "http://sandbox", sandbox.Transport(handler)
			if !inProcess {
				server := httptest.NewServer(handler)
				t.Cleanup(server.Close)
				url, transport = server.URL, server.Client().Transport
			}
			do(t, func(method, path, body string) (*http.Response, error) {
				r, err := http.NewRequest(method, url+path, strings.NewReader(body))
				require.NoError(t, err)
				answer, err := transport.RoundTrip(r)
				if err == nil {
					t.Cleanup(func() { answer.Body.Close() })
				}
				return answer, err
			}, api)
		})
	}
}

func TestFaults(t *testing.T) {
	ways(t, func(t *testing.T, call func(method, path, body string) (*http.Response, error), api *counter) {
		fault := func(text string) {
			answer, err := call("POST", "/__sandbox/faults", text)
			require.NoError(t, err)
			require.Equal(t, 200, answer.StatusCode)
		}
		status := func(path string) int {
			answer, err := call("POST", path, "{}")
			require.NoError(t, err)
			return answer.StatusCode
		}
		fault(`[{"path":"/a","times":2,"status":429,"headers":{"Retry-After":"3"}},{"path":"/b*","n":1,"status":503}]`)
		assert.Equal(t, []int{429, 201, 503, 429, 201, 201}, []int{status("/a"), status("/c"), status("/bb"), status("/a"), status("/a"), status("/bb")})
		acted := api.n.Load()

		answer, err := call("GET", "/__sandbox/requests", "")
		require.NoError(t, err)
		recorded, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		assert.Equal(t, 3, strings.Count(string(recorded), `"fault":true`), "the requests that the faults have hit")

		fault(`{"drop":true}`)
		_, err = call("POST", "/a", "{}")
		assert.Error(t, err)
		assert.Equal(t, acted, api.n.Load(), "a dropped request is not acted on")

		fault(`{"drop":true,"after":true}`)
		_, err = call("POST", "/a", "{}")
		assert.Error(t, err)
		assert.Equal(t, acted+1, api.n.Load(), "a request dropped afterwards is acted on")

		fault(`{"status":500,"after":true}`)
		assert.Equal(t, 500, status("/a"))
		assert.Equal(t, acted+2, api.n.Load())

		fault(`{"delay_ms":30}`)
		begin := time.Now()
		assert.Equal(t, 201, status("/a"))
		assert.GreaterOrEqual(t, time.Since(begin), 30*time.Millisecond)
	})
}

func TestControlsRefuseInvalidRequests(t *testing.T) {
	ways(t, func(t *testing.T, call func(method, path, body string) (*http.Response, error), _ *counter) {
		for body, want := range map[string]string{
			`{`: "this is not a valid fault", `{"status":99}`: "status should be from 200 to 599", `{}`: "a fault needs a status, a delay_ms or drop",
			`{"drop":true,"times":-1}`: "times should be at least 1", `{"delay_ms":99999}`: "delay_ms should be from 0 to 60000", `{"statsu":500}`: "unknown field", `{"status":500} {"status":500}`: "text after it",
		} {
			answer, err := call("POST", "/__sandbox/faults", body)
			require.NoError(t, err)
			raw, _ := io.ReadAll(answer.Body)
			assert.Equal(t, 400, answer.StatusCode, body)
			assert.Contains(t, string(raw), want, body)
		}
		many := func(n int) string { return "[" + strings.Repeat(`{"status":500},`, n-1) + `{"status":500}]` }
		for _, c := range []struct{ n, status int }{{1000, 200}, {1, 400}} {
			answer, err := call("POST", "/__sandbox/faults", many(c.n))
			require.NoError(t, err)
			assert.Equal(t, c.status, answer.StatusCode, "%d faults", c.n)
		}
		answer, err := call("GET", "/__sandbox/nothing", "")
		require.NoError(t, err)
		assert.Equal(t, 404, answer.StatusCode)
	})
}

func TestRequestsAreRecordedWithoutSecrets(t *testing.T) {
	ways(t, func(t *testing.T, call func(method, path, body string) (*http.Response, error), _ *counter) {
		_, err := call("POST", "/a", `{"key":"s3cret","list":[{"key":{"deep":"s3cret"}}],"n":12345678901234567890}`)
		require.NoError(t, err)
		answer, err := call("GET", "/__sandbox/requests", "")
		require.NoError(t, err)
		raw, _ := io.ReadAll(answer.Body)
		assert.NotContains(t, string(raw), "s3cret")
		assert.Contains(t, string(raw), `"json":{"key":"[hidden]","list":[{"key":"[hidden]"}],"n":12345678901234567890}`)
	})
}

func TestOldestRequestsAreDiscarded(t *testing.T) {
	server := sandbox.New(sandbox.Config{API: &counter{}})
	const large = 1 << 20
	for i := range 70 {
		body := strings.NewReader(fmt.Sprintf(`{"n":%d,"pad":"%s"}`, i, strings.Repeat("x", large)))
		server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/large", body))
	}
	kept := server.Requests()
	assert.InDelta(t, 63, len(kept), 1)
	assert.Contains(t, string(kept[len(kept)-1].JSON[:10]), `{"n":69,`)
	for range sandbox.MaxRequests + 1 {
		server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/small", strings.NewReader("{}")))
	}
	kept = server.Requests()
	assert.Len(t, kept, sandbox.MaxRequests)
	assert.Equal(t, "/small", kept[0].Path)
}

func TestTransportSeesTheEndOfItsContext(t *testing.T) {
	transport := sandbox.Transport(sandbox.New(sandbox.Config{API: &counter{}}))
	r, err := http.NewRequest("POST", "http://sandbox/__sandbox/faults", strings.NewReader(`{"delay_ms":60000}`))
	require.NoError(t, err)
	_, err = transport.RoundTrip(r)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	r, err = http.NewRequestWithContext(ctx, "POST", "http://sandbox/a", nil)
	require.NoError(t, err)
	_, err = transport.RoundTrip(r)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestRecorderCountsByRoute(t *testing.T) {
	r := sandbox.NewRecorder()
	for _, path := range []string{"/a", "/a", "/b"} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest("POST", path, nil))
		assert.JSONEq(t, "{}", w.Body.String())
	}
	assert.JSONEq(t, `{"requests":{"POST /a":2,"POST /b":1}}`, toJSON(t, r.State()))
}

func TestLargeBodiesAreRefused(t *testing.T) {
	api := &counter{}
	server := sandbox.New(sandbox.Config{API: api})
	for size, want := range map[int]int{sandbox.MaxBody: http.StatusCreated, sandbox.MaxBody + 1: http.StatusRequestEntityTooLarge} {
		w := httptest.NewRecorder()
		server.ServeHTTP(w, httptest.NewRequest("POST", "/large", strings.NewReader(strings.Repeat("x", size))))
		assert.Equal(t, want, w.Code, size)
	}
	assert.Equal(t, int64(1), api.n.Load())
}
