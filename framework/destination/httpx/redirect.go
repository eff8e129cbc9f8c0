package httpx

import (
	"net/http"
	"net/url"
	"strings"
)

// Redirect is a base transport that sends every request to another server, such as a sandbox. The path, below that of
// to, and the query stay; the scheme, the host and the Host header are those of to. The server finds the host that was
// meant in X-Forwarded-Host. The links above see the real URL, also in the answer's request.
func Redirect(base http.RoundTripper, to *url.URL) http.RoundTripper {
	return &redirect{next: base, to: to}
}

type redirect struct {
	next http.RoundTripper
	to   *url.URL
}

func (r *redirect) RoundTrip(req *http.Request) (*http.Response, error) {
	moved := req.Clone(req.Context())
	moved.Header.Set("X-Forwarded-Host", hostOf(req))
	moved.Header.Set("X-Forwarded-Proto", req.URL.Scheme)
	moved.Host = ""
	moved.URL.Scheme, moved.URL.Host = r.to.Scheme, r.to.Host
	moved.URL.Path = strings.TrimSuffix(r.to.Path, "/") + req.URL.Path
	moved.URL.RawPath = strings.TrimSuffix(r.to.EscapedPath(), "/") + req.URL.EscapedPath()
	response, err := r.next.RoundTrip(moved)
	if response != nil {
		response.Request = req
	}
	return response, err
}

// hostOf is the host that a request is meant for.
func hostOf(req *http.Request) string {
	if req.Host != "" {
		return req.Host
	}
	return req.URL.Host
}
