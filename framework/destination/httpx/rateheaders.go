package httpx

import (
	"net/http"
	"strconv"
	"time"
)

// RateHeaders holds the names of a remote's rate-limit headers; "" means the usual name.
type RateHeaders struct {
	Remaining    string // the number of remaining requests
	Reset        string // the end of the window
	RetryAfter   string // the time to wait
	Milliseconds bool   // Reset and RetryAfter are in milliseconds if they are not times
}

// wrapTransport returns a transport whose responses also have the usual headers.
func (h RateHeaders) wrapTransport(next http.RoundTripper) http.RoundTripper {
	if h == (RateHeaders{}) {
		return next
	}
	return &rateHeaderTransport{next, h}
}

type rateHeaderTransport struct {
	next  http.RoundTripper
	names RateHeaders
}

func (t *rateHeaderTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	t.copyHeader(response.Header, "X-RateLimit-Remaining", t.names.Remaining, false)
	t.copyHeader(response.Header, "X-RateLimit-Reset", t.names.Reset, t.names.Milliseconds)
	t.copyHeader(response.Header, "Retry-After", t.names.RetryAfter, t.names.Milliseconds)
	return response, nil
}

// copyHeader copies the value of a header to its usual name. Milliseconds are converted if the value is a wait and not a time
// since 1970.
func (t *rateHeaderTransport) copyHeader(header http.Header, usual, own string, milliseconds bool) {
	value := header.Get(own)
	if own == "" || value == "" {
		return
	}
	if n, ok := parseNumber(value); ok && milliseconds && n < 1e9 {
		value = strconv.FormatFloat((time.Duration(max(n, 0)) * time.Millisecond).Seconds(), 'f', -1, 64)
	}
	header.Set(usual, value)
}
