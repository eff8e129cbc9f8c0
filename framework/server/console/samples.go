package console

import (
	"bytes"
	"context"
	"fmt"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
)

// sample is an event that the user can start with.
type sample struct {
	Key  string // its value in forms
	Name string
	Text string
}

// maxSamples limits the recent events in the list of samples.
const maxSamples = 25

// sampleEvents returns the latest events from the log, followed by built-in examples.
func (c *Console) sampleEvents(ctx context.Context) []sample {
	var list []sample
	if c.Queue != nil {
		logged, _, err := c.Queue.Latest(ctx, "", maxSamples)
		if err != nil {
			c.Log.Warn("cannot read recent events", "error", err)
		}
		for _, l := range logged {
			list = append(list, sample{fmt.Sprintf("%d-%d", l.Seq, l.Index), formatAgo(l.At) + ": " + eventTitle(l), indentJSON(bytes.TrimSpace(l.Raw))})
		}
	}
	return append(list, builtinSamples...)
}

// eventTitle returns a short title, such as "Order Completed of ana-17".
func eventTitle(l delivery.StoredEvent) string {
	e, err := event.Parse(l.Raw)
	if err != nil {
		return "unreadable event"
	}
	v := e.Value()
	kind := v.Get("type").Str()
	if name := v.Get("event").Str(); name != "" {
		kind = name
	}
	user := v.Get("userId").Text()
	if user == "" {
		user = v.Get("anonymousId").Text()
	}
	return truncateText(kind + " of " + user)
}

// chooseSample returns the key and text of the sample with the key, or of the first sample if no sample has it.
func chooseSample(list []sample, key string) (string, string) {
	for _, s := range list {
		if s.Key == key {
			return s.Key, s.Text
		}
	}
	return list[0].Key, list[0].Text
}

// builtinSamples are example events of a made-up user.
var builtinSamples = []sample{
	{"entered", "Example: Audience Entered", `{
  "type": "track",
  "event": "Audience Entered",
  "userId": "ana-17",
  "messageId": "sample-entered",
  "timestamp": "2026-01-02T03:04:05.000Z",
  "receivedAt": "2026-01-02T03:04:06.000Z",
  "properties": {"audience_key": "vip", "vip": true},
  "context": {
    "personas": {"computation_class": "audience", "computation_id": "aud_vip", "computation_key": "vip"},
    "traits": {"email": "ana@example.com"}
  }
}`},
	{"exited", "Example: Audience Exited", `{
  "type": "track",
  "event": "Audience Exited",
  "userId": "ana-17",
  "messageId": "sample-exited",
  "timestamp": "2026-01-03T03:04:05.000Z",
  "receivedAt": "2026-01-03T03:04:06.000Z",
  "properties": {"audience_key": "vip", "vip": false},
  "context": {"personas": {"computation_class": "audience", "computation_id": "aud_vip", "computation_key": "vip"}}
}`},
	{"identify", "Example: identify", `{
  "type": "identify",
  "userId": "ana-17",
  "messageId": "sample-identify",
  "timestamp": "2026-01-02T03:04:05.000Z",
  "receivedAt": "2026-01-02T03:04:06.000Z",
  "traits": {"email": "ana@example.com", "plan": "gold"}
}`},
	{"order", "Example: Order Completed", `{
  "type": "track",
  "event": "Order Completed",
  "userId": "ana-17",
  "messageId": "sample-order",
  "timestamp": "2026-01-02T03:04:05.000Z",
  "receivedAt": "2026-01-02T03:04:06.000Z",
  "properties": {"order_id": "o-1042", "revenue": 25.5, "currency": "EUR", "products": [{"sku": "p1", "price": 25.5}]}
}`},
}
