package incoming

import (
	"hash/maphash"
	"sync"
	"time"
)

// Limits of what is remembered about senders.
const (
	maxSenders = 1 << 16 // in each of two generations
	maxSteps   = 8

	// maxDelay is the longest plausible difference in delay between two requests of a sender. A larger difference means that its
	// clock was set.
	maxDelay = 10 * time.Minute
	// maxKept is the longest that a client plausibly keeps an event before it is sent.
	maxKept = 365 * 24 * time.Hour
	// minContradictions is how many consecutive requests, over at least maxDelay, must contradict the known clock difference before
	// it is replaced.
	minContradictions = 3
	// squeezeFactor is how much closer times follow each other while the correction of a clock shrinks.
	squeezeFactor = 1000
	// maxSqueeze limits how far these times together are placed after the last one that was converted with the larger correction. It
	// matters when a clock that was wrong by years is set right.
	maxSqueeze = time.Second
)

// senders remembers the clocks of recent senders in two generations. When the current one is full, the previous one is dropped.
type senders struct {
	seed maphash.Seed

	mu                sync.Mutex
	current, previous map[uint64]*sender
}

func newSenders() *senders {
	return &senders{seed: maphash.MakeSeed(), current: map[uint64]*sender{}}
}

// senderKey identifies a sender within a source: by its anonymousId, which belongs to one device, or by its userId and the client's
// address.
func (m *RequestNormalizer) senderKey(c *clientMembers) uint64 {
	var h maphash.Hash
	h.SetSeed(m.normalizer.senders.seed)
	parts := [...]string{m.request.Source, "anonymous", c.anonymousID.Text()}
	if parts[2] == "" {
		parts = [...]string{m.request.Source, m.request.Address, c.userID.Text()}
	}
	for _, part := range parts {
		_, _ = h.WriteString(part)
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

// findLocked returns a sender, or nil if it is unknown and create is false.
func (s *senders) findLocked(key uint64, create bool) *sender {
	found := s.current[key]
	if found != nil {
		return found
	}
	if found = s.previous[key]; found == nil {
		if !create {
			return nil
		}
		found = &sender{}
	}
	if len(s.current) >= maxSenders {
		s.previous, s.current = s.current, map[uint64]*sender{}
	}
	s.current[key] = found
	return found
}

// correctTime converts at, a time by the client's clock, to the server's clock. sent is when the client sent the request by its own
// clock, or zero if that is unknown.
func (s *senders) correctTime(key uint64, received, sent, at time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !isClockOf(sent, at, received) {
		sent = time.Time{}
	}
	from := s.findLocked(key, !sent.IsZero())
	if from == nil || sent.IsZero() && from.skew.Abs() > maxDelay && received.Sub(at).Abs() <= maxDelay {
		return at // without a usable sentAt, a time that is about that of the receipt comes from a clock that is right
	}
	if !sent.IsZero() {
		from.observe(received, received.Sub(sent))
	}
	return from.correctTime(received, sent, at)
}

// isClockOf reports whether sent can be from the clock that at is from. Otherwise it is a wrong constant, or from another clock: it is far from
// the receipt, and the event was recorded after it or longer ago than a client keeps events.
func isClockOf(sent, at, received time.Time) bool {
	if received.Sub(sent).Abs() <= maxDelay {
		return true
	}
	age := sent.Sub(at)
	return age >= -maxDelay && age <= maxKept
}

// sender is what is known about a client's clock. The difference between the receipt of a request and the client's time of sending
// is the offset of the client's clock plus the delay of the request. The delay is never negative, so the smallest difference seen
// is the best estimate of the offset, and the rest is delay.
type sender struct {
	known bool
	skew  time.Duration // the smallest difference seen

	last          time.Time // the latest of the client's times that was converted
	lastCorrected time.Time // the result of converting last
	steps         []step    // earlier corrections, which still apply to the times converted with them

	contradictions     int           // consecutive requests that contradict skew
	since              time.Time     // when the first of them was received
	smallestDifference time.Duration // the smallest difference among them
}

// step is a correction that turned out to be too large. Times up to and including until were converted with it.
type step struct {
	until     time.Time
	skew      time.Duration
	corrected time.Time // the result of converting until
}

// effectiveSkew returns how much is added to the client's times. Differences of up to MaxSkew are not corrected.
func effectiveSkew(skew time.Duration) time.Duration {
	if skew.Abs() <= MaxSkew {
		return 0
	}
	return skew
}

// observe updates the estimate with the difference of one request.
func (s *sender) observe(received time.Time, difference time.Duration) {
	switch {
	case !s.known:
		s.known, s.skew = true, difference
	case difference < s.skew:
		s.lowerSkew(difference)
	case difference-s.skew > maxDelay:
		*s = sender{known: true, skew: difference}
	case difference-s.skew > MaxSkew:
		s.countContradiction(received, difference)
		return
	}
	s.contradictions = 0
}

// lowerSkew reduces the correction. Times that were already converted, and earlier ones, keep their result.
func (s *sender) lowerSkew(skew time.Duration) {
	if effectiveSkew(skew) != effectiveSkew(s.skew) && !s.last.IsZero() {
		s.steps = append(s.steps, step{s.last, effectiveSkew(s.skew), s.lastCorrected})
		if len(s.steps) > maxSteps {
			s.steps = s.steps[1:]
		}
	}
	s.skew = skew
}

// countContradiction counts a request with an unusually large difference: either it was slow or the clock was set. If requests
// contradict the estimate long enough, the clock was set.
func (s *sender) countContradiction(received time.Time, difference time.Duration) {
	if s.contradictions == 0 {
		s.since, s.smallestDifference = received, difference
	}
	s.contradictions++
	s.smallestDifference = min(s.smallestDifference, difference)
	if s.contradictions >= minContradictions && received.Sub(s.since) >= maxDelay {
		*s = sender{known: true, skew: s.smallestDifference}
	}
}

// correctTime converts a time from the client's clock to the server's. The order of the client's times is preserved, whatever is
// learned between them. A correction never moves a time past its receipt, except that a time stays after those that were converted with
// an earlier, larger correction, if necessary by up to maxSqueeze past its receipt.
func (s *sender) correctTime(received, sent, at time.Time) time.Time {
	if effectiveSkew(s.skew) != 0 && !sent.IsZero() && at.After(sent) {
		at = sent
	}
	corrected := s.applyStep(at, received)
	if believable := !corrected.After(received.Add(DefaultMaxFuture)); believable && at.After(s.last) {
		s.last, s.lastCorrected = at, corrected
	}
	return corrected
}

// applyStep applies the correction that holds for a time.
func (s *sender) applyStep(at, received time.Time) time.Time {
	floor := time.Time{}
	for i := range s.steps {
		if one := &s.steps[i]; !at.After(one.until) {
			return laterTime(correctWithin(at, one.skew, received), floor)
		}
		floor = s.steps[i].corrected.Add(min(at.Sub(s.steps[i].until)/squeezeFactor, maxSqueeze))
	}
	return laterTime(correctWithin(at, effectiveSkew(s.skew), received), floor)
}

func correctWithin(at time.Time, skew time.Duration, received time.Time) time.Time {
	if moved := at.Add(skew); skew == 0 || !moved.After(received) {
		return moved
	}
	return received
}

func laterTime(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
