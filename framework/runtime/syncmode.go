package runtime

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/mapping"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// matchingKey is the key in a mapping whose value names the field that identifies records.
const matchingKey = "__segment_internal_matching_key"

// compileModes reads the sync mode and the matching key of a subscription. Both must be literal texts.
func (c *compiler) compileModes(in config.Subscription, s *Subscription) {
	place := in.Pointer + "/mapping/"
	s.matchingKey = c.constantText(in.Mapping.Get(matchingKey), place+matchingKey)
	mapped := c.constantText(in.Mapping.Get(fieldschema.SyncModeKey), place+fieldschema.SyncModeKey)
	switch {
	case in.SyncMode == "":
		s.syncMode, place = mapped, place+fieldschema.SyncModeKey
	case mapped != "" && mapped != in.SyncMode:
		c.problems.Add(in.Pointer+"/syncMode", "is %s but the mapping says %s", in.SyncMode, mapped)
	default:
		place = in.Pointer + "/syncMode"
	}
	offered := s.action.SyncMode
	switch {
	case offered == nil && s.syncMode != "":
		c.warnings.Add(place, "has no effect: %s has no sync modes", s.action.Key)
	case offered == nil:
	case s.syncMode == "":
		s.syncMode = offered.Default
	case !offered.Offers(s.syncMode):
		modes := offered.Modes()
		c.problems.Add(place, "is not a sync mode of %s%s; its sync modes are %s", s.action.Key, fault.DidYouMean(s.syncMode, modes), strings.Join(modes, ", "))
	}
}

func (c *compiler) constantText(v event.Value, place string) string {
	if v.Kind() != event.Absent && !v.IsString() {
		c.problems.Add(place, "should be a string but is %s: it cannot depend on the event", v.Kind().WithArticle())
	}
	return v.Str()
}

// withoutModes returns a mapping without the keys that modes and hooks read.
func withoutModes(m event.Value) event.Value {
	if m.Kind() != event.Object || mapping.IsDirective(m) {
		return m
	}
	return m.Without(append(destination.HookNames(), fieldschema.SyncModeKey, matchingKey)...)
}
