package httpx

import (
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxHeaderWait is the longest wait that is read from a header. Callers have shorter limits, such as LimiterConfig.MaxPause.
const maxHeaderWait = 24 * time.Hour

// Backoff returns the wait after a number of failures, starting at 1: base, doubled each time up to most. Half of it is random,
// so that clients do not retry at the same time.
func Backoff(base, most time.Duration, failures int) time.Duration {
	d := base
	for range failures - 1 {
		if d = 2 * d; d >= most {
			break
		}
	}
	d = min(d, most)
	return d/2 + rand.N(d/2+1)
}

// RetryAfter returns how long a response asks to wait before the next request: the value of Retry-After (seconds or a date),
// otherwise of X-RateLimit-Retry-After, otherwise of X-RateLimit-Reset unless requests remain. It returns 0 if no header asks
// for a wait or can be parsed, and at most a day.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	for _, name := range []string{"Retry-After", "X-RateLimit-Retry-After"} {
		if wait, ok := waitOf(header.Get(name), now); ok {
			return wait
		}
	}
	if left, known := remainingRequests(header); known && left > 0 {
		return 0
	}
	return untilReset(header, now)
}

// remainingRequests returns how many requests are left in the remote's window, if known.
func remainingRequests(header http.Header) (left float64, known bool) {
	return parseNumber(header.Get("X-RateLimit-Remaining"))
}

// untilReset returns the time until the remote's window ends; 0 if it has ended or is unknown.
func untilReset(header http.Header, now time.Time) time.Duration {
	wait, _ := waitOf(header.Get("X-RateLimit-Reset"), now)
	return wait
}

// waitOf parses a wait: seconds from now, seconds or milliseconds since 1970, or an HTTP date. The kinds of numbers do not
// overlap: a wait above 1e9 seconds would be 31 years, a time above 1e11 seconds the year 5138.
func waitOf(text string, now time.Time) (wait time.Duration, ok bool) {
	seconds, isNumber := parseNumber(text)
	if !isNumber {
		date, err := http.ParseTime(text)
		if err != nil {
			return 0, false
		}
		return min(max(date.Sub(now), 0), maxHeaderWait), true
	}
	if seconds >= 1e11 {
		seconds /= 1000
	}
	if seconds >= 1e9 {
		seconds -= float64(now.UnixMicro()) / 1e6
	}
	seconds = min(max(seconds, 0), maxHeaderWait.Seconds())
	return time.Duration(seconds * float64(time.Second)), true
}

// parseNumber parses a finite decimal number.
func parseNumber(text string) (n float64, ok bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	return n, err == nil && !math.IsNaN(n) && !math.IsInf(n, 0)
}
