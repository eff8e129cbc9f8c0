package httpx_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/fault"
)

func newHourGate(limit int64) *budget.Gate {
	limits := budget.Limits{Windows: []budget.Window{{Limit: limit, Per: time.Hour}}}
	return budget.NewGate("a", budget.New("b", limits, budget.NewMemoryStore()), budget.GateConfig{})
}

// TestEveryRequestThatIsSentCounts checks that the request after a 401 counts, and that one which is not sent does not.
func TestEveryRequestThatIsSentCounts(t *testing.T) {
	received := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if received++; r.Header.Get("Authorization") == "old" {
			w.WriteHeader(401)
		}
	}))
	defer server.Close()
	gate, token := newHourGate(4), "old"
	chain := httpx.New(httpx.Config{
		Gate:      gate,
		Authorize: func(_ context.Context, r *http.Request) error { r.Header.Set("Authorization", token); return nil },
		Renew:     func(context.Context, *http.Request) (bool, error) { token = "new"; return true, nil },
	})
	post := func() error {
		req, err := http.NewRequest("POST", server.URL, strings.NewReader("x"))
		require.NoError(t, err)
		_, err = chain.RoundTrip(req)
		return err
	}
	for range 3 {
		require.NoError(t, post())
	}
	assert.Equal(t, 4, received)
	assert.Zero(t, gate.Status().Budget.Windows[0].Left)
	var e *fault.Error
	require.ErrorAs(t, post(), &e)
	assert.Equal(t, 4, received)
	assert.Equal(t, []any{fault.CodeDeferred, 429, true, fault.CauseRateLimited}, []any{e.Code, e.Status, e.Retry, e.Cause})
	assert.Greater(t, e.RetryAfter, 59*time.Minute)
}

// TestARemoteSteersTheGate checks the headers of remotes, and what counts as down.
func TestARemoteSteersTheGate(t *testing.T) {
	for name, c := range map[string]struct {
		status  int
		headers map[string]string
		least   time.Duration // of the wait before the next request; 0 for none
	}{
		"none":                  {200, nil, 0},
		"429 with Retry-After":  {429, map[string]string{"Retry-After": "60"}, 59 * time.Second},
		"some remain":           {200, map[string]string{"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": "60"}, 0},
		"none remains":          {200, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60"}, 59 * time.Second},
		"draft 6 of the IETF":   {200, map[string]string{"RateLimit-Remaining": "0", "RateLimit-Reset": "60"}, 59 * time.Second},
		"draft 7":               {200, map[string]string{"RateLimit": "limit=100, remaining=0, reset=60"}, 59 * time.Second},
		"draft 7, some remain":  {200, map[string]string{"RateLimit": "limit=100, remaining=7, reset=60"}, 0},
		"draft 8":               {200, map[string]string{"RateLimit": `"default";r=0;t=60`}, 59 * time.Second},
		"draft 8, two policies": {200, map[string]string{"RateLimit": `"hour";r=70;t=3000, "second";r=0;t=60`}, 59 * time.Second},
		"draft 8, some remain":  {200, map[string]string{"RateLimit": `"default";r=9;t=60`}, 0},
		"nonsense":              {200, map[string]string{"RateLimit": `;;=,"";r=x;t`, "X-RateLimit-Remaining": "many"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for name, value := range c.headers {
					w.Header()[name] = []string{value}
				}
				w.WriteHeader(c.status)
			}))
			defer server.Close()
			gate := newHourGate(100)
			chain := httpx.New(httpx.Config{Gate: gate})
			req, err := http.NewRequest("GET", server.URL, nil)
			require.NoError(t, err)
			_, err = chain.RoundTrip(req)
			require.NoError(t, err)
			_, err = gate.Enter(t.Context(), budget.Request{})
			if c.least == 0 {
				require.NoError(t, err)
				return
			}
			var later *budget.WaitError
			require.True(t, errors.As(err, &later), "%v", err)
			assert.GreaterOrEqual(t, later.Wait, c.least)
		})
	}
}

// TestPausesOfGatesAreBounded checks that a remote cannot stop an instance for longer than the longest pause of its Limiter.
func TestPausesOfGatesAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		status  int
		headers map[string]string
	}{
		"Retry-After":    {429, map[string]string{"Retry-After": "999999999999"}},
		"none remains":   {200, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "80000"}},
		"a reset in 22h": {200, map[string]string{"RateLimit": `"default";r=0;t=80000`}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := newHourGate(100)
				chain := httpx.New(httpx.Config{Gate: gate, Limiter: httpx.NewLimiter(httpx.LimiterConfig{MaxPause: time.Minute}),
					Base: answering(func(r *http.Request) (*http.Response, error) { return answer(r, c.status, c.headers, "{}") })})
				_, err := post(t, chain, t.Context(), "https://x.example.com", "{}")
				require.NoError(t, err)
				var later *budget.WaitError
				_, err = gate.Enter(t.Context(), budget.Request{})
				require.ErrorAs(t, err, &later)
				assert.Equal(t, time.Minute, later.Wait)
				time.Sleep(time.Minute)
				_, err = post(t, chain, t.Context(), "https://x.example.com", "{}")
				require.NoError(t, err)
			})
		})
	}
}
