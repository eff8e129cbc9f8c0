package httpx

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/buildinfo"
)

// bounds reads a response to its end, within a time and a size, so that the connection is free and callers do not wait for the
// network.
type bounds struct {
	next     http.RoundTripper
	maxBytes int64
	timeout  time.Duration
}

func (b *bounds) RoundTrip(req *http.Request) (*http.Response, error) {
	timeout := b.timeout
	if isInFile(req.Context()) {
		timeout = max(timeout, fileTimeout)
	}
	ctx, cancel := context.WithTimeout(req.Context(), timeout)
	defer cancel()
	response, err := b.next.RoundTrip(withUserAgent(req.WithContext(ctx)))
	switch {
	case err != nil:
	case isInFile(ctx) && response.StatusCode < http.StatusMultipleChoices:
		err = saveBody(response, maxFile)
	default:
		err = b.bufferBody(response)
	}
	if err == nil {
		return response, nil
	}
	if ctx.Err() != nil && req.Context().Err() == nil {
		return nil, fmt.Errorf("it took longer than %s: %w", timeout, ctx.Err())
	}
	return nil, err
}

// withUserAgent adds the program's User-Agent to a copy of a request that has none. It changes only the copy.
func withUserAgent(req *http.Request) *http.Request {
	if _, chosen := req.Header["User-Agent"]; chosen {
		return req
	}
	header := make(http.Header, len(req.Header)+1)
	maps.Copy(header, req.Header)
	header.Set("User-Agent", buildinfo.Read().UserAgent())
	req.Header = header
	return req
}

// bufferBody reads the body of a response into memory.
func (b *bounds) bufferBody(response *http.Response) error {
	if response.Body == nil {
		response.Body = http.NoBody
	}
	raw, err := readBounded(response.Body, b.maxBytes)
	if errors.Is(err, errTooLarge) {
		return tooLargeError(response, b.maxBytes)
	}
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	response.Body = newMemoryBody(raw)
	return nil
}

// tooLargeError returns the error of a response that is too large. An error status keeps its meaning. After any other status
// the remote has acted, and a retry would get the same response, so it is final.
func tooLargeError(response *http.Response, most int64) error {
	message := fmt.Sprintf("the answer (status %d) is larger than %d bytes", response.StatusCode, most)
	if response.StatusCode < 400 {
		e := fault.FromStatus(http.StatusBadGateway, message)
		e.Retry = false
		return e
	}
	e := fault.FromStatus(response.StatusCode, message)
	e.RetryAfter = RetryAfter(response.Header, time.Now())
	return e
}
