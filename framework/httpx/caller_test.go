package httpx_test

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/httpx"
)

func TestLocal(t *testing.T) {
	for _, c := range []struct {
		from, host, forwarded string
		want                  bool
	}{
		{"127.0.0.1:9", "127.0.0.1:8080", "", true},
		{"127.0.0.1:9", "localhost:8080", "", true},
		{"127.0.0.1:9", "LOCALHOST", "", true},
		{"[::1]:9", "[::1]:8080", "", true},
		{"[::1]:9", "[::]:8080", "", true},
		{"127.0.0.1:9", "evil.example:8080", "", false},
		{"127.0.0.1:9", "localhost.evil.example", "", false},
		{"127.0.0.1:9", "", "", false},
		{"10.1.2.3:9", "127.0.0.1:8080", "", false},
		{"127.0.0.1:9", "127.0.0.1:8080", "10.1.2.3", false},
		{"nonsense", "localhost", "", false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Host = c.from, c.host
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		assert.Equal(t, c.want, httpx.Local(r), "%+v", c)
	}
}

func TestKeys(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	assert.Empty(t, httpx.Bearer(r))
	r.Header.Set("Authorization", "Basic a2V5")
	assert.Empty(t, httpx.Bearer(r))
	r.Header.Set("Authorization", "Bearer key")
	assert.True(t, httpx.Opens(httpx.Bearer(r), "key"))
	assert.False(t, httpx.Opens(httpx.Bearer(r), "other"))
	assert.False(t, httpx.Opens("", ""), "where no key is kept, none opens")
}
