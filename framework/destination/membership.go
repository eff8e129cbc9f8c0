package destination

import (
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Membership is an event's statement about an audience.
type Membership uint8

// The memberships.
const (
	Unknown Membership = iota // the event does not say
	In                        // the user is a member from now on
	Out                       // the user is no longer a member
)

// MembershipOf returns the membership in an event of an Engage audience or journey, or of reverse ETL with a sync mode.
func MembershipOf(v event.Value, syncMode string) Membership {
	personas := v.Get("context").Get("personas")
	switch personas.Get("computation_class").Str() {
	case "audience":
		return strictMembership(computedValue(v, personas.Get("computation_key").Str()))
	case "journey_step":
		value := computedValue(v, personas.Get("computation_key").Str())
		if value.Kind() == event.Absent {
			return In
		}
		return strictMembership(value)
	}
	return syncMembership(v, syncMode)
}

// unclearMembership returns the error of an event whose membership is Unknown.
func unclearMembership(v event.Value, syncMode string) error {
	personas := v.Get("context").Get("personas")
	key, place := personas.Get("computation_key").Str(), ""
	switch v.Get("type").Str() {
	case "track":
		place = "properties"
	case "identify":
		place = "traits"
	}
	switch class := personas.Get("computation_class").Str(); {
	case class != "audience" && class != "journey_step":
		return fault.Invalid("the event does not say whether the user is in the audience: context.personas.computation_class is neither audience nor journey_step, and with the sync mode %q only the events new, updated and deleted say it",
			syncMode)
	case place == "":
		return fault.Invalid("the event does not say whether the user is in the audience: only track and identify calls do, but it is of the type %q", v.Get("type").Str())
	default:
		return fault.Invalid("%s should have true or false at %q, the audience's key, but has %s", place, key, computedValue(v, key).Kind().WithArticle())
	}
}

// computedValue returns the value of an audience's key: from properties of a track event, from traits of an identify event.
func computedValue(v event.Value, key string) event.Value {
	switch v.Get("type").Str() {
	case "track":
		return v.Get("properties").Get(key)
	case "identify":
		return v.Get("traits").Get(key)
	}
	return event.Value{}
}

// strictMembership returns the membership for a boolean. As in Segment, the events of audiences have no texts in its place.
func strictMembership(v event.Value) Membership {
	if v.IsString() {
		return Unknown
	}
	return BoolMembership(v)
}

// BoolMembership returns the membership for a boolean, or for the text "true" or "false".
func BoolMembership(v event.Value) Membership {
	switch {
	case v.Kind() == event.True, v.Str() == "true":
		return In
	case v.Kind() == event.False, v.Str() == "false":
		return Out
	}
	return Unknown
}

func syncMembership(v event.Value, mode string) Membership {
	if v.Get("type").Str() != "track" {
		return Unknown
	}
	switch name := v.Get("event").Str(); {
	case name == "new" && (mode == "add" || mode == "upsert" || mode == "mirror"):
		return In
	case name == "updated" && (mode == "update" || mode == "upsert" || mode == "mirror"):
		return In
	case name == "deleted" && (mode == "delete" || mode == "mirror"):
		return Out
	}
	return Unknown
}
