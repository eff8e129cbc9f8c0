package incoming

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/landfall-dev/landfall/framework/event"
)

// Refusal returns why a server refuses an event that was completed with Complete, or "" if it accepts it. Files, forms and pipelines may contain
// events that it refuses.
func Refusal(e event.Event) string {
	c := membersOf(e.Value(), &memberList{})
	return c.check(c.kind.Str())
}

// isID reports whether a value can be an id.
func isID(v event.Value) bool {
	return v.IsString() && strings.TrimSpace(v.Str()) != "" || v.Kind() == event.Number
}

// check returns what is wrong with an event of a type, or "".
func (c *clientMembers) check(kind string) string {
	if reason := c.checkType(kind); reason != "" {
		return reason
	}
	if !isID(c.userID) && !isID(c.anonymousID) {
		return "userId or anonymousId should be a string: one of them is needed"
	}
	if reason := c.checkIDs(); reason != "" {
		return reason
	}
	for i, o := range [...]event.Value{c.properties, c.traits, c.context, c.integrations} {
		if o.Exists() && o.Kind() != event.Object {
			return fmt.Sprintf("%s should be an object but is %s", objectMembers()[i], o.Kind().WithArticle())
		}
	}
	return ""
}

// checkIDs returns why an id is damaged, so that different users would become the same, or "".
func (c *clientMembers) checkIDs() string {
	for i, id := range [...]event.Value{c.userID, c.anonymousID, c.groupID, c.previousID} {
		name := [...]string{"userId", "anonymousId", "groupId", "previousId"}[i]
		switch id.Kind() {
		case event.String:
			if strings.ContainsRune(id.Str(), utf8.RuneError) {
				return name + " has a character that was lost in a conversion (U+FFFD), or is not valid UTF-8: send the event in UTF-8"
			}
		case event.Number:
			if strings.HasSuffix(id.Text(), "Infinity") {
				return name + " is a number beyond the range of numbers: send it as a string"
			}
		case event.True, event.Array, event.Object:
			return name + " should be a string but is " + id.Kind().WithArticle()
		}
	}
	return ""
}

// ParseLine parses an event of a file or a pipeline, and refuses one that has a damaged id, and a batch of events. The event need not be complete,
// unlike for Refusal, since the subscriptions decide what it needs. The text must be valid UTF-8.
func ParseLine(raw []byte) (event.Event, error) {
	e, err := event.Parse(raw)
	if err != nil {
		return e, err
	}
	if reason := unreadable(e); reason != "" {
		return e, errors.New(reason)
	}
	return e, nil
}

// unreadable returns why ParseLine refuses an event, or "" if it does not.
func unreadable(e event.Event) string {
	v := e.Value()
	if v.Get("batch").Kind() == event.Array && !v.Get("type").Exists() && !v.Get("event").Exists() {
		return "it is a batch: give each event by itself"
	}
	c := clientMembers{userID: v.Get("userId"), anonymousID: v.Get("anonymousId"), groupID: v.Get("groupId"), previousID: v.Get("previousId")}
	return c.checkIDs()
}

// checkType returns what an event of a type lacks, or "".
func (c *clientMembers) checkType(kind string) string {
	switch kind {
	case "track":
		if !c.name.IsString() || c.name.Str() == "" {
			return "event should be the name of the event, for a track"
		}
	case "identify", "page", "screen", "delete":
	case "group":
		if !isID(c.groupID) {
			return "groupId should be a string, for a group"
		}
	case "alias":
		if !isID(c.previousID) || !isID(c.userID) {
			return "previousId and userId should be strings, for an alias"
		}
	case "":
		if c.kind.Exists() && !c.kind.IsString() {
			return "type should be track, identify, page, screen, group or alias but is " + c.kind.Kind().WithArticle()
		}
		return "type should be track, identify, page, screen, group or alias but is missing"
	default:
		return fmt.Sprintf("type should be track, identify, page, screen, group or alias but is %.40q", kind)
	}
	return ""
}
