package incoming

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
)

// Complete fills in what an event from a file, a form or a pipeline lacks, as if the server had received it: type (track, if the event has
// a name), messageId, timestamp, originalTimestamp and receivedAt. Ids that are numbers become strings, those that are false or white space
// become empty, empty arrays in place of objects become objects, times in other formats become RFC 3339, and the write key is dropped. A
// timestamp that is blank or cannot be parsed is replaced by sentAt, otherwise by the event's own receivedAt, otherwise by received; one
// that is further than maxFuture after received is limited by event.LimitFuture. A maxFuture of 0 means DefaultMaxFuture. A missing
// messageId is derived from the content, so the same event gets the same messageId each time.
//
// Unlike the server, it does not correct the client's clock by sentAt: how long the event has been in transit is not known.
func Complete(e event.Event, received time.Time, maxFuture time.Duration) event.Event {
	completed, _ := CompleteWithReason(e, received, maxFuture)
	return completed
}

// CompleteWithReason is Complete, and also returns why the event's own timestamp was replaced, or "" if it was not.
func CompleteWithReason(e event.Event, received time.Time, maxFuture time.Duration) (completed event.Event, reason string) {
	if maxFuture <= 0 {
		maxFuture = DefaultMaxFuture
	}
	v := e.Value()
	changes, reason := changedMembers(v, received.UTC().Truncate(time.Millisecond), maxFuture)
	secret := v.Get(writeKey).Kind() != event.Absent
	if len(changes) == 0 && !secret {
		return e, reason
	}
	members := make([]event.Member, 0, v.Len()+len(changes))
	for key, value := range v.Members() {
		if changed, ok := changes[key]; ok {
			value = changed
			delete(changes, key)
		}
		if key != writeKey {
			members = append(members, event.Member{Key: key, Value: value})
		}
	}
	for _, key := range []string{"type", "messageId", "timestamp", "originalTimestamp", "receivedAt"} {
		if value, ok := changes[key]; ok {
			members = append(members, event.Member{Key: key, Value: value})
		}
	}
	completed, err := event.Parse(event.NewObject(members).AppendJSON(nil))
	if err != nil { // the completed event is too large
		return e, ""
	}
	return completed, reason
}

// writeKey is the member with which clients name their source. It is a secret.
const writeKey = "writeKey"

// changedMembers returns the members that are missing or need another value, and why the timestamp does.
func changedMembers(v event.Value, received time.Time, maxFuture time.Duration) (changes map[string]event.Value, reason string) {
	changes = map[string]event.Value{}
	if !v.Get("type").Exists() && v.Get("event").Str() != "" {
		changes["type"] = event.NewString("track")
	}
	if id := v.Get("messageId"); !id.IsString() || id.Str() == "" {
		changes["messageId"] = orNewID(id, func() string { return hashOf(v) })
	}
	receipt, readable := changeReceipt(changes, v.Get("receivedAt"), received)
	for _, key := range []string{"userId", "anonymousId"} {
		if id := v.Get(key); id.Kind() == event.Number || id.Kind() == event.False || id.Str() != "" && idText(id).Str() == "" {
			changes[key] = idText(id)
		}
	}
	for _, key := range objectMembers() {
		if value := v.Get(key); value.Kind() == event.Array && value.Len() == 0 {
			changes[key] = orEmptyObject(key, value)
		}
	}
	original := v.Get("timestamp")
	at, reason := readTimestamp(original)
	isOwn := !at.IsZero()
	if !isOwn {
		if at = readSent(v.Get("sentAt")).at; at.IsZero() || readable && receipt.Sub(at).Abs() > MaxSkew {
			at = receipt
		}
	}
	decides, limited := event.LimitFuture(at, received, maxFuture)
	if limited && isOwn {
		reason = futureReason(at.Sub(received), maxFuture)
	}
	if limited || reason != "" || !isRFC3339(original) {
		changes["timestamp"] = event.NewString(FormatTime(decides))
	}
	_, changed := changes["timestamp"]
	if arrives := !v.Get("receivedAt").Exists(); (changed || arrives) && original.Exists() && !v.Get("originalTimestamp").Exists() {
		changes["originalTimestamp"] = original
	}
	return changes, reason
}

// changeReceipt returns when an event was received: at its own receivedAt if that can be read, otherwise at received. It changes a
// receivedAt that is not in the form of RFC 3339.
func changeReceipt(changes map[string]event.Value, own event.Value, received time.Time) (at time.Time, readable bool) {
	at, err := event.ReadTime(own)
	if readable = own.Exists() && err == nil && !at.IsZero(); !readable {
		at = received
	}
	if !readable || !isRFC3339(own) {
		changes["receivedAt"] = event.NewString(FormatTime(at))
	}
	return at, readable
}

// hashOf returns a text that is derived from the content alone.
func hashOf(v event.Value) string {
	sum := sha256.Sum256([]byte(v.JSON()))
	return hex.EncodeToString(sum[:13])
}
