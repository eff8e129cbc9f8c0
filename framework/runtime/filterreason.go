package runtime

import (
	"hash/fnv"
	"math"

	"github.com/landfall-dev/landfall/framework/event"
)

// Sampled is the reason if an event is not in a subscription's sample.
const Sampled = "left out by the sampling rate"

// filterReason returns why a subscription does not receive an event that matches its query, or "". Consent and integrations never
// filter deletions: a user who withdraws consent can still ask to be deleted.
func (p *Plan) filterReason(s *Subscription, e event.Value) string {
	if len(p.consent) > 0 && !s.deletes {
		preferences := e.Get("context").Get("consent").Get("categoryPreferences")
		for _, category := range p.consent {
			if preferences.Get(category).Kind() == event.False {
				return "the user has not consented to " + category
			}
		}
	}
	if !s.deletes && p.turnedOff(e.Get("integrations")) {
		return NotIntegrated
	}
	if s.sample < 1 && sampleShare(s.name, e) >= s.sample {
		return Sampled
	}
	return ""
}

// sampleShare returns a number in [0, 1) that is always the same for an event and a subscription. It is a hash of the messageId, or of
// the content if the event has none.
func sampleShare(subscription string, e event.Value) float64 {
	id := e.Get("messageId").Text()
	if id == "" {
		id = e.JSON()
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(id + "\x00" + subscription))
	mixed := h.Sum64() // FNV's high bits are similar for texts that differ at their end
	mixed ^= mixed >> 32
	mixed *= 0xd6e8feb86659fd93
	mixed ^= mixed >> 32
	return float64(mixed>>11) / math.Exp2(53)
}
