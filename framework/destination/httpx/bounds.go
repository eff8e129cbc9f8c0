package httpx

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
)

// bounds reads an answer to its end, so that its connection is free again and nothing above waits on the network.
type bounds struct {
	next     http.RoundTripper
	maxBytes int64
	timeout  time.Duration
}

func (b *bounds) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), b.timeout)
	defer cancel()
	response, err := b.next.RoundTrip(req.WithContext(ctx))
	if err == nil {
		err = b.bufferBody(response)
	}
	if err == nil {
		return response, nil
	}
	if ctx.Err() != nil && req.Context().Err() == nil {
		return nil, fmt.Errorf("it took longer than %s: %w", b.timeout, ctx.Err())
	}
	return nil, err
}

// bufferBody takes the body of an answer into memory.
func (b *bounds) bufferBody(response *http.Response) error {
	if response.Body == nil {
		response.Body = http.NoBody
	}
	raw, err := readBounded(response.Body, b.maxBytes)
	if errors.Is(err, errTooLarge) {
		return b.tooLargeError(response)
	}
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	response.Body = newMemoryBody(raw)
	return nil
}

// tooLargeError is the failure of an answer that is not read to its end. An error status keeps its meaning; after any other
// one the remote has acted, and sending the request again would bring the same answer.
func (b *bounds) tooLargeError(response *http.Response) error {
	message := fmt.Sprintf("the answer (status %d) is larger than %d bytes", response.StatusCode, b.maxBytes)
	if response.StatusCode < 400 {
		e := fault.FromStatus(http.StatusBadGateway, message)
		e.Retry = false
		return e
	}
	e := fault.FromStatus(response.StatusCode, message)
	e.RetryAfter = RetryAfter(response.Header, time.Now())
	return e
}
