package httpx

import (
	"net/http"
	"net/url"
	"strings"
)

// Redirect returns a base transport that sends every request to another server, such as a sandbox. The path, below that of to,
// and the query are kept; scheme, host and Host header come from to. X-Forwarded-Host has the original host. The links above
// see the original URL, also in the response's request.
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

// hostOf returns the host that a request is meant for.
func hostOf(req *http.Request) string {
	if req.Host != "" {
		return req.Host
	}
	return req.URL.Host
}
