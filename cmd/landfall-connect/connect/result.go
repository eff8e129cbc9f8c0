package connect

import (
	"errors"
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// result is the result of delivering a message.
type result struct {
	verdicts   []runtime.Verdict // one for each matching subscription
	waitReason string            // why the message was not tried
	decided    bool              // the message is done: it needs no further try

	replacedReason string // why the event's timestamp was replaced, or ""
}

// firstWith returns the first verdict with an outcome.
func (r result) firstWith(outcome runtime.Outcome) (runtime.Verdict, bool) {
	for _, v := range r.verdicts {
		if v.Outcome == outcome {
			return v, true
		}
	}
	return runtime.Verdict{}, false
}

// overallVerdict returns the worst of the verdicts.
func (r result) overallVerdict() runtime.Verdict {
	if !r.decided && r.waitReason != "" {
		return runtime.Verdict{Outcome: runtime.Retry, Status: 503, Reason: r.waitReason}
	}
	for _, outcome := range []runtime.Outcome{runtime.Retry, runtime.Refused, runtime.Delivered, runtime.Skipped} {
		if v, ok := r.firstWith(outcome); ok {
			return v
		}
	}
	return runtime.Verdict{Outcome: runtime.Retry, Status: 503, Reason: "not tried"}
}

// asError returns the error of a message that was refused or is to be tried again, otherwise nil.
func (r result) asError() error {
	v := r.overallVerdict()
	switch {
	case v.Outcome != runtime.Retry && v.Outcome != runtime.Refused:
		return nil
	case v.Instance == "":
		return errors.New(v.Reason)
	}
	return fmt.Errorf("%s %s: %s (%s, status %d)", v.Instance, v.Subscription, v.Reason, v.Outcome, v.Status)
}

// setMetadata writes the result into a message's metadata.
func (r result) setMetadata(m *service.Message) {
	v := r.overallVerdict()
	m.MetaSetMut("landfall_outcome", string(v.Outcome))
	m.MetaSetMut("landfall_status", v.Status)
	m.MetaSetMut("landfall_cause", string(v.Cause))
	m.MetaSetMut("landfall_reason", v.Reason)
	setReplacedTime(m, r.replacedReason)
	var list []event.Value
	for _, v := range r.verdicts {
		text := event.NewString
		list = append(list, event.NewObject([]event.Member{
			{Key: "instance", Value: text(v.Instance)}, {Key: "subscription", Value: text(v.Subscription)},
			{Key: "outcome", Value: text(string(v.Outcome))}, {Key: "status", Value: event.NewInt(int64(v.Status))},
			{Key: "code", Value: text(v.Code)}, {Key: "cause", Value: text(string(v.Cause))}, {Key: "reason", Value: text(v.Reason)},
		}))
	}
	m.MetaSetMut("landfall_verdicts", event.NewArray(list).JSON())
}
