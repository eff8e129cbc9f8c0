package console

import (
	"bytes"
	"context"
	"fmt"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
)

// sample is an event to begin with.
type sample struct {
	Key  string // what a form calls it
	Name string
	Text string
}

// maxSamples is how many recent events are offered.
const maxSamples = 25

// samples are events to try: the latest of the sources, then made up ones.
func (c *Console) samples(ctx context.Context) []sample {
	var list []sample
	if c.Queue != nil {
		logged, _, err := c.Queue.Latest(ctx, "", maxSamples)
		if err != nil {
			c.Log.Warn("reading recent events", "error", err)
		}
		for _, l := range logged {
			list = append(list, sample{fmt.Sprintf("%d-%d", l.Seq, l.Index), ago(l.At) + ": " + nameOf(l), pretty(bytes.TrimSpace(l.Raw))})
		}
	}
	return append(list, madeUp...)
}

// nameOf says in a few words what an event is.
func nameOf(l delivery.StoredEvent) string {
	e, err := event.Parse(l.Raw)
	if err != nil {
		return "cannot be read"
	}
	v := e.Value()
	kind := v.Get("type").Str()
	if name := v.Get("event").Str(); name != "" {
		kind = name
	}
	who := v.Get("userId").Text()
	if who == "" {
		who = v.Get("anonymousId").Text()
	}
	return clip(kind + " of " + who)
}

// sampleText is the event of a sample; the first one where there is no such.
func sampleText(list []sample, key string) (string, string) {
	for _, s := range list {
		if s.Key == key {
			return s.Key, s.Text
		}
	}
	return list[0].Key, list[0].Text
}

// madeUp are events of somebody who is nobody.
var madeUp = []sample{
	{"entered", "Made up: Audience Entered", `{
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
	{"exited", "Made up: Audience Exited", `{
  "type": "track",
  "event": "Audience Exited",
  "userId": "ana-17",
  "messageId": "sample-exited",
  "timestamp": "2026-01-03T03:04:05.000Z",
  "receivedAt": "2026-01-03T03:04:06.000Z",
  "properties": {"audience_key": "vip", "vip": false},
  "context": {"personas": {"computation_class": "audience", "computation_id": "aud_vip", "computation_key": "vip"}}
}`},
	{"identify", "Made up: identify", `{
  "type": "identify",
  "userId": "ana-17",
  "messageId": "sample-identify",
  "timestamp": "2026-01-02T03:04:05.000Z",
  "receivedAt": "2026-01-02T03:04:06.000Z",
  "traits": {"email": "ana@example.com", "plan": "gold"}
}`},
	{"order", "Made up: Order Completed", `{
  "type": "track",
  "event": "Order Completed",
  "userId": "ana-17",
  "messageId": "sample-order",
  "timestamp": "2026-01-02T03:04:05.000Z",
  "receivedAt": "2026-01-02T03:04:06.000Z",
  "properties": {"order_id": "o-1042", "revenue": 25.5, "currency": "EUR", "products": [{"sku": "p1", "price": 25.5}]}
}`},
}
