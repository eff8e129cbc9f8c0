package ingest_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/server/ingest"
)

func preflight(h http.Handler, path string, headers map[string]string) http.Header {
	r := httptest.NewRequest("OPTIONS", path, nil)
	r.Header.Set("Origin", "https://shop.example")
	r.Header.Set("Access-Control-Request-Method", "POST")
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusNoContent {
		return nil
	}
	return w.Header()
}

func TestPreflightAllowsRequestedHeaders(t *testing.T) {
	const usual = "Authorization, Content-Type, Content-Encoding"
	for asked, want := range map[string]string{
		"":                              usual,
		"content-type,x-retry-count":    "content-type, x-retry-count",
		" Content-Type , X-Retry-Count": "Content-Type, X-Retry-Count",
		"authorization":                 "authorization",
		"x y,content-type":              "content-type",
		"a\r\nb":                        usual,
		strings.Repeat("x", 5000):       usual,
		strings.Repeat("x,", 100):       usual,
	} {
		got := preflight(handler(&sink{}), "/v1/t", map[string]string{"Access-Control-Request-Headers": asked})
		assert.Equal(t, want, got.Get("Access-Control-Allow-Headers"), "%.40q", asked)
		assert.Equal(t, []string{"https://shop.example", "true", "86400", "POST, OPTIONS"},
			[]string{got.Get("Access-Control-Allow-Origin"), got.Get("Access-Control-Allow-Credentials"), got.Get("Access-Control-Max-Age"), got.Get("Access-Control-Allow-Methods")})
		assert.Contains(t, strings.Join(got.Values("Vary"), ", "), "Access-Control-Request-Headers")
	}
	got := preflight(handler(&sink{}), "/v1/t", map[string]string{"Access-Control-Request-Private-Network": "true"})
	assert.Equal(t, "true", got.Get("Access-Control-Allow-Private-Network"))
	assert.Empty(t, preflight(handler(&sink{}), "/v1/t", nil).Get("Access-Control-Allow-Private-Network"))
}

// A page can read every response, whatever its status, and its Retry-After.
func TestPagesCanReadEveryResponse(t *testing.T) {
	origin := func(from string) func(*http.Request) { return func(r *http.Request) { r.Header.Set("Origin", from) } }
	full := func(c *ingest.Config) {
		c.Append = func(context.Context, []ingest.Event) error { return errors.New("full") }
	}
	slow := func(c *ingest.Config) { c.Sources = []ingest.Source{{ID: "web", WriteKey: "wk", PerSecond: 0.1}} }
	limited := handler(&sink{}, slow)
	post(limited, "/v1/p", `{"userId":"u"}`)
	for want, w := range map[int]*httptest.ResponseRecorder{
		200: post(handler(&sink{}), "/v1/p", `{"userId":"u"}`, origin("https://shop.example"), func(r *http.Request) { r.Header.Set("Content-Type", "text/plain;charset=UTF-8") }),
		400: post(handler(&sink{}), "/v1/p", `{}`, origin("https://shop.example")),
		401: post(handler(&sink{}), "/v1/p", `{}`, origin("https://shop.example"), func(r *http.Request) { r.SetBasicAuth("no", "") }),
		404: post(handler(&sink{}), "/v1/nothing", `{}`, origin("https://shop.example")),
		429: post(limited, "/v1/p", `{"userId":"u"}`, origin("https://shop.example")),
		503: post(handler(&sink{}, full), "/v1/p", `{"userId":"u"}`, origin("https://shop.example")),
	} {
		assert.Equal(t, want, w.Code)
		assert.Equal(t, "https://shop.example", w.Header().Get("Access-Control-Allow-Origin"), want)
		assert.Equal(t, "Retry-After", w.Header().Get("Access-Control-Expose-Headers"), want)
		assert.Equal(t, want == 429 || want == 503, w.Header().Get("Retry-After") != "", want)
		assert.Contains(t, w.Header().Values("Vary"), "Origin")
	}
	for configured, from := range map[string]string{"*": "https://any.example", "https://Shop.example/": "https://shop.example", "null": "null"} {
		h := handler(&sink{}, func(c *ingest.Config) { c.Origins = []string{configured} })
		assert.Equal(t, from, post(h, "/v1/p", `{"userId":"u"}`, origin(from)).Header().Get("Access-Control-Allow-Origin"))
	}
	for _, from := range []string{"https://evil.example", "https://shop.example.evil.example", "http://shop.example", "null"} {
		assert.Empty(t, post(handler(&sink{}), "/v1/p", `{"userId":"u"}`, origin(from)).Header().Get("Access-Control-Allow-Origin"), from)
	}
	none := handler(&sink{}, func(c *ingest.Config) { c.Origins = nil })
	assert.Empty(t, post(none, "/v1/p", `{"userId":"u"}`, origin("https://shop.example")).Header().Get("Access-Control-Allow-Origin"))
}

// Paths that clients build from a host with a trailing slash or a path are accepted without a redirect, which would lose the body.
func TestUncleanPathsAreAccepted(t *testing.T) {
	mux := http.NewServeMux()
	s := &sink{}
	mux.Handle("/", handler(s))
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	h := ingest.CleanPath(mux)
	paths := []string{"/v1/page", "//v1/page", "/v1//page", "/v1/page/", "///v1///page//", "/V1/Page", "/./v1/page", "/x/../v1/page", "//p", "/v1%2Fpage"}
	for _, path := range paths {
		w := post(h, path, `{"userId":"u"}`)
		assert.Equal(t, 200, w.Code, path)
		assert.NotNil(t, preflight(h, path, nil), path)
		assert.Equal(t, 200, post(handler(&sink{}), path, `{"userId":"u"}`).Code, "without a mux: "+path)
	}
	assert.Len(t, s.events, len(paths))
	assert.Equal(t, 202, post(h, "//healthz", "").Code)
	for _, path := range []string{"/v2/page", "/v1", "/v1/", "/", "/v1/v1/page", "/page/x"} {
		assert.Equal(t, 404, post(h, path, `{"userId":"u"}`).Code, path)
	}
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH"} {
		w := post(h, "/v1/page", ``, func(r *http.Request) { r.Method = method })
		assert.Equal(t, 405, w.Code, method)
		assert.Equal(t, "POST, OPTIONS", w.Header().Get("Allow"))
	}
}

func TestBodiesWithAByteOrderMark(t *testing.T) {
	s := &sink{}
	assert.Equal(t, 200, post(handler(s), "/v1/page", "\xef\xbb\xbf"+`{"userId":"u"}`).Code)
	long := "\xef\xbb\xbf" + `{"writeKey":"wk","batch":[` + strings.Repeat(`{"type":"page","userId":"u"},`, 2000) + `{"type":"page","userId":"u"}]}`
	assert.Equal(t, 200, post(handler(s), "/v1/batch", long, func(r *http.Request) { r.Header.Del("Authorization") }).Code)
	assert.Len(t, s.events, 2002)
	w := post(handler(s), "/v1/page", "\xff\xfe{\x00}\x00")
	assert.Equal(t, 400, w.Code)
	assert.Contains(t, w.Body.String(), "the text is UTF-16: save it as UTF-8")
}

// TestCharsetsAndEncodings checks that bodies in another character set or encoding than the headers of a supported one say are refused, and that
// a charset which is not true does no harm.
func TestCharsetsAndEncodings(t *testing.T) {
	const utf, latin = "{\"userId\":\"u\",\"name\":\"é\"}", "{\"userId\":\"u\",\"name\":\"\xe9\"}"
	for _, c := range []struct {
		contentType, body string
		encodings         []string
		want              int
	}{
		{"application/json; charset=utf-8", utf, nil, 200},
		{"application/json; charset=ISO-8859-1", utf, nil, 200},
		{"application/json; charset=ISO-8859-1", latin, nil, 415},
		{`text/plain;charset="windows-1252"`, latin, nil, 415},
		{"application/json; charset=UTF-8", latin, nil, 200}, // each byte becomes U+FFFD, as without a charset
		{"application/json", latin, nil, 200},
		{"multipart/form-data; boundary=x", latin, nil, 200},
		{"application/json; charset=", utf, nil, 200},
		{"", utf, []string{"identity"}, 200},
		{"", utf, []string{"identity", "gzip"}, 415},
		{"", utf, []string{"gzip", "gzip"}, 415},
		{"", utf, []string{"gzip, gzip"}, 415},
	} {
		w := post(handler(&sink{}), "/v1/page", c.body, func(r *http.Request) {
			r.Header.Set("Content-Type", c.contentType)
			r.Header["Content-Encoding"] = c.encodings
		})
		assert.Equal(t, c.want, w.Code, "%+v: %s", c, w.Body)
	}
}
