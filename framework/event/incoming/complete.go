package incoming

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
)

// Complete fills in what an event from a file, a form or a pipeline lacks, as if the server had received it: type (track, if the
// event has a name), messageId, timestamp and receivedAt. Numeric ids become strings, and times in other formats become RFC 3339. A
// timestamp that is blank or cannot be parsed is replaced by received, and one that is further than maxFuture after received is limited
// by event.LimitFuture; originalTimestamp then keeps its own value. A maxFuture of 0 means DefaultMaxFuture. A missing messageId is
// derived from the content, so the same event gets the same messageId each time.
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
	if len(changes) == 0 {
		return e, ""
	}
	if !v.Get("messageId").Exists() {
		sum := sha256.Sum256([]byte(v.JSON()))
		changes["messageId"] = event.NewString("landfall-" + hex.EncodeToString(sum[:13]))
	}
	members := make([]event.Member, 0, v.Len()+len(changes))
	for key, value := range v.Members() {
		if changed, ok := changes[key]; ok {
			value = changed
			delete(changes, key)
		}
		members = append(members, event.Member{Key: key, Value: value})
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

// changedMembers returns the members that are missing or need another value, and why the timestamp does.
func changedMembers(v event.Value, received time.Time, maxFuture time.Duration) (changes map[string]event.Value, reason string) {
	changes = map[string]event.Value{}
	if !v.Get("type").Exists() && v.Get("event").Str() != "" {
		changes["type"] = event.NewString("track")
	}
	if !v.Get("messageId").Exists() {
		changes["messageId"] = event.Value{}
	}
	if !v.Get("receivedAt").Exists() {
		changes["receivedAt"] = event.NewString(FormatTime(received))
	}
	for _, key := range []string{"userId", "anonymousId"} {
		if id := v.Get(key); id.Kind() == event.Number {
			changes[key] = event.NewString(id.Text())
		}
	}
	original := v.Get("timestamp")
	at, reason := readTimestamp(original)
	if at.IsZero() {
		at = received
	}
	decides, limited := event.LimitFuture(at, received, maxFuture)
	if limited {
		reason = futureReason(at.Sub(received), maxFuture)
	}
	if limited || reason != "" || !isRFC3339(original) {
		changes["timestamp"] = event.NewString(FormatTime(decides))
	}
	if _, changed := changes["timestamp"]; changed && original.Exists() && !v.Get("originalTimestamp").Exists() {
		changes["originalTimestamp"] = original
	}
	return changes, reason
}
