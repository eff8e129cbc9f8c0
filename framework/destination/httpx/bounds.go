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
	answer, err := b.next.RoundTrip(req.WithContext(ctx))
	if err == nil {
		err = b.read(answer)
	}
	if err == nil {
		return answer, nil
	}
	if ctx.Err() != nil && req.Context().Err() == nil {
		return nil, fmt.Errorf("it took longer than %s: %w", b.timeout, ctx.Err())
	}
	return nil, err
}

// read takes the body of an answer into memory.
func (b *bounds) read(answer *http.Response) error {
	if answer.Body == nil {
		answer.Body = http.NoBody
	}
	raw, err := readBounded(answer.Body, b.maxBytes)
	if errors.Is(err, errTooLarge) {
		return b.tooLarge(answer)
	}
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	answer.Body = hold(raw)
	return nil
}

// tooLarge is the failure of an answer that is not read to its end. An error status keeps its meaning; after any other
// one the remote has acted, and sending the request again would bring the same answer.
func (b *bounds) tooLarge(answer *http.Response) error {
	message := fmt.Sprintf("the answer (status %d) is larger than %d bytes", answer.StatusCode, b.maxBytes)
	if answer.StatusCode < 400 {
		e := fault.FromStatus(http.StatusBadGateway, message)
		e.Retry = false
		return e
	}
	e := fault.FromStatus(answer.StatusCode, message)
	e.RetryAfter = RetryAfter(answer.Header, time.Now())
	return e
}
