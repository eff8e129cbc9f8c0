package httpx_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answering is a transport that answers with a function.
type answering func(*http.Request) (*http.Response, error)

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

func answer(r *http.Request, status int, headers map[string]string, body string) (*http.Response, error) {
	h := http.Header{}
	for k, v := range headers {
		h.Set(k, v)
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func post(t *testing.T, chain http.RoundTripper, ctx context.Context, address, body string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, "POST", address, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	return chain.RoundTrip(r)
}

func TestExchangesAreReportedWithoutSecrets(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Set-Cookie", "session=abcdef")
		w.WriteHeader(401)
		fmt.Fprintf(w, "wrong token %s, body %s", r.Header.Get("Authorization"), body)
	}))
	defer server.Close()
	defer server.Client().CloseIdleConnections()
	var seen []httpx.Exchange
	chain := httpx.New(httpx.Config{
		Base: server.Client().Transport, Redactor: httpx.NewRedactor([]string{"my_key"}, []string{"s3cret/value"}),
		Authorize: func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer tok-12345")
			return nil
		},
		Observe: func(x httpx.Exchange) { seen = append(seen, x) },
	})
	response, err := post(t, chain, context.Background(), server.URL+"/a?token=q-token&x=s3cret%2Fvalue", `{"my_key":"k-value","deep":[{"text":"has s3cret/value inside"}]}`)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Contains(t, string(body), "tok-12345", "the caller gets the answer as it is")
	require.Len(t, seen, 1)
	raw, err := json.Marshal(seen[0])
	require.NoError(t, err)
	for _, secret := range []string{"tok-12345", "k-value", "s3cret", "q-token", "abcdef"} {
		assert.NotContains(t, string(raw), secret)
	}
	assert.Equal(t, `{"my_key":"[hidden]","deep":[{"text":"has [hidden] inside"}]}`, string(seen[0].Body))
	assert.Equal(t, "Bearer [hidden]", seen[0].Header.Get("Authorization"))
	assert.Equal(t, server.URL+"/a?token=[hidden]&x=[hidden]", seen[0].URL)
}

func TestRedirectReportsTheRealURL(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", r.Host, r.URL, r.Header.Get("X-Forwarded-Host"))
	}))
	defer server.Close()
	defer server.Client().CloseIdleConnections()
	to, err := url.Parse(server.URL + "/prefix")
	require.NoError(t, err)
	var seen httpx.Exchange
	chain := httpx.New(httpx.Config{Base: httpx.Redirect(server.Client().Transport, to), Observe: func(x httpx.Exchange) { seen = x }})
	response, err := post(t, chain, context.Background(), "https://rest.example.com/a/b?c=d", "{}")
	require.NoError(t, err)
	body, _ := io.ReadAll(response.Body)
	assert.Equal(t, strings.TrimPrefix(server.URL, "http://")+" /prefix/a/b?c=d rest.example.com", string(body))
	assert.Equal(t, "https://rest.example.com/a/b?c=d", seen.URL)
	assert.Equal(t, "https://rest.example.com/a/b?c=d", response.Request.URL.String())
}

func TestFailuresAreFaultsWithoutSecrets(t *testing.T) {
	chain := httpx.New(httpx.Config{
		Base:     answering(func(*http.Request) (*http.Response, error) { return nil, errors.New("cannot reach s3cret-host") }),
		Redactor: httpx.NewRedactor(nil, []string{"s3cret-host"}),
	})
	_, err := post(t, chain, context.Background(), "https://x.example.com", "{}")
	e := fault.As(err)
	assert.Equal(t, fault.CodeConnection, e.Code)
	assert.True(t, e.Retry)
	assert.NotContains(t, err.Error(), "s3cret")

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	chain = httpx.New(httpx.Config{Base: answering(func(r *http.Request) (*http.Response, error) { return nil, r.Context().Err() })})
	_, err = post(t, chain, ctx, "https://x.example.com", "{}")
	assert.ErrorIs(t, err, context.Canceled)

	_, err = post(t, httpx.New(httpx.Config{}), context.Background(), "ftp://x.example.com", "{}")
	assert.ErrorContains(t, err, "not an http or https URL")
}

func TestBodiesAreBounded(t *testing.T) {
	chain := httpx.New(httpx.Config{
		Base:            answering(func(r *http.Request) (*http.Response, error) { return answer(r, 200, nil, strings.Repeat("x", 101)) }),
		MaxRequestBytes: 10, MaxResponseBytes: 100,
	})
	_, err := post(t, chain, context.Background(), "https://x.example.com", strings.Repeat("x", 11))
	assert.ErrorContains(t, err, "larger than 10 bytes")
	_, err = post(t, chain, context.Background(), "https://x.example.com", "{}")
	assert.ErrorContains(t, err, "100 bytes")
}

func TestRemoteRateLimitsAreRespected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		headers := map[string]string{}
		status := 200
		chain := httpx.New(httpx.Config{
			Base: answering(func(r *http.Request) (*http.Response, error) {
				calls.Add(1)
				return answer(r, status, headers, "{}")
			}),
			Limiter: httpx.NewLimiter(httpx.LimiterConfig{MaxWait: 30 * time.Second}),
		})
		call := func() (time.Duration, error) {
			begin := time.Now()
			_, err := post(t, chain, t.Context(), "https://x.example.com", "{}")
			return time.Since(begin), err
		}
		waits := func(want time.Duration) {
			t.Helper()
			waited, err := call()
			require.NoError(t, err)
			assert.Equal(t, want, waited.Round(time.Second))
		}
		headers["X-RateLimit-Remaining"], headers["X-RateLimit-Reset"] = "0", "5" // a small number is a delta
		waits(0)
		headers["X-RateLimit-Reset"] = "7"
		waits(5 * time.Second)
		delete(headers, "X-RateLimit-Remaining")
		delete(headers, "X-RateLimit-Reset")
		waits(7 * time.Second)
		status, headers["Retry-After"] = 429, "3"
		waits(0)
		status = 200
		delete(headers, "Retry-After")
		waits(3 * time.Second)

		status, headers["Retry-After"] = 429, "3600"
		waits(0)
		before := calls.Load()
		_, err := call()
		e := fault.As(err)
		assert.Equal(t, 429, e.Status)
		assert.True(t, e.Retry)
		assert.InDelta(t, 3600, e.RetryAfter.Seconds(), 5)
		assert.Equal(t, before, calls.Load(), "a request that would wait for too long is not sent")
	})
}

// TestPausesAreBounded checks that the pause that a remote requests is limited and can be ended.
func TestPausesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := 429
		limiter := httpx.NewLimiter(httpx.LimiterConfig{MaxPause: time.Minute, MaxWait: -1})
		chain := httpx.New(httpx.Config{
			Base: answering(func(r *http.Request) (*http.Response, error) {
				return answer(r, status, map[string]string{"Retry-After": "999999999999"}, "{}")
			}),
			Limiter: limiter,
		})
		call := func() error { _, err := post(t, chain, t.Context(), "https://x.example.com", "{}"); return err }
		require.NoError(t, call(), "it is sent, and refused by the remote")
		assert.Equal(t, time.Minute, fault.As(call()).RetryAfter)
		time.Sleep(time.Minute)
		require.NoError(t, call(), "it is sent again")
		assert.Equal(t, time.Minute, fault.As(call()).RetryAfter)
		status = 200
		limiter.Resume()
		require.NoError(t, call())
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	cases := map[string]struct {
		header http.Header
		want   time.Duration
	}{
		"none":            {http.Header{}, 0},
		"seconds":         {http.Header{"Retry-After": {"7"}}, 7 * time.Second},
		"a date":          {http.Header{"Retry-After": {"Fri, 02 Jan 2026 03:04:15 GMT"}}, 10 * time.Second},
		"braze":           {http.Header{"X-Ratelimit-Retry-After": {"4"}}, 4 * time.Second},
		"reset as epoch":  {http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {fmt.Sprint(now.Unix() + 20)}}, 20 * time.Second},
		"reset as delta":  {http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"30"}}, 30 * time.Second},
		"requests remain": {http.Header{"X-Ratelimit-Remaining": {"3"}, "X-Ratelimit-Reset": {"30"}}, 0},
		"nonsense":        {http.Header{"Retry-After": {"soon"}}, 0},
		"more than a day": {http.Header{"Retry-After": {"9999999999"}}, 24 * time.Hour},
		"far too long":    {http.Header{"Retry-After": {"999999999999"}}, 24 * time.Hour},
		"an exponent":     {http.Header{"Retry-After": {"1e300"}}, 24 * time.Hour},
		"no number fits":  {http.Header{"Retry-After": {"1" + strings.Repeat("0", 400)}}, 0},
		"negative":        {http.Header{"Retry-After": {"-5"}}, 0},
		"far below zero":  {http.Header{"Retry-After": {"-1e300"}}, 0},
		"a far date":      {http.Header{"Retry-After": {"Fri, 31 Dec 9999 23:59:59 GMT"}}, 24 * time.Hour},
		"a past date":     {http.Header{"Retry-After": {"Fri, 02 Jan 1970 03:04:15 GMT"}}, 0},
		"an RFC 850 date": {http.Header{"Retry-After": {"Friday, 02-Jan-26 03:04:15 GMT"}}, 10 * time.Second},
		"an asctime date": {http.Header{"Retry-After": {"Fri Jan  2 03:04:15 2026"}}, 10 * time.Second},
		"milliseconds":    {http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {fmt.Sprint(now.UnixMilli() + 20000)}}, 20 * time.Second},
		"an absurd reset": {http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"99999999999999999999"}}, 24 * time.Hour},
		"not a number":    {http.Header{"Retry-After": {"NaN"}}, 0},
		"infinity":        {http.Header{"Retry-After": {"Inf"}}, 0},
		// of a remote whose clock is years behind, or has an unreadable time
		"date by its clock":  {http.Header{"Date": {"Fri, 02 Jan 2015 03:04:05 GMT"}, "Retry-After": {"Fri, 02 Jan 2015 03:04:15 GMT"}}, 10 * time.Second},
		"epoch by its clock": {http.Header{"Date": {"Fri, 02 Jan 2015 03:04:05 GMT"}, "X-Ratelimit-Reset": {"1420167865"}}, 20 * time.Second},
		"seconds with Date":  {http.Header{"Date": {"Fri, 02 Jan 2015 03:04:05 GMT"}, "Retry-After": {"7"}}, 7 * time.Second},
		"an unreadable Date": {http.Header{"Date": {"today"}, "Retry-After": {"Fri, 02 Jan 2026 03:04:15 GMT"}}, 10 * time.Second},
	}
	for name, c := range cases {
		assert.Equal(t, c.want, httpx.RetryAfter(c.header, now), name)
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("s3cret", `{"a":"s3cret","password":"x"}`)
	f.Add(`q"\/é`, `{"k":["q\"\\/é"],"n":1}`)
	f.Add("hidden]", `text hidden] a=b&token=hidden]`)
	f.Add("1234", `{"n":12345}`)
	f.Fuzz(func(t *testing.T, secret, body string) {
		if len(secret) < 4 || strings.Contains(httpx.Hidden, secret) || strings.Contains(secret, "[") {
			return
		}
		r := httpx.NewRedactor(nil, []string{secret})
		shown := r.Body("", []byte(body))
		if json.Valid([]byte(body)) {
			require.True(t, json.Valid(shown), "no longer JSON: %s", shown)
			var before, after any
			require.NoError(t, decodeNumbers([]byte(body), &before))
			require.NoError(t, decodeNumbers(shown, &after))
			noSecret(t, after, secret)
			return
		}
		assert.NotContains(t, r.Redact(body), secret)
	})
}

// decodeNumbers decodes JSON without converting its numbers: 1E345 is valid JSON, although it is not a float64.
func decodeNumbers(text []byte, into *any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(into)
}

// noSecret looks for a secret in every text of a value.
func noSecret(t *testing.T, v any, secret string) {
	switch v := v.(type) {
	case string:
		if strings.Contains(strings.ReplaceAll(v, httpx.Hidden, "\x00"), secret) {
			t.Fatalf("%q shows %q", v, secret)
		}
	case []any:
		for _, inner := range v {
			noSecret(t, inner, secret)
		}
	case map[string]any:
		for key, inner := range v {
			noSecret(t, key, secret)
			noSecret(t, inner, secret)
		}
	}
}

func TestBackoffDoublesUpToItsBound(t *testing.T) {
	for failures, most := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 4: 8 * time.Second, 5: 10 * time.Second, 1000: 10 * time.Second} {
		for range 50 {
			d := httpx.Backoff(time.Second, 10*time.Second, failures)
			assert.True(t, d >= most/2 && d <= most, "%d failures: %v", failures, d)
		}
	}
}
