package ingest

import (
	"sync"
	"time"
)

// bucket limits a source's events per second. It fills at rate up to burst. A request is admitted while a token is left. Its
// other events are charged when they have been counted and may leave the bucket in debt, which delays the requests after it.
// So the average is kept whatever the size of the batches, and a large batch does not starve beside small ones.
//
// A nil bucket admits everything. A bucket is safe for concurrent use.
type bucket struct {
	rate, burst float64

	mu     sync.Mutex
	tokens float64
	filled time.Time // when tokens was right
}

// newBucket returns a full bucket, or nil if perSecond sets no limit.
func newBucket(perSecond float64) *bucket {
	if perSecond <= 0 {
		return nil
	}
	burst := max(2*perSecond, 1)
	return &bucket{rate: perSecond, burst: burst, tokens: burst}
}

// admit takes one token. If there is none, it reports how long until there is one.
func (b *bucket) admit(now time.Time) (wait time.Duration, ok bool) {
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

// charge takes n tokens, whether or not they are there. A negative n gives tokens back.
func (b *bucket) charge(n int) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(b.burst, b.tokens-float64(n))
}
