package httpx

import (
	"cmp"
	"iter"
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
	now = remoteTime(header, now)
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

// remoteTime returns the present by the remote's clock, to which the times in its headers refer: the time of the response if it has one. So a clock
// of this machine that is wrong makes no wait longer or shorter.
func remoteTime(header http.Header, now time.Time) time.Time {
	if sent, err := http.ParseTime(header.Get("Date")); err == nil {
		return sent
	}
	return now
}

// remainingRequests returns how many requests are left in the remote's window, if known.
func remainingRequests(header http.Header) (left float64, known bool) {
	for _, text := range []string{header.Get("X-RateLimit-Remaining"), header.Get("RateLimit-Remaining"), rateLimitPart(header, "r", "remaining")} {
		if left, known = parseNumber(text); known {
			return left, true
		}
	}
	return 0, false
}

// rateLimitPart returns a parameter of the header RateLimit of the IETF, such as that of ;r=50;t=30, or of remaining=50, reset=30 in
// earlier drafts. If the header has several policies, it is that of the one with the fewest remaining requests.
func rateLimitPart(header http.Header, names ...string) (text string) {
	least := math.Inf(1)
	for policy := range policiesOf(header) {
		left, err := strconv.ParseFloat(cmp.Or(policy["r"], policy["remaining"]), 64)
		if err != nil || left >= least {
			continue
		}
		for _, name := range names {
			if policy[name] != "" {
				least, text = left, policy[name]
			}
		}
	}
	return text
}

// policiesOf yields the parameters of each policy in the header RateLimit.
func policiesOf(header http.Header) iter.Seq[map[string]string] {
	return func(yield func(map[string]string) bool) {
		value := strings.Join(header.Values("RateLimit"), ",")
		separator := ","
		if !strings.Contains(value, ";") { // an earlier draft: one policy, whose parameters have commas between them
			separator = "\x00"
		}
		for item := range strings.SplitSeq(value, separator) {
			policy := map[string]string{}
			for parameter := range strings.FieldsFuncSeq(item, func(r rune) bool { return r == ';' || r == ',' }) {
				name, text, _ := strings.Cut(strings.TrimSpace(parameter), "=")
				policy[strings.ToLower(name)] = text
			}
			if !yield(policy) {
				return
			}
		}
	}
}

// untilReset returns the time until the remote's window ends; 0 if it has ended or is unknown.
func untilReset(header http.Header, now time.Time) time.Duration {
	now = remoteTime(header, now)
	for _, text := range []string{header.Get("X-RateLimit-Reset"), header.Get("RateLimit-Reset"), rateLimitPart(header, "t", "reset")} {
		if wait, ok := waitOf(text, now); ok {
			return wait
		}
	}
	return 0
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
