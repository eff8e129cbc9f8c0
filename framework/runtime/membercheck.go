package runtime

import (
	"slices"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fql"
)

// typeWithMember returns the only type of event that has a member, or "" if events of several types may have it.
func typeWithMember(key string) string {
	switch key {
	case "event":
		return "track"
	case "groupId":
		return "group"
	case "previousId":
		return "alias"
	}
	return ""
}

// eventMembers are the members that events have.
func eventMembers() []string {
	return []string{"type", "event", "name", "category", "userId", "anonymousId", "groupId", "previousId", "properties", "traits", "context",
		"integrations", "messageId", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "channel", "version", "projectId", "writeKey"}
}

// checkMembers finds required fields that are mapped from a member which no event that the query matches has, such as the event's name
// with the query type = "identify".
func checkMembers(s *Subscription, whole event.Value) (wrong []defect) {
	types := queryTypes(s.query)
	if types == nil || isComputed(whole) {
		return nil
	}
	fields := s.schema.Fields()
	for i := range fields {
		f, m := &fields[i], whole.Get(fields[i].Key)
		path := m.Get("@path")
		if !f.Required.Always || !path.IsString() || m.Len() != 1 {
			continue
		}
		keys := event.NewPath(path.Str()).Keys()
		if len(keys) != 1 {
			continue
		}
		if of := typeWithMember(keys[0]); of != "" && !slices.Contains(types, of) {
			wrong = append(wrong, newDefect(fault.PointerKey(f.Key)+"/@path", "reads %s for the required field %s (%s), but only events of type %q have it and the query matches only %s",
				keys[0], labelOf(f), f.Key, of, quotedList(types)))
		}
	}
	return wrong
}

// checkChangeTime finds a constant time of an audience change that is no time.
func (c *compiler) checkChangeTime(s *Subscription, whole event.Value) []defect {
	a := c.plugin.Audiences
	if a == nil || a.Time == "" || a.Action != s.action.Key || isComputed(whole) {
		return nil
	}
	f, m := s.schema.Fields().Get(a.Time), whole.Get(a.Time)
	if f == nil || !m.Exists() || isDynamic(m) {
		return nil
	}
	text := constantOf(m).Text()
	if text == "" {
		return nil // it is missing
	}
	if _, err := destination.ReadTime(labelOf(f), text); err != nil {
		return []defect{newDefect(fault.PointerKey(a.Time), "%v", err)}
	}
	return nil
}

// queryTypes returns the types of the events that a query matches, or nil if it does not restrict them.
func queryTypes(q *fql.Query) []string {
	if q == nil {
		return nil
	}
	for _, key := range q.IndexKeys() {
		if keys := key.Path.Keys(); len(keys) == 1 && keys[0] == "type" {
			return key.Values
		}
	}
	return nil
}
