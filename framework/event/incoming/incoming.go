// Package incoming makes events as they are kept of events as they are sent: it checks them, fills in their ids and defaults, and decides
// when they happened. The HTTP server, file readers, the console and pipelines all use it, so that an event is the same whichever way it
// came.
//
// It does no I/O and reads no clock. A Normalizer is safe for concurrent use.
package incoming

import (
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
)

// DefaultMaxFuture is how far a time may lie ahead of its receipt by default.
const DefaultMaxFuture = time.Minute

// Normalizer makes events of those that clients send. It remembers the clocks of the latest senders, in bounded memory.
type Normalizer struct {
	maxFuture time.Duration
	senders   *senders
	notObject [event.Object]*RefusedError // by kind: a request may hold many values that are no events
}

// New returns a Normalizer. A time that lies further ahead of its receipt than maxFuture is replaced by the receipt; 0 stands for
// DefaultMaxFuture.
func New(maxFuture time.Duration) *Normalizer {
	if maxFuture <= 0 {
		maxFuture = DefaultMaxFuture
	}
	n := &Normalizer{maxFuture: maxFuture, senders: newSenders()}
	for kind := range n.notObject {
		n.notObject[kind] = &RefusedError{"an event should be an object but is " + event.Kind(kind).WithArticle()}
	}
	return n
}

// Request is what a request says about all of its events.
type Request struct {
	Source   string
	Address  string      // the client's; it tells senders apart that only name a user
	Kind     string      // the type of the events; "" if each event has its own
	Deletes  bool        // events of type delete are taken
	Batch    event.Value // the object that the events came in; absent for an event that came alone
	Received time.Time
}

// Maker makes the events of one request. It is for one goroutine.
type Maker struct {
	normalizer *Normalizer
	request    Request
	sent       sentTime // of the batch
}

// sentTime is when a client sent something, by its own clock.
type sentTime struct {
	at      time.Time
	text    event.Value
	mistake string // why the text cannot be read
}

// Maker returns the Maker of a request.
func (n *Normalizer) Maker(r Request) *Maker {
	r.Received = r.Received.UTC().Truncate(time.Millisecond) // as it is printed
	return &Maker{normalizer: n, request: r, sent: readSent(r.Batch.Get("sentAt"))}
}

func readSent(v event.Value) sentTime {
	s := sentTime{text: v}
	if !v.Exists() {
		return s
	}
	at, err := event.ReadTime(v)
	if err != nil {
		s.mistake = err.Error()
	}
	s.at = at
	return s
}

// Event is an event as it is kept.
type Event struct {
	Value     event.Value
	Timestamp string // the time that was put in place of the client's; "" if its own was used
	Replaced  string // why it was replaced, or why the client's clock could not be corrected
}

// RefusedError says why an event cannot be taken, in words for its sender.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }

// replaced are the members that Event writes itself. The write key is a secret and goes no further.
var replaced = []string{"type", "messageId", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "writeKey", "context", "integrations", "userId", "anonymousId"}

// Event checks an event and fills in what it lacks. The error is a *RefusedError.
func (m *Maker) Event(v event.Value) (Event, error) {
	if v.Kind() != event.Object {
		return Event{}, m.normalizer.notObject[v.Kind()]
	}
	kind := m.request.Kind
	if kind == "" {
		kind = v.Get("type").Str()
	}
	if kind == "delete" && !m.request.Deletes {
		return Event{}, &RefusedError{"the source takes no deletions: its config needs deletes: true"}
	}
	if reason := check(kind, v); reason != "" {
		return Event{}, &RefusedError{reason}
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
	batch := m.request.Batch
	add("context", overlaid(batch.Get("context"), v.Get("context")))
	add("integrations", overlaid(batch.Get("integrations"), v.Get("integrations")))
	made := m.addTimes(v, add)
	made.Value = event.NewObject(members)
	return made, nil
}

// orNew is a messageId, a new one if there is none.
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
	covered := make(map[string]bool, over.Len())
	for key, value := range over.Members() {
		covered[key] = value.Exists()
	}
	members := make([]event.Member, 0, under.Len()+over.Len())
	for key, value := range under.Members() {
		if !covered[key] {
			members = append(members, event.Member{Key: key, Value: value})
		}
	}
	for key, value := range over.Members() {
		if _, shared := covered[key]; !shared || value.Exists() || !under.Get(key).Exists() {
			members = append(members, event.Member{Key: key, Value: value})
		}
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
