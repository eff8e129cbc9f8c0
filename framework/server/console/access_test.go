package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAccessWithoutKey(t *testing.T) {
	p := newPage(t, written)
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		in     bool
	}{
		{"this machine", func(*http.Request) {}, true},
		{"this machine by its address", func(r *http.Request) { r.Host = "[::1]:8080"; r.RemoteAddr = "[::1]:1" }, true},
		{"another machine", func(r *http.Request) { r.RemoteAddr = "192.0.2.7:1" }, false},
		{"a proxy on this machine", func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.7") }, false},
		{"a host name that resolves to this machine", func(r *http.Request) { r.Host = "evil.example:8080" }, false},
		{"a host name with the prefix localhost", func(r *http.Request) { r.Host = "localhost.evil.example" }, false},
		{"a made-up session", func(r *http.Request) {
			r.RemoteAddr = "192.0.2.7:1"
			r.AddCookie(&http.Cookie{Name: "landfall-console", Value: "x"})
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := p.do(http.MethodGet, "setup", nil, c.change)
			if c.in {
				assert.Equal(t, 200, w.Code)
				return
			}
			assert.Equal(t, http.StatusSeeOther, w.Code)
			assert.Equal(t, "/console/login", w.Header().Get("Location"))
			assert.NotContains(t, w.Body.String(), "main")
			assert.Equal(t, http.StatusUnauthorized, p.do(http.MethodPost, "test", url.Values{}, c.change).Code)
		})
	}
}

func TestSessionNeedsTheKeyAndEndsOnLogout(t *testing.T) {
	p := newPageWith(t, written, adminKey)
	away := func(r *http.Request) { r.RemoteAddr, r.Host = "192.0.2.7:1", "landfall.example" }
	wrong := p.do(http.MethodPost, "login", url.Values{"key": {"nope"}}, away)
	assert.Equal(t, http.StatusUnauthorized, wrong.Code)
	assert.Empty(t, wrong.Result().Cookies())
	right := p.do(http.MethodPost, "login", url.Values{"key": {adminKey}}, away)
	require.Len(t, right.Result().Cookies(), 1)
	cookie := right.Result().Cookies()[0]
	assert.True(t, cookie.HttpOnly)
	assert.Equal(t, http.SameSiteStrictMode, cookie.SameSite)
	assert.Equal(t, "/console/", cookie.Path)
	with := func(r *http.Request) { away(r); r.AddCookie(cookie) }
	assert.Equal(t, 200, p.do(http.MethodGet, "setup", nil, with).Code)
	p.do(http.MethodPost, "logout", nil, with)
	assert.Equal(t, http.StatusSeeOther, p.do(http.MethodGet, "setup", nil, with).Code)
	for range 12 {
		wrong = p.do(http.MethodPost, "login", url.Values{"key": {"nope"}}, away)
	}
	assert.Contains(t, wrong.Body.String(), "Too many attempts")
	assert.Equal(t, http.StatusTooManyRequests, wrong.Code)
	assert.NotEmpty(t, wrong.Header().Get("Retry-After"))
	elsewhere := p.do(http.MethodPost, "login", url.Values{"key": {adminKey}}, func(r *http.Request) { r.RemoteAddr = "192.0.2.8:1" })
	assert.Equal(t, http.StatusSeeOther, elsewhere.Code, "others are not locked out")
	with = func(r *http.Request) { away(r); r.AddCookie(elsewhere.Result().Cookies()[0]) }
	assert.Equal(t, 200, p.do(http.MethodGet, "setup", nil, with).Code, "sessions stay valid while logins are blocked")
	assert.Equal(t, 10, strings.Count(p.log.String(), "outcome=refused"))
	assert.Equal(t, 2, strings.Count(p.log.String(), "action=login who=\"admin key\""))
	assert.NotContains(t, p.log.String(), adminKey)
}

// TestLocalAccessNeedsSessionWithKey checks that requests from this machine need a session if an admin key is set.
func TestLocalAccessNeedsSessionWithKey(t *testing.T) {
	p := newPageWith(t, written, adminKey)
	for _, from := range []string{"127.0.0.1:4711", "[::1]:4711", "192.0.2.7:1"} {
		w := p.do(http.MethodGet, "setup", nil, func(r *http.Request) { r.RemoteAddr = from })
		assert.Equal(t, http.StatusSeeOther, w.Code)
		assert.Equal(t, http.StatusUnauthorized, p.do(http.MethodPost, "setup/write", url.Values{}, func(r *http.Request) { r.RemoteAddr = from }).Code)
	}
}

func TestCrossOriginChangesAreRejected(t *testing.T) {
	p := newPage(t, written)
	for name, change := range map[string]func(*http.Request){
		"another site":      func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"another subdomain": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"an old browser":    func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://evil.example") },
		"an opaque origin":  func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "null") },
		"no browser":        func(r *http.Request) { r.Header.Del("Sec-Fetch-Site") },
	} {
		for _, path := range []string{"test", "letters", "setup/edit", "setup/write", "setup/connect", "setup/removed", "wizard/connect", "wizard/at/main/on", "setup/preview", "audiences/main/vip", "login", "logout"} {
			assert.Equal(t, http.StatusForbidden, p.do(http.MethodPost, path, url.Values{}, change).Code, "%s to %s", name, path)
		}
	}
	assert.Equal(t, 200, p.do(http.MethodPost, "test", url.Values{}, func(r *http.Request) {
		r.Header.Del("Sec-Fetch-Site")
		r.Header.Set("Origin", "http://localhost:8080")
	}).Code)
}

// hostile are event values that try to inject markup.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</textarea><script>alert(1)</script>`, `javascript:alert(1)`, `{{.}}`, "\u202e", `</pre><svg/onload=alert(1)>`, `&lt;script&gt;`,
}
