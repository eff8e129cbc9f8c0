package destination

import "github.com/landfall-dev/landfall/framework/event"

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
		return BoolMembership(computedValue(v, personas.Get("computation_key").Str()))
	case "journey_step":
		value := computedValue(v, personas.Get("computation_key").Str())
		if value.Kind() == event.Absent {
			return In
		}
		return BoolMembership(value)
	}
	return syncMembership(v, syncMode)
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
