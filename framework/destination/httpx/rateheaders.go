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

// translate gives the answers of a transport the usual names, beside their own.
func (h RateHeaders) translate(next http.RoundTripper) http.RoundTripper {
	if h == (RateHeaders{}) {
		return next
	}
	return &translated{next, h}
}

type translated struct {
	next  http.RoundTripper
	names RateHeaders
}

func (t *translated) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	t.copy(answer.Header, "X-RateLimit-Remaining", t.names.Remaining, false)
	t.copy(answer.Header, "X-RateLimit-Reset", t.names.Reset, t.names.Milliseconds)
	t.copy(answer.Header, "Retry-After", t.names.RetryAfter, t.names.Milliseconds)
	return answer, nil
}

// copy puts the value of a header under its usual name. Milliseconds are a wait; a time since 1970 tells itself apart.
func (t *translated) copy(header http.Header, usual, own string, milliseconds bool) {
	value := header.Get(own)
	if own == "" || value == "" {
		return
	}
	if n, ok := number(value); ok && milliseconds && n < 1e9 {
		value = strconv.FormatFloat((time.Duration(max(n, 0)) * time.Millisecond).Seconds(), 'f', -1, 64)
	}
	header.Set(usual, value)
}
