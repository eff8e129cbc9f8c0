package httpx_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/fault"
)

func TestEverySecretIsRedacted(t *testing.T) {
	r := httpx.NewRedactor(nil, []string{"first-secret", "second-secret", "third secret"})
	r.AddValue("fourth-secret")
	r.AddValue("fifth-secret")
	text := "first-secret second-secret third secret fourth-secret fifth-secret first-secret"
	hidden := strings.TrimSpace(strings.Repeat("[hidden] ", 6))
	assert.Equal(t, hidden, r.Redact(text))
	assert.Equal(t, hidden, r.Error(errors.New(text)).Error())
	assert.Equal(t, `{"a":"[hidden]","b":["[hidden]","[hidden]"]}`, string(r.Body("application/json", []byte(`{"a":"first-secret","b":["second-secret","fifth-secret"]}`))))
	assert.Equal(t, `{"token":"[hidden]", "password":"[hidden]"} and "token":"[hidden]"`, string(r.Body("text/plain", []byte(`{"token": "one", "password": "two"} and "token": "three"`))))
	form := "application/x-www-form-urlencoded"
	assert.Equal(t, "token=[hidden]&a=b&password=[hidden]", string(r.Body(form, []byte("token=one&a=b&password=two"))))
	u, err := url.Parse("https://host/third%20secret?token=one&x=1&password=two&y=second-secret")
	require.NoError(t, err)
	assert.Equal(t, "https://host/[hidden]?token=[hidden]&x=1&password=[hidden]&y=[hidden]", r.URL(u))
	header := http.Header{"Authorization": {"Bearer one-token", "Bearer two-token"}, "X-Api-Key": {"three-key"}, "Note": {"first-secret", "plain", "second-secret"}}
	assert.Equal(t, http.Header{
		"Authorization": {"Bearer [hidden]", "Bearer [hidden]"}, "X-Api-Key": {"[hidden]"}, "Note": {"[hidden]", "plain", "[hidden]"},
	}, r.Header(header))
}

// TestEveryCredentialOfARequestIsRedacted checks that credentials of a request are redacted in a response that repeats them.
func TestEveryCredentialOfARequestIsRedacted(t *testing.T) {
	credentials := []string{"bearer-one", "bearer-two", "key-three"}
	var seen httpx.Exchange
	chain := httpx.New(httpx.Config{Observe: func(e httpx.Exchange) { seen = e }, Base: answering(func(r *http.Request) (*http.Response, error) {
		return answer(r, 400, nil, strings.Join(credentials, " "))
	})})
	r, err := http.NewRequestWithContext(t.Context(), "GET", "https://remote.example/", nil)
	require.NoError(t, err)
	r.Header = http.Header{"Authorization": {"Bearer " + credentials[0], "Bearer " + credentials[1]}, "X-Api-Key": {credentials[2]}}
	_, err = chain.RoundTrip(r)
	require.NoError(t, err)
	assert.Equal(t, "[hidden] [hidden] [hidden]", string(seen.ResponseBody))
}

func TestErrorsOfTooLargeResponses(t *testing.T) {
	for _, c := range []struct {
		status, want int
		retry        bool
		wait         time.Duration
	}{
		{200, 502, false, 0}, {204, 502, false, 0}, {302, 502, false, 0}, {399, 502, false, 0},
		{400, 400, false, 0}, {404, 404, false, 0}, {413, 413, false, 0},
		{429, 429, true, 7 * time.Second}, {500, 500, true, 7 * time.Second}, {503, 503, true, 7 * time.Second},
	} {
		for _, size := range []int{100, 101} {
			chain := httpx.New(httpx.Config{MaxResponseBytes: 100, Base: answering(func(r *http.Request) (*http.Response, error) {
				return answer(r, c.status, map[string]string{"Retry-After": "7"}, strings.Repeat("x", size))
			})})
			response, err := post(t, chain, t.Context(), "https://remote.example/", "{}")
			if size == 100 {
				require.NoError(t, err)
				assert.Equal(t, c.status, response.StatusCode)
				continue
			}
			var known *fault.Error
			require.ErrorAs(t, err, &known)
			assert.Equal(t, c.want, known.Status, c.status)
			assert.Equal(t, c.retry, known.Retry, c.status)
			if c.retry {
				assert.Equal(t, c.wait, known.RetryAfter, c.status)
			}
			assert.Contains(t, known.Error(), "the answer (status "+strconv.Itoa(c.status)+") is larger than 100 bytes")
		}
	}
}

func TestWaitsHaveAMaximum(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"86399": day - time.Second, "86400": day, "86401": day, "999999999": day, strconv.FormatInt(now.Add(48*time.Hour).Unix(), 10): day,
		strconv.FormatInt(now.Add(48*time.Hour).UnixMilli(), 10): day, "1e300": day,
		now.Add(time.Hour).Format(http.TimeFormat): time.Hour, now.Add(48 * time.Hour).Format(http.TimeFormat): day, now.Add(-time.Hour).Format(http.TimeFormat): 0, "-5": 0,
	} {
		for _, name := range []string{"Retry-After", "X-RateLimit-Retry-After", "X-RateLimit-Reset"} {
			header := http.Header{}
			header.Set(name, text)
			assert.Equal(t, want, httpx.RetryAfter(header, now), "%s: %s", name, text)
		}
	}
}

// A request waits at most DefaultMaxWait for the limiter; if it would have to wait longer, it fails at once.
func TestRequestsDoNotWaitLongerThanTheMaximum(t *testing.T) {
	for seconds, waits := range map[int]bool{9: true, 10: true, 11: false, 3600: false} {
		synctest.Test(t, func(t *testing.T) {
			status := 429
			chain := httpx.New(httpx.Config{Base: answering(func(r *http.Request) (*http.Response, error) {
				return answer(r, status, map[string]string{"Retry-After": strconv.Itoa(seconds)}, "")
			})})
			_, err := post(t, chain, t.Context(), "https://remote.example/", "{}")
			require.NoError(t, err)
			status = 200
			begin := time.Now()
			_, err = post(t, chain, t.Context(), "https://remote.example/", "{}")
			if waits {
				require.NoError(t, err)
				assert.Equal(t, time.Duration(seconds)*time.Second, time.Since(begin))
				return
			}
			var known *fault.Error
			require.ErrorAs(t, err, &known)
			assert.Equal(t, 429, known.Status)
			assert.True(t, known.Retry)
			assert.Equal(t, time.Duration(seconds)*time.Second, known.RetryAfter)
			assert.Zero(t, time.Since(begin))
		})
	}
}

func TestRequestsAreLogged(t *testing.T) {
	for _, c := range []struct {
		name    string
		base    answering
		level   slog.Level
		message string
		also    []string
	}{
		{"delivered", func(r *http.Request) (*http.Response, error) { return answer(r, 200, nil, "") }, slog.LevelDebug, "request answered", []string{"status=200"}},
		{"refused", func(r *http.Request) (*http.Response, error) { return answer(r, 300, nil, "because") }, slog.LevelWarn, "request refused", []string{"status=300", "answer=because"}},
		{"failed", func(*http.Request) (*http.Response, error) { return nil, errors.New("cut-off") }, slog.LevelWarn, "request failed", []string{"cut-off"}},
	} {
		for _, least := range []slog.Level{slog.LevelDebug, slog.LevelWarn, slog.LevelError} {
			var log bytes.Buffer
			chain := httpx.New(httpx.Config{Base: c.base, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: least}))})
			_, _ = post(t, chain, t.Context(), "https://remote.example/path?token=hush", "{}")
			if c.level < least {
				assert.Empty(t, log.String(), c.name)
				continue
			}
			for _, want := range append(c.also, "level="+c.level.String(), `msg="`+c.message+`"`, "method=POST", "https://remote.example/path?token=[hidden]", "duration=") {
				assert.Contains(t, log.String(), want, c.name)
			}
			assert.Equal(t, 1, strings.Count(log.String(), "\n"), c.name)
		}
	}
}
