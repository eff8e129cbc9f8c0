package httpx

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
	"golang.org/x/time/rate"
)

// DefaultMaxWait is how long a request waits for a rate limit where a LimiterConfig does not say otherwise.
const DefaultMaxWait = 10 * time.Second

// DefaultMaxPause is the longest pause that a Limiter keeps if its LimiterConfig does not say otherwise.
const DefaultMaxPause = time.Hour

// LimiterConfig says how a Limiter limits.
type LimiterConfig struct {
	MaxPause  time.Duration // the longest pause that is kept, however long the remote asks for; DefaultMaxPause for 0
	MaxWait   time.Duration // DefaultMaxWait for 0; below 0, requests never wait but fail
	PerSecond float64       // a local rate, beside what the remote says; 0 is none
	Burst     int           // how many requests may exceed that rate at once; at least 1
}

// Limiter holds requests back while a remote asks for it: after an answer that leaves no request in its window, until
// the window ends; after a 429 or 503 that names a wait, for that long. A request that would wait for too long, or past
// its own deadline, fails at once with a 429 that may be retried and says when. Make one with NewLimiter for each
// instance.
type Limiter struct {
	maxWait  time.Duration
	maxPause time.Duration
	local    *rate.Limiter

	mu    sync.Mutex
	until time.Time // no request starts before
}

// NewLimiter makes a Limiter that knows nothing of the remote yet.
func NewLimiter(c LimiterConfig) *Limiter {
	perSecond := rate.Limit(c.PerSecond)
	if c.PerSecond <= 0 {
		perSecond = rate.Inf
	}
	maxWait := c.MaxWait
	if maxWait == 0 {
		maxWait = DefaultMaxWait
	}
	return &Limiter{maxWait: maxWait, maxPause: positiveOr(c.MaxPause, DefaultMaxPause), local: rate.NewLimiter(perSecond, max(c.Burst, 1))}
}

// limit is a Limiter's link.
type limit struct {
	next    http.RoundTripper
	limiter *Limiter
}

func (l *limit) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := l.limiter.waitTurn(req.Context()); err != nil {
		return nil, err
	}
	response, err := l.next.RoundTrip(req)
	if err == nil {
		l.limiter.recordResponse(response.StatusCode, response.Header, time.Now())
	}
	return response, err
}

// waitTurn returns nil when a request may start.
func (l *Limiter) waitTurn(ctx context.Context) error {
	begin := time.Now()
	slot := l.local.ReserveN(begin, 1)
	for now := begin; ; now = time.Now() {
		left := max(l.remainingPause(now), slot.DelayFrom(now))
		if left <= 0 {
			return nil
		}
		start := now.Add(left)
		if deadline, ok := ctx.Deadline(); start.Sub(begin) > l.maxWait || ok && start.After(deadline) {
			slot.CancelAt(now)
			return waitTooLongError(left)
		}
		if err := sleepContext(ctx, left); err != nil {
			slot.Cancel()
			return fmt.Errorf("waiting for the rate limit: %w", err)
		}
	}
}

func waitTooLongError(left time.Duration) error {
	e := fault.FromStatus(http.StatusTooManyRequests, fmt.Sprintf("the request was not sent: the rate limit asks to wait %s", left.Round(time.Millisecond)))
	e.RetryAfter = left
	return e
}

func sleepContext(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// remainingPause is how long the remote still wants no request.
func (l *Limiter) remainingPause(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until.Sub(now)
}

// Resume ends the pause that the remote has asked for.
func (l *Limiter) Resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Time{}
}

// recordResponse takes note of what an answer says about the next request. What is known already is never shortened: answers
// may arrive in another order than they were given.
func (l *Limiter) recordResponse(status int, header http.Header, now time.Time) {
	var wait time.Duration
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		wait = RetryAfter(header, now)
	} else if left, known := remainingRequests(header); known && left <= 0 {
		wait = untilReset(header, now)
	}
	if wait <= 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := now.Add(min(wait, l.maxPause)); until.After(l.until) {
		l.until = until
	}
}
