package runtime

import (
	"hash/fnv"
	"math"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// filterCause returns why a subscription does not receive an event that matches its query, with the words for users; "" if it does. Consent and
// integrations never filter deletions: a user who withdraws consent can still ask to be deleted.
func (p *Plan) filterCause(s *Subscription, e event.Value) (fault.Cause, string) {
	if len(p.consent) > 0 && !s.deletes {
		preferences := e.Get("context").Get("consent").Get("categoryPreferences")
		for _, category := range p.consent {
			if preferences.Get(category).Kind() == event.False {
				return fault.CauseNoConsent, "the user has not consented to " + category
			}
		}
	}
	if !s.deletes && p.integrations.turnsOff(e) {
		return fault.CauseOptedOut, fault.CauseOptedOut.Text()
	}
	if s.sample < 1 && sampleShare(s.name, e) >= s.sample {
		return fault.CauseSampledOut, fault.CauseSampledOut.Text()
	}
	return "", ""
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
