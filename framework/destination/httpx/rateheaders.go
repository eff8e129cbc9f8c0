package httpx

import (
	"net/http"
	"strconv"
	"time"
)

// RateHeaders are the names under which a remote tells of its limits; "" for the usual ones.
type RateHeaders struct {
	Remaining    string // how many requests are left
	Reset        string // when there are more
	RetryAfter   string // how long to wait
	Milliseconds bool   // Reset and RetryAfter count these where they are short, not seconds
}

// wrapTransport gives the answers of a transport the usual names, beside their own.
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

// copyHeader puts the value of a header under its usual name. Milliseconds are a wait; a time since 1970 tells itself apart.
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
