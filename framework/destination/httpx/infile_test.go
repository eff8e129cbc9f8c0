package httpx_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/fault"
)

// TestAnswersInAFile checks that an answer that is larger than the limit can be read from a file, and that it is complete or an error.
func TestAnswersInAFile(t *testing.T) {
	large := strings.Repeat("user@example.com\n", 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/refused":
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, "slow down")
		case "/cut":
			_, _ = io.WriteString(w, large)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		default:
			_, _ = io.WriteString(w, large)
		}
	}))
	defer server.Close()
	var seen []httpx.Exchange
	chain := httpx.New(httpx.Config{MaxResponseBytes: 100, Observe: func(x httpx.Exchange) { seen = append(seen, x) }})
	get := func(path string, inFile bool) (string, int, error) {
		ctx := t.Context()
		if inFile {
			ctx = httpx.InFile(ctx)
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
		require.NoError(t, err)
		response, err := chain.RoundTrip(r)
		if err != nil {
			return "", 0, err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		return string(text), response.StatusCode, err
	}
	_, _, err := get("/", false)
	require.ErrorContains(t, err, "larger than 100 bytes")
	text, status, err := get("/", true)
	require.NoError(t, err)
	assert.Equal(t, 200, status)
	assert.Equal(t, large, text)
	assert.Empty(t, seen[1].ResponseBody, "users are not shown")
	text, status, err = get("/refused", true)
	require.NoError(t, err)
	assert.Equal(t, []any{"slow down", 429}, []any{text, status})
	_, _, err = get("/cut", true)
	require.Error(t, err)
	assert.True(t, fault.As(err).Retry, "%v", err)
}
