package incoming

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
)

// Bounds of what is remembered of senders.
const (
	maxSenders = 1 << 16 // in each of two generations
	maxSteps   = 8

	// maxDelay is how much later than another one of its sender a request may arrive. A larger difference means that a clock was set.
	maxDelay = 10 * time.Minute
	// minContradictions is how many requests must contradict what is known of a clock, over maxDelay, before it is taken to have been set.
	minContradictions = 3
	// squeeze is by how much times follow each other less closely while a clock's correction is made smaller.
	squeeze = 1000
)

// senders are the clocks of the latest senders. When a generation is full, the one before it is forgotten.
type senders struct {
	seed maphash.Seed

	mu                sync.Mutex
	current, previous map[uint64]*sender
}

func newSenders() *senders {
	return &senders{seed: maphash.MakeSeed(), current: map[uint64]*sender{}}
}

// senderKey tells senders of a source apart: by the anonymousId, which one device has, or by the userId and the client's address.
func (m *Maker) senderKey(v event.Value) uint64 {
	var h maphash.Hash
	h.SetSeed(m.normalizer.senders.seed)
	parts := [...]string{m.request.Source, "anonymous", v.Get("anonymousId").Text()}
	if parts[2] == "" {
		parts = [...]string{m.request.Source, m.request.Address, v.Get("userId").Text()}
	}
	for _, part := range parts {
		_, _ = h.WriteString(part)
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

// find returns what is remembered of a sender; nil if nothing is and it should not be made.
func (s *senders) find(key uint64, create bool) *sender {
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

// place returns when an event happened by the server's clock: at is the client's time of it, sent the client's time of its request, zero
// if that is not known.
func (s *senders) place(key uint64, received, sent, at time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.find(key, !sent.IsZero())
	if from == nil {
		return at
	}
	if !sent.IsZero() {
		from.observe(received, received.Sub(sent))
	}
	return from.place(received, sent, at)
}

// sender is what is known of a client's clock. The difference between the receipt of a request and the client's time of sending it is what
// the client's clock is behind, plus the time that the request took. The second is never negative: the smallest difference seen is the
// first, and the rest is delay.
type sender struct {
	known bool
	skew  time.Duration // the smallest difference

	last   time.Time // the latest of the client's times that was placed
	placed time.Time // where
	steps  []step    // earlier corrections, which hold for the times that were placed by them

	against int           // requests in a row that contradict skew
	since   time.Time     // the first of them
	least   time.Duration // the smallest difference among them
}

// step is a correction that was found to be too large: times up to and including until were placed by it.
type step struct {
	until  time.Time
	skew   time.Duration
	placed time.Time // where until was placed
}

// effective is how much is added to the client's times. Differences of up to MaxSkew are not corrected.
func effective(skew time.Duration) time.Duration {
	if skew.Abs() <= MaxSkew {
		return 0
	}
	return skew
}

// observe learns from the difference of one request.
func (s *sender) observe(received time.Time, difference time.Duration) {
	switch {
	case !s.known:
		s.known, s.skew = true, difference
	case difference < s.skew:
		s.lower(difference)
	case difference-s.skew > maxDelay:
		*s = sender{known: true, skew: difference}
	case difference-s.skew > MaxSkew:
		s.contradict(received, difference)
		return
	}
	s.against = 0
}

// lower makes the correction smaller. The times that were placed stay where they are, and so do those before them.
func (s *sender) lower(skew time.Duration) {
	if effective(skew) != effective(s.skew) && !s.last.IsZero() {
		s.steps = append(s.steps, step{s.last, effective(s.skew), s.placed})
		if len(s.steps) > maxSteps {
			s.steps = s.steps[1:]
		}
	}
	s.skew = skew
}

// contradict counts a request that took long, unless the clock has been set. If no request agrees any more, it has been.
func (s *sender) contradict(received time.Time, difference time.Duration) {
	if s.against == 0 {
		s.since, s.least = received, difference
	}
	s.against++
	s.least = min(s.least, difference)
	if s.against >= minContradictions && received.Sub(s.since) >= maxDelay {
		*s = sender{known: true, skew: s.least}
	}
}

// place returns when an event happened by the server's clock. Of two events, the one with the later time by the client's clock has the
// later one here, whatever was learned between them, and none lies after its receipt because of a correction.
func (s *sender) place(received, sent, at time.Time) time.Time {
	if effective(s.skew) != 0 && !sent.IsZero() && at.After(sent) {
		at = sent
	}
	placed := s.at(at, received)
	if believable := !placed.After(received.Add(DefaultMaxFuture)); believable && at.After(s.last) {
		s.last, s.placed = at, placed
	}
	return placed
}

// at applies the correction that holds for a time. A correction does not pass the receipt.
func (s *sender) at(at, received time.Time) time.Time {
	floor := time.Time{}
	for i := range s.steps {
		if one := &s.steps[i]; !at.After(one.until) {
			return later(corrected(at, one.skew, received), floor)
		}
		floor = s.steps[i].placed.Add(at.Sub(s.steps[i].until) / squeeze)
	}
	return later(corrected(at, effective(s.skew), received), floor)
}

func corrected(at time.Time, skew time.Duration, received time.Time) time.Time {
	if moved := at.Add(skew); skew == 0 || !moved.After(received) {
		return moved
	}
	return received
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
