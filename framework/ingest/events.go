package ingest

import (
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
)

// MaxSkew is how far a client's clock may be off before its times are corrected. A smaller difference is the way of the
// request, which differs from one to the next; correcting it would change the order of a user's events.
const MaxSkew = 10 * time.Second

// stamp is how a time is written: that of JavaScript's toISOString.
const stamp = "2006-01-02T15:04:05.000Z"

// maker makes events as they are kept of events as they are sent.
type maker struct {
	kind     string      // "" for what the event says
	deletes  bool        // events of type delete are taken
	batch    event.Value // absent where the event came alone
	received time.Time
	sent     time.Time
	hasSent  bool
}

// replaced are the members that make writes itself. The write key is a secret and goes no further.
var replaced = []string{"type", "messageId", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "writeKey", "context", "integrations", "userId", "anonymousId"}

// make checks an event and fills in what it lacks; the problem is for who sent it.
func (m *maker) make(v event.Value) (made event.Value, problem string) {
	if v.Kind() != event.Object {
		return made, "an event should be an object but is " + v.Kind().WithArticle()
	}
	kind := m.kind
	if kind == "" {
		kind = v.Get("type").Str()
	}
	if kind == "delete" && !m.deletes {
		return made, "the source takes no deletions: its config needs deletes: true"
	}
	if problem := check(kind, v); problem != "" {
		return made, problem
	}
	members := make([]event.Member, 0, 24)
	add := func(key string, v event.Value) {
		if v.Kind() != event.Absent {
			members = append(members, event.Member{Key: key, Value: v})
		}
	}
	add("type", event.NewString(kind))
	add("messageId", orNew(v.Get("messageId")))
	add("userId", asText(v.Get("userId")))
	add("anonymousId", asText(v.Get("anonymousId")))
	for key, value := range v.Members() {
		if !slices.Contains(replaced, key) {
			add(key, value)
		}
	}
	add("context", overlaid(m.batch.Get("context"), v.Get("context")))
	add("integrations", overlaid(m.batch.Get("integrations"), v.Get("integrations")))
	m.times(v, add)
	return event.NewObject(members), ""
}

// times adds when the event happened: as the client says, corrected where its clock is off by more than MaxSkew.
func (m *maker) times(v event.Value, add func(string, event.Value)) {
	received := event.NewString(m.received.UTC().Format(stamp))
	original, sentText := v.Get("timestamp"), v.Get("sentAt")
	sent, hasSent := event.ParseTime(sentText.Text())
	if !hasSent {
		sent, hasSent, sentText = m.sent, m.hasSent, m.batch.Get("sentAt")
	}
	at, hasTime := event.ParseTime(original.Text())
	switch {
	case !hasTime:
		add("timestamp", received)
	case hasSent && m.received.Sub(sent).Abs() > MaxSkew:
		add("timestamp", event.NewString(m.received.Add(at.Sub(sent)).UTC().Format(stamp)))
	default:
		add("timestamp", original)
	}
	add("originalTimestamp", original)
	add("sentAt", sentText)
	add("receivedAt", received)
}

// orNew is a messageId, a new one where there is none.
func orNew(v event.Value) event.Value {
	if id := v.Text(); id != "" {
		return event.NewString(id)
	}
	return event.NewString("landfall-" + rand.Text())
}

// asText is an id as a string, as Segment keeps it.
func asText(v event.Value) event.Value {
	if v.Kind() == event.Number {
		return event.NewString(v.Text())
	}
	return v
}

// overlaid returns an object with the members of another over its own. It takes time in proportion to both.
func overlaid(under, over event.Value) event.Value {
	if under.Kind() != event.Object {
		return over
	}
	if over.Kind() != event.Object {
		return under
	}
	replaced := make(map[string]bool, over.Len())
	for key, value := range over.Members() {
		replaced[key] = value.Exists()
	}
	members := make([]event.Member, 0, under.Len()+over.Len())
	for key, value := range under.Members() {
		if !replaced[key] {
			members = append(members, event.Member{Key: key, Value: value})
		}
	}
	for key, value := range over.Members() {
		members = append(members, event.Member{Key: key, Value: value})
	}
	return event.NewObject(members)
}

// check says what is wrong with an event of a type.
func check(kind string, v event.Value) string {
	has := func(name string) bool {
		id := v.Get(name)
		return id.IsString() && id.Str() != "" || id.Kind() == event.Number
	}
	user := has("userId") || has("anonymousId")
	switch kind {
	case "track":
		if name := v.Get("event"); !name.IsString() || name.Str() == "" {
			return "event should be the name of the event, for a track"
		}
	case "identify", "page", "screen", "delete":
	case "group":
		if !has("groupId") {
			return "groupId should be a string, for a group"
		}
	case "alias":
		if !has("previousId") || !has("userId") {
			return "previousId and userId should be strings, for an alias"
		}
	case "":
		return "type should be track, identify, page, screen, group or alias but is missing"
	default:
		return fmt.Sprintf("type should be track, identify, page, screen, group or alias but is %.40q", kind)
	}
	if !user {
		return "userId or anonymousId should be a string: one of them is needed"
	}
	for _, name := range []string{"properties", "traits", "context", "integrations"} {
		if o := v.Get(name); o.Exists() && o.Kind() != event.Object && o.Kind() != event.Null {
			return fmt.Sprintf("%s should be an object but is %s", name, o.Kind().WithArticle())
		}
	}
	return ""
}
