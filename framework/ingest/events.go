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

// maxGrowth is how many times the bound of a request its events may take once each of them has what the batch says for all: a few
// KB of request would else fill the memory.
const maxGrowth = 16

// stamp is how a time is written: that of JavaScript's toISOString.
const stamp = "2006-01-02T15:04:05.000Z"

// events are those of a body: one of a kind, or a batch where that is "".
func (h *Handler) events(from *source, body event.Value, kind string, received time.Time) (taken []Event, rejected []Rejected, problem string) {
	list, whole := []event.Value{body}, event.Value{}
	if kind == "" {
		batch := body.Get("batch")
		if batch.Kind() != event.Array {
			return nil, nil, "batch should be an array of events but is " + batch.Kind().WithArticle()
		}
		list, whole = list[:0], body
		for _, v := range batch.Items() {
			list = append(list, v)
		}
	}
	m := maker{kind: kind, deletes: from.Deletes, batch: whole, received: received}
	m.sent, m.hasSent = event.ParseTime(whole.Get("sentAt").Text())
	taken = make([]Event, 0, len(list))
	bytes := 0
	for i, v := range list {
		made, problem := m.make(v)
		large := false
		var raw []byte
		if problem == "" {
			raw = made.AppendJSON(make([]byte, 0, made.Size()+64))
			if large = len(raw) > h.config.MaxEvent; large {
				problem = fmt.Sprintf("the event is larger than %d KB", h.config.MaxEvent>>10)
			}
		}
		if problem != "" {
			rejected = append(rejected, Rejected{Index: i, MessageID: v.Get("messageId").Text(), Error: problem, large: large})
			continue
		}
		if bytes += len(raw); bytes > maxGrowth*h.config.MaxBatch {
			return nil, nil, fmt.Sprintf("the batch is larger than %d KB with its context and integrations in each of its events: send fewer at once",
				maxGrowth*h.config.MaxBatch>>10)
		}
		taken = append(taken, Event{Source: from.ID, Value: made, Raw: raw})
	}
	return taken, rejected, ""
}

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

// overlaid is an object with another's members over its own.
func overlaid(under, over event.Value) event.Value {
	if under.Kind() != event.Object {
		return over
	}
	if over.Kind() != event.Object {
		return under
	}
	var members []event.Member
	for key, value := range under.Members() {
		if !over.Get(key).Exists() {
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
