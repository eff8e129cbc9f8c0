package httpx

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/pause"
	"golang.org/x/time/rate"
)

// DefaultMaxWait is how long a request waits for a rate limit by default.
const DefaultMaxWait = 10 * time.Second

// DefaultMaxPause is the longest pause that a Limiter keeps by default.
const DefaultMaxPause = time.Hour

// LimiterConfig configures a Limiter.
type LimiterConfig struct {
	MaxPause  time.Duration // the longest pause, whatever the remote asks for; 0 means DefaultMaxPause
	MaxWait   time.Duration // 0 means DefaultMaxWait; below 0, requests fail instead of waiting
	PerSecond float64       // a local rate limit in addition to the remote's; 0 means none
	Burst     int           // how many requests may exceed the rate at once; at least 1
}

// Limiter delays requests as a remote asks: after a response that leaves no request in the window, until the window ends; after
// a 429 or 503 that names a wait, for that time. A request that would wait too long, or past its deadline, fails at once with a
// retryable 429 and RetryAfter. Make one for each instance with NewLimiter. It is safe for concurrent use.
type Limiter struct {
	maxWait  time.Duration
	maxPause time.Duration
	local    *rate.Limiter

	mu    sync.Mutex
	until time.Time // no request starts earlier
}

// NewLimiter returns a Limiter without a pause.
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

// limit is the link that waits for a Limiter.
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

// waitTurn waits until a request may start.
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
		if err := pause.For(ctx, left); err != nil {
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

// remainingPause returns how long the remote's pause still lasts.
func (l *Limiter) remainingPause(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until.Sub(now)
}

// Resume ends the pause that the remote asked for.
func (l *Limiter) Resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Time{}
}

// recordResponse updates the pause from a response. It never shortens a pause, since responses may arrive out of order.
func (l *Limiter) recordResponse(status int, header http.Header, now time.Time) {
	wait := askedWait(status, header, now)
	if wait <= 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := now.Add(min(wait, l.maxPause)); until.After(l.until) {
		l.until = until
	}
}

// askedWait returns how long a response asks to wait before the next request; 0 if it does not.
func askedWait(status int, header http.Header, now time.Time) time.Duration {
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		return RetryAfter(header, now)
	}
	if left, known := remainingRequests(header); known && left <= 0 {
		return untilReset(header, now)
	}
	return 0
}
