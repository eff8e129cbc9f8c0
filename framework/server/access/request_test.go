package access

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestLocal(t *testing.T) {
	for _, c := range []struct {
		from, host, header string
		want               bool
	}{
		{"127.0.0.1:9", "127.0.0.1:8080", "", true},
		{"127.0.0.1:9", "localhost:8080", "", true},
		{"127.0.0.1:9", "LOCALHOST", "", true},
		{"[::1]:9", "[::1]:8080", "", true},
		{"[::ffff:127.0.0.1]:9", "127.0.0.1", "", true},
		{"[::1]:9", "[::]:8080", "", true},
		{"127.0.0.1:9", "evil.example:8080", "", false},
		{"127.0.0.1:9", "localhost.evil.example", "", false},
		{"127.0.0.1:9", "127.0.0.1.evil.example", "", false},
		{"127.0.0.1:9", "", "", false},
		{"10.1.2.3:9", "127.0.0.1:8080", "", false},
		{"127.0.0.1:9", "127.0.0.1:8080", "X-Forwarded-For", false},
		{"127.0.0.1:9", "127.0.0.1:8080", "X-Forwarded-Proto", false},
		{"127.0.0.1:9", "127.0.0.1:8080", "Forwarded", false},
		{"127.0.0.1:9", "127.0.0.1:8080", "Via", false},
		{"127.0.0.1:9", "127.0.0.1:8080", "X-Real-IP", false},
		{"127.0.0.1:9", "127.0.0.1:8080", "CF-Connecting-IP", false},
		{"nonsense", "localhost", "", false},
		{"@", "localhost", "", false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Host = c.from, c.host
		if c.header != "" {
			r.Header.Set(c.header, "10.1.2.3")
		}
		assert.Equal(t, c.want, Local(r), "%+v", c)
	}
}

// TestLocalSockets checks that only a request over a Unix socket counts as local without an address.
func TestLocalSockets(t *testing.T) {
	for at, want := range map[net.Addr]bool{
		&net.UnixAddr{Net: "unix", Name: "/run/landfall.sock"}: true,
		&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8081}:   false,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, at))
		r.RemoteAddr, r.Host = "@", "localhost"
		assert.Equal(t, want, Local(r), at)
		r.RemoteAddr = "10.1.2.3:9"
		assert.Equal(t, want, Local(r), at)
	}
}

func TestBearer(t *testing.T) {
	for header, want := range map[string]string{"": "", "Basic a2V5": "", "Bearer key": "key", "bearer key": "key", "Bearer": "", "Bearerkey": ""} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", header)
		assert.Equal(t, want, Bearer(r), header)
	}
	assert.True(t, sameKey("key", "key"))
	assert.False(t, sameKey("other", "key"))
	assert.False(t, sameKey("", ""), "with no key set, none is right")
}
