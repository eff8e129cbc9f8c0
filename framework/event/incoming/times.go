package incoming

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// MaxSkew is the smallest clock difference that is corrected. A smaller difference may be the delay of the requests.
const MaxSkew = 10 * time.Second

// FormatTime prints a time as JavaScript's toISOString does, with more decimal places if needed.
func FormatTime(t time.Time) string {
	t = t.UTC()
	switch {
	case t.Nanosecond()%1e6 == 0:
		return t.Format("2006-01-02T15:04:05.000Z")
	case t.Nanosecond()%1e3 == 0:
		return t.Format("2006-01-02T15:04:05.000000Z")
	}
	return t.Format("2006-01-02T15:04:05.000000000Z")
}

// addTimes adds when the event happened, was sent and was received. The timestamp is the client's, corrected if its clock is off by
// more than MaxSkew, and limited by event.LimitFuture. If the timestamp is missing or cannot be parsed, sentAt or the time of receipt
// is used.
func (m *RequestNormalizer) addTimes(c *clientMembers, to *memberList) NormalizedEvent {
	original, sent := c.timestamp, m.sentTime(c)
	at, own, reason := m.eventTime(c, sent)
	written := original
	if reason != "" || !own.Equal(at) || !isRFC3339(original) {
		written = event.NewString(FormatTime(at))
	}
	to.add("timestamp", written)
	to.add("originalTimestamp", original)
	to.add("sentAt", sent.text)
	to.add("receivedAt", m.receivedAt)
	made := NormalizedEvent{ReplacedReason: reason}
	if reason != "" {
		made.Timestamp = written.Str()
	}
	if sent.mistake != "" {
		made.ReplacedReason = strings.TrimPrefix(reason+"; sentAt: "+sent.mistake, "; ")
	}
	return made
}

// sentTime returns when an event was sent: by its own sentAt, otherwise by that of the batch.
func (m *RequestNormalizer) sentTime(c *clientMembers) sentTime {
	own := readSent(c.sentAt)
	if !own.at.IsZero() {
		return own
	}
	sent := m.sent
	switch {
	case own.mistake != "" && !sent.at.IsZero():
		sent.mistake = own.mistake + "; that of the batch is used"
	case own.mistake != "" || sent.mistake != "":
		sent.mistake = cmp.Or(own.mistake, sent.mistake) + "; the client's clock is not corrected"
	}
	return sent
}

// eventTime decides when an event happened, and returns its own timestamp, the zero time if it has none. reason is why that was not used, or "" if it was
// used or is missing.
func (m *RequestNormalizer) eventTime(c *clientMembers, sent sentTime) (at, own time.Time, reason string) {
	received := m.request.Received
	own, reason = readTimestamp(c.timestamp)
	client := own
	if client.IsZero() {
		if sent.at.IsZero() {
			return received, own, reason
		}
		client = sent.at // it was recorded before it was sent
	}
	at = m.normalizer.senders.correctTime(m.senderKey(c), received, sent.at, client)
	maxFuture := m.normalizer.maxFuture
	at, limited := event.LimitFuture(at, received, maxFuture)
	beyondSent := !sent.at.IsZero() && client.Sub(received) > maxFuture && client.Sub(sent.at) > maxFuture
	if reason == "" && (limited || beyondSent) {
		reason = futureReason(client.Sub(received), maxFuture)
	}
	return at, own, reason
}

// readTimestamp returns the time of a timestamp, or the zero time and a reason if it has none. A missing timestamp has no reason.
func readTimestamp(v event.Value) (at time.Time, reason string) {
	if !v.Exists() {
		return at, ""
	}
	at, err := event.ReadTime(v)
	switch {
	case err != nil:
		return time.Time{}, "timestamp: " + err.Error()
	case at.IsZero(): // of Go and .NET
		return at, "timestamp: it is the zero time, which means no time"
	}
	return at, ""
}

// futureReason says that a timestamp is too far ahead of its receipt.
func futureReason(ahead, maxFuture time.Duration) string {
	return fmt.Sprintf("timestamp: it is %s after its receipt, which is more than ingest.maxFuture (%s) allows", fault.Duration(ahead), fault.WrittenDuration(maxFuture))
}

// isRFC3339 reports whether a value is a time in the strict form of RFC 3339. time.Parse also accepts a decimal comma and one-digit hours.
func isRFC3339(v event.Value) bool {
	text := v.Str()
	_, err := time.Parse(time.RFC3339, text)
	return err == nil && text[len("2026-01-02T03")] == ':' && !strings.Contains(text, ",")
}
