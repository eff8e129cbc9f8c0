package admin_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/admin"
)

// handler returns a server's routes behind a guard with a key, or without one.
func handler(key string, log *bytes.Buffer) http.Handler {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "landfall_up 1\n") })
	began := time.Now() // wrong keys stay blocked however long a test takes
	guard := access.NewGuard(access.Config{
		Key: func() string { return key }, Token: "the-token", AllowLocal: true, Log: slog.New(slog.NewTextHandler(log, nil)), Now: func() time.Time { return began },
	})
	return (&admin.Server{
		Metrics: metrics, Guard: guard,
		Sources:       func(id string) ([]string, bool) { return nil, id == "crm" },
		Subscriptions: func(string) []string { return []string{"VIP"} },
	}).Handler()
}

// Without a key, only programs on this machine have access, but no page in a browser, even after DNS rebinding, and no client behind a
// proxy. With a key, only requests with the key or the token have access.
func TestAccess(t *testing.T) {
	mark := map[string]string{"Landfall-Admin": "1"}
	bearer := func(key string) map[string]string { return map[string]string{"Authorization": "Bearer " + key} }
	const unkeyed, right = "", "right"
	for name, c := range map[string]struct {
		key, path, host, from string
		header                map[string]string
		want                  int
	}{
		"a local program":                       {unkeyed, "/admin/status", "127.0.0.1:8080", "127.0.0.1:5000", mark, 200},
		"by name":                               {unkeyed, "/admin/status", "localhost:8080", "127.0.0.1:5000", mark, 200},
		"by name without a port":                {unkeyed, "/admin/status", "LOCALHOST", "127.0.0.1:5000", mark, 200},
		"by the other protocol":                 {unkeyed, "/admin/status", "[::1]:8080", "[::1]:5000", mark, 200},
		"the other without a port":              {unkeyed, "/admin/status", "[::1]", "[::1]:5000", mark, 200},
		"a local scraper":                       {unkeyed, "/metrics", "127.0.0.1:8080", "127.0.0.1:5000", nil, 200},
		"no mark header":                        {unkeyed, "/admin/status", "127.0.0.1:8080", "127.0.0.1:5000", nil, 401},
		"elsewhere":                             {unkeyed, "/admin/status", "127.0.0.1:8080", "192.0.2.7:5000", mark, 401},
		"a page after DNS rebinding":            {unkeyed, "/admin/status", "evil.example:8080", "127.0.0.1:5000", mark, 401},
		"metrics after DNS rebinding":           {unkeyed, "/metrics", "evil.example:8080", "127.0.0.1:5000", nil, 401},
		"a host name with the prefix localhost": {unkeyed, "/admin/status", "localhost.evil.example", "127.0.0.1:5000", mark, 401},
		"a host name with an address as prefix": {unkeyed, "/admin/status", "127.0.0.1.evil.example:8080", "127.0.0.1:5000", mark, 401},
		"no host":                               {unkeyed, "/admin/status", "", "127.0.0.1:5000", mark, 401},
		"behind a proxy on the machine":         {unkeyed, "/admin/status", "127.0.0.1:8080", "127.0.0.1:5000", map[string]string{"Landfall-Admin": "1", "X-Forwarded-For": "192.0.2.7"}, 401},

		"with a key: a program here":       {right, "/admin/status", "127.0.0.1:8080", "127.0.0.1:5000", mark, 401},
		"with a key: a scraper here":       {right, "/metrics", "127.0.0.1:8080", "127.0.0.1:5000", nil, 401},
		"with a key: by name":              {right, "/metrics", "localhost", "[::1]:5000", nil, 401},
		"with a key: a scraper that knows": {right, "/metrics", "127.0.0.1:8080", "127.0.0.1:5000", bearer("right"), 200},
		"elsewhere, with the key":          {right, "/admin/status", "landfall.example", "192.0.2.7:5000", bearer("right"), 200},
		"elsewhere, with another":          {right, "/admin/status", "landfall.example", "192.0.2.7:5000", bearer("wrong"), 401},
		"the token of local commands":      {right, "/admin/status", "127.0.0.1:8081", "127.0.0.1:5000", bearer("the-token"), 200},
		"the token, without a key":         {unkeyed, "/admin/status", "127.0.0.1:8081", "127.0.0.1:5000", bearer("the-token"), 200},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, c.path, nil)
			r.Host, r.RemoteAddr = c.host, c.from
			for k, v := range c.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			handler(c.key, &bytes.Buffer{}).ServeHTTP(w, r)
			assert.Equal(t, c.want, w.Code)
			assert.Equal(t, c.want == 200 && c.path == "/metrics", strings.Contains(w.Body.String(), "landfall_up"))
		})
	}
}

// Wrong keys are limited per client address, for the admin API and the metrics together.
func TestWrongKeysAreLimitedPerAddress(t *testing.T) {
	var log bytes.Buffer
	h := handler("right", &log)
	try := func(path, from, key string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.RemoteAddr = from
		r.Header.Set("Authorization", "Bearer "+key)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	codes := map[int]int{}
	for i := range 50 {
		codes[try([]string{"/admin/status", "/metrics"}[i%2], "192.0.2.7:5000", "guess").Code]++
	}
	assert.Equal(t, map[int]int{401: 10, 429: 40}, codes)
	blocked := try("/metrics", "192.0.2.7:5000", "right")
	assert.Equal(t, 429, blocked.Code)
	assert.NotEmpty(t, blocked.Header().Get("Retry-After"))
	assert.Equal(t, 200, try("/metrics", "192.0.2.8:5000", "right").Code)
	assert.Equal(t, 200, try("/metrics", "192.0.2.7:5000", "the-token").Code)
	assert.Equal(t, 10, strings.Count(log.String(), "msg=audit"), "guesses do not fill the log")
	assert.NotContains(t, log.String(), "guess")
}

func TestReplayOfUnknownInstanceIsRejected(t *testing.T) {
	for body, want := range map[string]string{
		`{"instance":"crn"}`:                          `there is no instance \"crn\"`,
		`{"instance":"crm","subscription":"VIPs"}`:    `crm has no subscription \"VIPs\" (did you mean \"VIP\"?)`,
		`{"instance":"crm","subscribe":"event is A"}`: `"error"`,
		`{"instance":"crm","sources":[""]}`:           `the id of a source is empty`,
	} {
		r := httptest.NewRequest(http.MethodPost, "/admin/replay", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer the-token")
		w := httptest.NewRecorder()
		handler("right", &bytes.Buffer{}).ServeHTTP(w, r)
		assert.Equal(t, 400, w.Code)
		assert.Contains(t, w.Body.String(), want)
	}
}
