package connect

import (
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/landfall-dev/landfall/framework/fault"
)

// replacedTimes counts the events of a batch whose own timestamp could not be used.
type replacedTimes struct {
	count int
	first string // the messageId and the reason of the first one
}

func (r *replacedTimes) add(m *message) {
	if m.replacedReason == "" {
		return
	}
	if r.count++; r.count == 1 {
		r.first = m.id + ": " + m.replacedReason
	}
}

// warn logs what was replaced.
func (r *replacedTimes) warn(log *service.Logger) {
	if r.count > 0 {
		log.With("first", r.first).Warnf("%s of %s replaced, as the server does", fault.Plural(r.count, "the timestamp", "the timestamps"), fault.Count(r.count, "event"))
	}
}

// setReplacedTime writes into a message's metadata why the timestamp of its event was replaced.
func setReplacedTime(m *service.Message, reason string) {
	if reason != "" {
		m.MetaSetMut("landfall_replaced_time", reason)
	}
}
