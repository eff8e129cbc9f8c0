package httpx_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
)

// saying is a transport whose responses have these headers.
type saying map[string]string

func (s saying) RoundTrip(r *http.Request) (*http.Response, error) {
	header := http.Header{}
	for name, value := range s {
		header.Set(name, value)
	}
	return &http.Response{StatusCode: 429, Header: header, Body: http.NoBody, Request: r}, nil
}

func TestRateLimitHeadersAreConfigurable(t *testing.T) {
	own := httpx.RateHeaders{Remaining: "X-Left", Reset: "X-Window", RetryAfter: "X-Wait"}
	inMilliseconds := own
	inMilliseconds.Milliseconds = true
	for name, c := range map[string]struct {
		names  httpx.RateHeaders
		header saying
		want   time.Duration
	}{
		"the usual names":         {httpx.RateHeaders{}, saying{"Retry-After": "3"}, 3 * time.Second},
		"its own":                 {own, saying{"X-Wait": "4"}, 4 * time.Second},
		"its own, in ms":          {inMilliseconds, saying{"X-Wait": "1500"}, 1500 * time.Millisecond},
		"a window, in ms":         {inMilliseconds, saying{"X-Left": "0", "X-Window": "10000"}, 10 * time.Second},
		"requests are left":       {inMilliseconds, saying{"X-Left": "5", "X-Window": "10000"}, 0},
		"not a number":            {inMilliseconds, saying{"X-Wait": "soon"}, 0},
		"the usual names as well": {own, saying{"Retry-After": "7"}, 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			chain := httpx.New(httpx.Config{Base: c.header, RateLimit: c.names})
			r, err := http.NewRequestWithContext(context.Background(), "GET", "https://example.com", nil)
			require.NoError(t, err)
			response, err := chain.RoundTrip(r)
			require.NoError(t, err)
			assert.Equal(t, c.want, httpx.RetryAfter(response.Header, time.Now()))
		})
	}
}

func TestRepeatedCredentialsOfAHandlerAreRedacted(t *testing.T) {
	var seen httpx.Exchange
	chain := httpx.New(httpx.Config{Base: saying{"X-Echo": "is own-credential-1 yours?"}, Observe: func(x httpx.Exchange) { seen = x }})
	r, err := http.NewRequestWithContext(context.Background(), "GET", "https://example.com", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Basic own-credential-1")
	_, err = chain.RoundTrip(r)
	require.NoError(t, err)
	assert.Equal(t, "is [hidden] yours?", seen.ResponseHeader.Get("X-Echo"))
	assert.Equal(t, "Basic [hidden]", seen.Header.Get("Authorization"))
}
