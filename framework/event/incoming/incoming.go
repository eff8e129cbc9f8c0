// Package incoming normalizes events when they enter Landfall: it checks them, fills in ids and defaults, and decides when they
// happened. The HTTP server, file readers, the console and pipelines all use it, so the result does not depend on how an event
// arrives.
//
// [Complete] is enough for events that a program makes or reads from files. A program that receives them from clients has a
// [Normalizer], whose requests also check the clocks of clients and refuse what is not an event with a [RefusedError].
//
// It does no I/O and reads no clock. A Normalizer is safe for concurrent use.
package incoming

import (
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// DefaultMaxFuture is the default limit of how far a timestamp may be ahead of the time of receipt.
const DefaultMaxFuture = time.Minute

// Normalizer normalizes the events that clients send. It remembers the clock differences of recent senders, in bounded memory.
type Normalizer struct {
	maxFuture time.Duration
	senders   *senders
	notObject [event.Object]*RefusedError // preallocated errors by kind, because a request may hold many values that are not events

	suppressed *RefusedError // preallocated likewise
}

// New returns a Normalizer. A timestamp that is further than maxFuture ahead of its receipt is limited by event.LimitFuture. A
// maxFuture of 0 means DefaultMaxFuture.
func New(maxFuture time.Duration) *Normalizer {
	if maxFuture <= 0 {
		maxFuture = DefaultMaxFuture
	}
	n := &Normalizer{maxFuture: maxFuture, senders: newSenders(), suppressed: &RefusedError{fault.CauseSuppressed.Text(), fault.CauseSuppressed}}
	for kind := range n.notObject {
		n.notObject[kind] = refuseInvalid("an event should be an object but is " + event.Kind(kind).WithArticle())
	}
	return n
}

// Request describes the HTTP request, or another batch, in which events arrived.
type Request struct {
	Source       string
	Address      string      // the client's address, which distinguishes senders whose events have only a userId
	Kind         string      // the type of the events, or "" if each event has its own
	AllowDeletes bool        // accept events of type delete
	Batch        event.Value // the object that contains the events; absent for a single event
	Received     time.Time
	// Suppressed reports whether the user of a normalized event is suppressed. Its events are refused, except for deletions. nil if no
	// user is.
	Suppressed func(event.Value) bool
}

// RequestNormalizer normalizes the events of one request. It is not safe for concurrent use.
type RequestNormalizer struct {
	normalizer *Normalizer
	request    Request
	receivedAt event.Value // Request.Received as it is printed
	sent       sentTime    // of the batch
	written    memberList  // of the event that is being normalized; used again for the next one
	others     memberList  // likewise, those that it keeps as they are
}

// sentTime is when a client sent something, by its own clock.
type sentTime struct {
	at      time.Time
	text    event.Value
	mistake string // why the text cannot be parsed
}

// ForRequest returns a RequestNormalizer for the events of r.
func (n *Normalizer) ForRequest(r Request) *RequestNormalizer {
	r.Received = r.Received.UTC().Truncate(time.Millisecond) // the precision that is printed
	return &RequestNormalizer{normalizer: n, request: r, receivedAt: event.NewString(FormatTime(r.Received)), sent: readSent(r.Batch.Get("sentAt"))}
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

// NormalizedEvent is an event as Normalize returns it.
type NormalizedEvent struct {
	Value          event.Value
	Timestamp      string // the time that replaced the client's timestamp, or "" if the client's is used
	ReplacedReason string // why the timestamp was replaced or the client's clock was not corrected
}

// RefusedError reports why an event is refused, in terms the sender understands.
type RefusedError struct {
	Reason string
	Cause  fault.Cause // CauseInvalidEvent, or CauseSuppressed for the event of a suppressed user
}

func (e *RefusedError) Error() string { return e.Reason }

func refuseInvalid(reason string) *RefusedError {
	return &RefusedError{reason, fault.CauseInvalidEvent}
}

// clientMembers are the members of an event that Normalize reads, as the client sent them.
type clientMembers struct {
	kind, messageID, userID, anonymousID, groupID, previousID, name event.Value
	timestamp, sentAt, context, integrations, properties, traits    event.Value
}

// membersOf returns the clientMembers of an event, and adds the members that Normalize keeps as they are to others.
func membersOf(v event.Value, others *memberList) (c clientMembers) {
	for key, value := range v.Members() {
		value = orEmptyObject(key, value)
		switch key {
		case "type":
			c.kind = value
		case "messageId":
			c.messageID = value
		case "userId":
			c.userID = value
		case "anonymousId":
			c.anonymousID = value
		case "timestamp":
			c.timestamp = value
		case "sentAt":
			c.sentAt = value
		case "context":
			c.context = value
		case "integrations":
			c.integrations = value
		case "originalTimestamp", "receivedAt", writeKey: // Normalize writes its own times; the write key is a secret
		default:
			c.noteOther(key, value)
			others.add(key, value)
		}
	}
	return c
}

// noteOther notes a member that Normalize reads and keeps.
func (c *clientMembers) noteOther(key string, value event.Value) {
	switch key {
	case "groupId":
		c.groupID = value
	case "previousId":
		c.previousID = value
	case "event":
		c.name = value
	case "properties":
		c.properties = value
	case "traits":
		c.traits = value
	}
}

// Normalize checks an event and fills in what it lacks. The error is a *RefusedError.
func (m *RequestNormalizer) Normalize(v event.Value) (NormalizedEvent, error) {
	if v.Kind() != event.Object {
		return NormalizedEvent{}, m.normalizer.notObject[v.Kind()]
	}
	m.others.reset()
	c := membersOf(v, &m.others)
	kind := m.request.Kind
	if kind == "" {
		kind = c.kind.Str()
	}
	if kind == "delete" && !m.request.AllowDeletes {
		return NormalizedEvent{}, refuseInvalid("the source does not accept deletions: set deletes: true in its config")
	}
	if reason := c.check(kind); reason != "" {
		return NormalizedEvent{}, refuseInvalid(reason)
	}
	list, batch := &m.written, m.request.Batch
	list.reset()
	list.add("type", event.NewString(kind))
	list.add("messageId", orNewID(c.messageID, rand.Text))
	list.add("userId", idText(c.userID))
	list.add("anonymousId", idText(c.anonymousID))
	list.addAll(&m.others)
	list.add("context", mergeObjects(batch.Get("context"), c.context))
	list.add("integrations", mergeObjects(batch.Get("integrations"), c.integrations))
	made := m.addTimes(&c, list)
	made.Value = list.object()
	if suppressed := m.request.Suppressed; suppressed != nil && kind != "delete" && suppressed(made.Value) {
		return NormalizedEvent{}, m.normalizer.suppressed
	}
	return made, nil
}

// memberList collects members of objects one after the other, most of which have the same keys.
type memberList struct {
	keys   []string
	values []event.Value
	shape  *event.Shape // of the last object
}

func (l *memberList) reset() { l.keys, l.values = l.keys[:0], l.values[:0] }

// add adds a member, if its value is not absent.
func (l *memberList) add(key string, v event.Value) {
	if v.Kind() != event.Absent {
		l.keys, l.values = append(l.keys, key), append(l.values, v)
	}
}

func (l *memberList) addAll(others *memberList) {
	l.keys, l.values = append(l.keys, others.keys...), append(l.values, others.values...)
}

// object returns an object of the members.
func (l *memberList) object() event.Value {
	if l.shape == nil || !slices.Equal(l.shape.Keys(), l.keys) {
		l.shape = event.NewShape(slices.Clone(l.keys))
	}
	v, _ := event.BuildObject(l.shape, true, func(i int) (event.Value, error) { return l.values[i], nil }) // without an error, there is none
	return v
}

// orNewID returns a messageId as a string, or one with a unique text if it is missing.
func orNewID(v event.Value, unique func() string) event.Value {
	if id := v.Text(); id != "" {
		return event.NewString(id)
	}
	return event.NewString("landfall-" + unique())
}

// idText returns a numeric id as a string, as Segment stores it, and an id of white space or false as an empty one, because it names no user.
func idText(v event.Value) event.Value {
	switch {
	case v.Kind() == event.Number:
		return event.NewString(v.Text())
	case v.Kind() == event.False, v.IsString() && v.Str() != "" && strings.TrimSpace(v.Str()) == "":
		return event.NewString("")
	}
	return v
}

// objectMembers returns the members of an event that are objects.
func objectMembers() [4]string { return [...]string{"properties", "traits", "context", "integrations"} }

// orEmptyObject returns an empty object for an empty array in a member that is an object, as PHP writes objects without members. It
// returns other values as they are.
func orEmptyObject(key string, v event.Value) event.Value {
	if v.Kind() != event.Array || v.Len() > 0 {
		return v
	}
	if members := objectMembers(); slices.Contains(members[:], key) {
		return event.NewObject(nil)
	}
	return v
}

// mergeObjects returns the members of under, overridden by those of over that are not null. It takes time proportional to their sum.
func mergeObjects(under, over event.Value) event.Value {
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
		if exists, shared := covered[key]; !shared || !exists && value.Exists() {
			members = append(members, event.Member{Key: key, Value: value})
		}
	}
	for key, value := range over.Members() {
		if value.Exists() || !under.Get(key).Exists() {
			members = append(members, event.Member{Key: key, Value: value})
		}
	}
	return event.NewObject(members)
}
