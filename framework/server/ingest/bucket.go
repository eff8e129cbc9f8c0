package ingest

import (
	"sync"
	"time"
)

// bucket is a token bucket that limits a source's events per second. A request is admitted if one token is left. Its other events are
// charged after they have been counted, and can leave the bucket in debt, which delays later requests. This keeps the average rate for
// any batch size, and large batches are not starved by small ones.
//
// A nil bucket has no limit. A bucket is safe for concurrent use.
type bucket struct {
	rate, burst float64

	mu     sync.Mutex
	tokens float64
	filled time.Time // time of the last refill
}

// newBucket returns a full bucket, or nil if perSecond sets no limit.
func newBucket(perSecond float64) *bucket {
	if perSecond <= 0 {
		return nil
	}
	burst := max(2*perSecond, 1)
	return &bucket{rate: perSecond, burst: burst, tokens: burst}
}

// takeToken takes one token. If none is left, it returns how long to wait for one.
func (b *bucket) takeToken(now time.Time) (wait time.Duration, ok bool) {
	if b == nil {
		return 0, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if passed := now.Sub(b.filled); passed > 0 {
		b.tokens = min(b.burst, b.tokens+passed.Seconds()*b.rate)
		b.filled = now
	}
	if b.tokens < 1 {
		return time.Duration((1 - b.tokens) / b.rate * float64(time.Second)), false
	}
	b.tokens--
	return 0, true
}

// chargeTokens takes n tokens, even if that leaves the bucket in debt. A negative n returns tokens.
func (b *bucket) chargeTokens(n int) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(b.burst, b.tokens-float64(n))
}
