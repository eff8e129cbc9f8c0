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
	next http.RoundTripper
	gate *budget.Gate
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
	done(gateResult(response.StatusCode, response.Header, time.Now()))
	return response, nil
}

// isRefusedHost reports whether a request failed because its host is not allowed, which says nothing about the remote.
func isRefusedHost(err error) bool {
	var e *fault.Error
	return errors.As(err, &e) && e.Code == fault.CodeEgress
}

// gateResult returns what a response says about the remote.
func gateResult(status int, header http.Header, now time.Time) budget.Result {
	r := budget.Result{Status: status, Wait: askedWait(status, header, now)}
	if left, known := remainingRequests(header); known {
		r.Known, r.Remaining, r.Reset = true, int64(max(left, 0)), untilReset(header, now)
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
