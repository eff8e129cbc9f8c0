package destination

import (
	"net/http"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/fault"
)

// HTTPClient returns an http.Client for the SDK of a remote. Its requests are like those of Do: credentials, limits, redaction, metrics and what
// the definition adds to every request apply, and the SDK's own retries should be turned off. A redirect is a response. Errors are
// *url.Error, in which fault.As finds the *fault.Error.
func (c Client) HTTPClient() *http.Client {
	return &http.Client{Transport: c, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// RoundTrip implements http.RoundTripper, for an SDK that takes a transport. It refuses to follow redirects: then the remote would decide where
// credentials go. A request for a host that an event chose needs a context of httpx.FromEvent.
func (c Client) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Response != nil { // net/http sets it when it follows a redirect
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, fault.Invalid("the remote answered with a redirect to %s, which is not followed: use Client.HTTPClient, whose redirects are responses", c.Redact(r.URL.Host))
	}
	body, err := httpx.ReadRequestBody(r, httpx.DefaultMaxBytes)
	if err != nil {
		return nil, err
	}
	sent, err := c.newHTTPRequest(r.Context(), request.Built{Method: r.Method, URL: r.URL.String(), Header: r.Header.Clone(), Body: body})
	if err != nil {
		return nil, err
	}
	if r.Host != "" {
		sent.Host = r.Host
	}
	response, err := c.transport.RoundTrip(sent)
	if err != nil {
		return nil, noResponseError(err)
	}
	response.Request = r
	return response, nil
}
