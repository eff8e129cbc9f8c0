package runtime

import (
	"maps"
	"slices"

	"github.com/landfall-dev/landfall/framework/event"
)

// checkOverlaps warns of subscriptions that would send the same audience, so that each member would be sent twice. It tests them with
// events as Engage sends them.
func (c *compiler) checkOverlaps(enabled []*Subscription) {
	pointers := map[string]string{}
	for _, s := range c.instance.Subscriptions {
		pointers[s.Name] = s.Pointer
	}
	var syncing []*Subscription
	for _, s := range enabled {
		if s.action.Key == c.plugin.Audiences.Action {
			syncing = append(syncing, s)
		}
	}
	probes := audienceProbes(syncing, c.plugin.Audiences.Key)
	for i, s := range syncing {
		for _, earlier := range syncing[:i] {
			if key, ok := c.bothSend(earlier, s, probes); ok {
				c.warnings.Add(pointers[s.name], "sends the audience %s, which %q also sends: each member would be sent twice", key, earlier.name)
				break
			}
		}
	}
}

// anyAudience is the key of an audience that no subscription names.
const anyAudience = "any_audience"

// probe is a test event of an audience.
type probe struct {
	key   string
	event event.Value
}

// audienceProbes returns events of every audience that a mapping names, and of one that none names.
func audienceProbes(subscriptions []*Subscription, field string) []probe {
	keys := map[string]bool{anyAudience: true}
	for _, s := range subscriptions {
		if payload, err := s.mapping.Resolve(audienceEvent("track", "Audience Entered", anyAudience)); err == nil {
			keys[payload.Get(field).Str()] = true
		}
	}
	var probes []probe
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		for _, name := range []string{"Audience Entered", "Audience Exited"} {
			probes = append(probes, probe{key, audienceEvent("track", name, key)})
		}
		probes = append(probes, probe{key, audienceEvent("identify", "", key)})
	}
	return probes
}

func audienceEvent(kind, name, key string) event.Value {
	text := event.NewString
	said := event.NewObject([]event.Member{{Key: "audience_key", Value: text(key)}, {Key: key, Value: event.NewBool(true)}})
	personas := event.NewObject([]event.Member{
		{Key: "computation_class", Value: text("audience")}, {Key: "computation_id", Value: text("aud_" + key)}, {Key: "computation_key", Value: text(key)},
	})
	members := []event.Member{
		{Key: "type", Value: text(kind)}, {Key: "userId", Value: text("u1")}, {Key: "timestamp", Value: text("2026-01-02T03:04:05Z")},
		{Key: "context", Value: event.NewObject([]event.Member{{Key: "personas", Value: personas}})},
	}
	if kind == "track" {
		members = append(members, event.Member{Key: "event", Value: text(name)}, event.Member{Key: "properties", Value: said})
	} else {
		members = append(members, event.Member{Key: "traits", Value: said})
	}
	return event.NewObject(members)
}

// bothSend returns an audience that both subscriptions would send.
func (c *compiler) bothSend(a, b *Subscription, probes []probe) (what string, both bool) {
	for _, p := range probes {
		if c.sendsAudience(a, p) && c.sendsAudience(b, p) {
			if p.key == anyAudience || p.key == "" { // without a key, the payload names the audience by its id
				return "of any event", true
			}
			what, both = "\""+p.key+"\"", true
		}
	}
	return what, both
}

func (c *compiler) sendsAudience(s *Subscription, p probe) bool {
	if !s.query.Match(p.event) {
		return false
	}
	payload, err := s.mapping.Resolve(p.event)
	return err == nil && payload.Get(c.plugin.Audiences.Key).Str() == p.key
}
