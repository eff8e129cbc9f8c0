package admin_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/admin"
)

// Only programs of this machine get in without the key: no page in a browser, whatever its host's name is made to mean, and
// nobody behind a proxy.
func TestWhoGetsInWithoutTheKey(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	handler := (&admin.Server{Metrics: metrics, Key: func() string { return "right" }}).Handler()
	mark := map[string]string{"Landfall-Admin": "1"}
	for name, c := range map[string]struct {
		path, host, from string
		header           map[string]string
		want             int
	}{
		"a program here":                {"/admin/status", "127.0.0.1:8080", "127.0.0.1:5000", mark, 200},
		"by name":                       {"/admin/status", "localhost:8080", "127.0.0.1:5000", mark, 200},
		"by name without a port":        {"/admin/status", "LOCALHOST", "127.0.0.1:5000", mark, 200},
		"by the other protocol":         {"/admin/status", "[::1]:8080", "[::1]:5000", mark, 200},
		"the other without a port":      {"/admin/status", "[::1]", "[::1]:5000", mark, 200},
		"a scraper here":                {"/metrics", "127.0.0.1:8080", "127.0.0.1:5000", nil, 200},
		"no mark":                       {"/admin/status", "127.0.0.1:8080", "127.0.0.1:5000", nil, 401},
		"elsewhere":                     {"/admin/status", "127.0.0.1:8080", "192.0.2.7:5000", mark, 401},
		"elsewhere, with the key":       {"/admin/status", "landfall.example", "192.0.2.7:5000", map[string]string{"Authorization": "Bearer right"}, 200},
		"elsewhere, with another":       {"/admin/status", "landfall.example", "192.0.2.7:5000", map[string]string{"Authorization": "Bearer wrong"}, 401},
		"a page of a rebound name":      {"/admin/status", "evil.example:8080", "127.0.0.1:5000", mark, 401},
		"its look at the metrics":       {"/metrics", "evil.example:8080", "127.0.0.1:5000", nil, 401},
		"a name that begins so":         {"/admin/status", "localhost.evil.example", "127.0.0.1:5000", mark, 401},
		"an address that begins so":     {"/admin/status", "127.0.0.1.evil.example:8080", "127.0.0.1:5000", mark, 401},
		"no host":                       {"/admin/status", "", "127.0.0.1:5000", mark, 401},
		"behind a proxy on the machine": {"/admin/status", "127.0.0.1:8080", "127.0.0.1:5000", map[string]string{"Landfall-Admin": "1", "X-Forwarded-For": "192.0.2.7"}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, c.path, nil)
			r.Host, r.RemoteAddr = c.host, c.from
			for k, v := range c.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			assert.Equal(t, c.want, w.Code)
		})
	}
}
