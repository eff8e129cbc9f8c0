package budget

import (
	"math"
	"net/http"
	"time"
)

// concurrency is how many requests may be in flight. It falls by a part when the remote fails, asks to send more slowly, or becomes
// slow, and rises by one for each round of requests that succeed while all places are taken.
type concurrency struct {
	most     int
	fixed    bool
	limit    float64
	inFlight [classes]int

	lowered time.Time  // when the limit last fell: requests sent before say nothing about the present one
	recent  float64    // seconds, smoothed
	fastest [2]float64 // the least smoothed time of the present and the previous period, in seconds
	period  time.Time  // beginning of the present period
}

const (
	onFailure  = 0.7 // factor of the limit
	onSlowness = 0.9
	slowFactor = 2.0              // slower than this times the fastest is slow
	slowMargin = 0.010            // seconds
	smoothing  = 0.1              // weight of the newest time
	periodOf   = 60 * time.Second // how long the fastest time counts, once or twice
)

// present returns the present limit.
func (c *concurrency) present() int { return max(int(c.limit), 1) }

func (c *concurrency) hasPlace() bool { return c.inFlight[Live]+c.inFlight[Background] < c.present() }

func (c *concurrency) start(class Class) { c.inFlight[class]++ }

func (c *concurrency) end(class Class) { c.inFlight[class]-- }

// record updates the limit from a request that was sent at a time.
func (c *concurrency) record(sent time.Time, took time.Duration, r *Result, now time.Time) {
	if c.fixed {
		return
	}
	inFlight := c.inFlight[Live] + c.inFlight[Background] + 1
	busy := inFlight >= c.present()
	switch {
	case r.failed() || r.Status == http.StatusTooManyRequests || r.Status == http.StatusRequestTimeout:
		c.lower(onFailure, inFlight, sent, now)
	case c.isSlow(took.Seconds(), now):
		c.lower(onSlowness, inFlight, sent, now)
	case busy || c.limit < float64(min(c.most, 4)):
		c.limit = math.Min(c.limit+1/c.limit, float64(c.most))
	}
}

// lower reduces the limit, once for the requests that were in flight together.
func (c *concurrency) lower(factor float64, inFlight int, sent, now time.Time) {
	if sent.Before(c.lowered) {
		return
	}
	c.limit = math.Max(math.Min(c.limit, float64(inFlight))*factor, 1)
	c.lowered = now
}

// isSlow records the time of a request and reports whether requests have become much slower than the fastest ones.
func (c *concurrency) isSlow(seconds float64, now time.Time) bool {
	if c.recent == 0 {
		c.recent = seconds
	}
	c.recent += smoothing * (seconds - c.recent)
	if now.Sub(c.period) >= periodOf {
		c.fastest[1], c.fastest[0], c.period = c.fastest[0], c.recent, now
	}
	c.fastest[0] = math.Min(c.fastest[0], c.recent)
	base := c.fastest[0]
	if c.fastest[1] > 0 {
		base = math.Min(base, c.fastest[1])
	}
	return c.recent > slowFactor*base+slowMargin
}
