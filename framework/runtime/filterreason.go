package runtime

import (
	"hash/fnv"
	"math"

	"github.com/landfall-dev/landfall/framework/event"
)

// Sampled is the reason of an event that a subscription's sampling rate leaves out.
const Sampled = "left out by the sampling rate"

// filterReason returns why a subscription does not get an event that it chooses, or "" if it does. Deletions are never filtered by
// consent: a user who withdraws consent can still ask to be deleted.
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
	if s.sample < 1 && share(s.name, e) >= s.sample {
		return Sampled
	}
	return ""
}

// share is a number from 0 to below 1 that an event always has in a subscription, by its messageId, else its content.
func share(subscription string, e event.Value) float64 {
	id := e.Get("messageId").Text()
	if id == "" {
		id = e.JSON()
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(id + "\x00" + subscription))
	mixed := h.Sum64() // FNV leaves its high bits alike for texts that differ at their end
	mixed ^= mixed >> 32
	mixed *= 0xd6e8feb86659fd93
	mixed ^= mixed >> 32
	return float64(mixed>>11) / math.Exp2(53)
}
