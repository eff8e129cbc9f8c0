package httpx

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/fault"
)

// gated is the link that sends requests through a gate. It counts each request that is really sent.
type gated struct {
	next     http.RoundTripper
	gate     *budget.Gate
	maxPause time.Duration // the longest pause, whatever the remote asks for
}

func (g *gated) RoundTrip(req *http.Request) (*http.Response, error) {
	done, err := g.gate.Enter(req.Context(), budget.Request{Class: budget.ClassOf(req.Context()), Bytes: max(req.ContentLength, 0)})
	if err != nil {
		return nil, deferredError(err)
	}
	response, err := g.next.RoundTrip(req)
	if err != nil {
		done(budget.Result{Canceled: req.Context().Err() != nil || isRefusedHost(err)})
		return nil, err
	}
	done(g.resultOf(response.StatusCode, response.Header, time.Now()))
	return response, nil
}

// isRefusedHost reports whether a request failed because its host is not allowed, which says nothing about the remote.
func isRefusedHost(err error) bool {
	var e *fault.Error
	return errors.As(err, &e) && e.Code == fault.CodeEgress
}

// resultOf returns what a response says about the remote.
func (g *gated) resultOf(status int, header http.Header, now time.Time) budget.Result {
	r := budget.Result{Status: status, Wait: min(askedWait(status, header, now), g.maxPause)}
	if left, known := remainingRequests(header); known {
		r.Known, r.Remaining, r.Reset = true, int64(max(left, 0)), min(untilReset(header, now), g.maxPause)
	}
	return r
}

// deferredError returns the error of a request that a gate did not let through.
func deferredError(err error) error {
	var later *budget.WaitError
	if !errors.As(err, &later) {
		return fmt.Errorf("waiting for the limits of the instance: %w", err)
	}
	e := &fault.Error{Code: fault.CodeDeferred, Status: http.StatusTooManyRequests, Retry: true, RetryAfter: later.Wait, Message: later.Error(), Err: later, Cause: fault.CauseRateLimited}
	if later.Cause == budget.CauseDown {
		e.Status, e.Cause = http.StatusServiceUnavailable, fault.CauseRemoteUnavailable
	}
	return e
}
