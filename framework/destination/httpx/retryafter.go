package httpx

import (
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxHeaderWait is the longest wait that is read from a header. Who waits has a shorter bound: see LimiterConfig and delivery.maxPause.
const maxHeaderWait = 24 * time.Hour

// Backoff is how long to wait after a number of failures, the first being 1: base, doubled each time up to most, of which the
// second half is left to chance, so that many who wait do not come again at once.
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

// RetryAfter is how long an answer asks to wait before the next request: by Retry-After (seconds or a date), else by
// X-RateLimit-Retry-After, else by X-RateLimit-Reset where the answer does not say that requests remain. It is 0 where
// the answer asks for no wait or cannot be understood, and never more than a day.
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

// remainingRequests is how many requests the remote's window has left, if it says so.
func remainingRequests(header http.Header) (left float64, known bool) {
	return parseNumber(header.Get("X-RateLimit-Remaining"))
}

// untilReset is how long it takes until the remote's window ends, 0 where that is over or not known.
func untilReset(header http.Header, now time.Time) time.Duration {
	wait, _ := waitOf(header.Get("X-RateLimit-Reset"), now)
	return wait
}

// waitOf reads a wait: seconds from now, seconds or milliseconds since 1970, or an HTTP date. Numbers tell themselves
// apart: a delta above 1e9 seconds would be 31 years, a time above 1e11 seconds the year 5138.
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

// parseNumber reads a finite decimal number.
func parseNumber(text string) (n float64, ok bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	return n, err == nil && !math.IsNaN(n) && !math.IsInf(n, 0)
}
