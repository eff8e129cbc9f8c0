package runtime

import (
	"fmt"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// contextMembers are the members that contexts of events often have.
func contextMembers() []string {
	return []string{"active", "app", "campaign", "channel", "device", "externalIds", "groupId", "integrations", "ip", "library", "locale", "location", "network", "os",
		"page", "personas", "protocols", "referrer", "screen", "sessionId", "timezone", "traits", "userAgent", "userAgentData"}
}

// CheckSpelling finds paths of a mapping whose first key is not a member of events but resembles one, such as $.userID, and texts that
// are most likely paths or templates.
func CheckSpelling(v event.Value) (found fault.Problems) {
	checkSpelling(v, "", &found)
	return found
}

// CheckQuerySpelling finds the paths of a query that CheckSpelling would find in a mapping.
func CheckQuerySpelling(q *fql.Query) (found fault.Problems) {
	for _, path := range q.Paths() {
		checkMemberSpelling(path, "", &found)
	}
	return found
}

// checkSpelling checks a part of a mapping at a place. Items of an @arrayPath, and the result that a @transform maps, have members of
// their own.
func checkSpelling(v event.Value, place string, found *fault.Problems) {
	checkText(v, place, found)
	for i, item := range v.Items() {
		checkSpelling(item, fmt.Sprintf("%s/%d", place, i), found)
	}
	for key, m := range v.Members() {
		inner := place + fault.PointerKey(key)
		references, reads := mapping.References(key, m)
		for _, r := range references {
			checkMemberSpelling(r.Path, inner+r.Pointer, found)
		}
		switch {
		case key == "@arrayPath":
			if !m.Index(0).IsString() {
				checkSpelling(m.Index(0), inner+"/0", found)
			}
		case key == "@transform":
			checkSpelling(m.Get("apply"), inner+"/apply", found)
		case key == "@literal", m.IsString() && reads:
		default:
			checkSpelling(m, inner, found)
		}
	}
}

// checkMemberSpelling reports a path that begins with a misspelt member of events or of their context.
func checkMemberSpelling(path event.Path, place string, found *fault.Problems) {
	keys := path.Keys()
	filter := slices.IndexFunc(keys, func(key string) bool { return strings.Contains(key, " |") })
	brackets := slices.IndexFunc(keys, func(key string) bool { return strings.ContainsAny(key, "[]") })
	switch {
	case len(keys) == 0:
	case filter >= 0:
		found.Add(place, `reads the key %q: a path has no filters, which need {"@liquid": …}`, fault.Shorten(keys[filter], 80))
	case brackets >= 0 && (strings.Contains(keys[brackets], "[*") || strings.Contains(keys[brackets], "[-")): // a warning of the mapping
	case brackets >= 0:
		found.Add(place, "reads the key %q with its brackets: write [0] for an item, ['a key'] for a key", fault.Shorten(keys[brackets], 80))
	case !slices.Contains(eventMembers(), keys[0]):
		if near := fault.DidYouMean(keys[0], eventMembers()); near != "" {
			found.Add(place, "reads %s, which events do not have%s", keys[0], near)
		}
	case keys[0] == "context" && len(keys) > 1 && !slices.Contains(contextMembers(), keys[1]):
		if near := fault.DidYouMean(keys[1], contextMembers()); near != "" {
			found.Add(place, "reads context.%s, which events do not have%s", keys[1], near)
		}
	}
}

// checkText reports a text that is most likely a path or a template that should be evaluated.
func checkText(v event.Value, place string, found *fault.Problems) {
	if text := v.Str(); place != "" && isPathText(text) {
		found.Add(place, `is the text %q for every event: to read the event, write {"@path": %q}`, fault.Shorten(text, 80), fault.Shorten(text, 80))
		return
	}
	references, _ := mapping.References("@template", v)
	for _, r := range references {
		if isMember(r.Path) {
			found.Add(place, `is a text in which {{…}} is no template: write {"@template": …}, or {"@literal": …} for the text`)
			return
		}
	}
}

// isMember reports whether a path is most likely one of an event: it is longer than a word that other languages use as well.
func isMember(path event.Path) bool {
	keys := path.Keys()
	if len(keys) == 0 {
		return false
	}
	switch keys[0] {
	case "properties", "traits", "context":
		return len(keys) > 1
	}
	return slices.Contains([]string{"event", "userId", "anonymousId", "groupId", "previousId", "messageId", "timestamp", "receivedAt", "sentAt"}, keys[0])
}

// isPathText reports whether a text is the path of a member of events.
func isPathText(text string) bool {
	rest, ok := strings.CutPrefix(text, "$.")
	key, _, deep := strings.Cut(rest, ".")
	return ok && slices.Contains(eventMembers(), key) && (deep || !strings.ContainsAny(rest, " \t\n"))
}
