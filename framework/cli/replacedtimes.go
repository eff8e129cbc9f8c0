package cli

import (
	"fmt"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/incoming"
	"github.com/landfall-dev/landfall/framework/fault"
)

// replacedTimes completes events as the server does, and counts those whose own timestamp could not be used.
type replacedTimes struct {
	received  time.Time
	maxFuture time.Duration
	count     int
	first     string // the messageId and the reason of the first one
}

// complete is incoming.Complete.
func (r *replacedTimes) complete(e event.Event) event.Event {
	e, reason := incoming.CompleteWithReason(e, r.received, r.maxFuture)
	if reason == "" {
		return e
	}
	if r.count++; r.count == 1 {
		r.first = e.Value().Get("messageId").Text() + ": " + reason
	}
	return e
}

// warning says what was replaced, or is "".
func (r *replacedTimes) warning() string {
	switch r.count {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("the timestamp of an event was replaced, as the server does, and is kept as originalTimestamp (%s)", r.first)
	}
	return fmt.Sprintf("the timestamps of %s were replaced, as the server does, and are kept as originalTimestamp (the first: %s)", fault.Count(r.count, "event"), r.first)
}
