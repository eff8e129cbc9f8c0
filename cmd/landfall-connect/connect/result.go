package connect

import (
	"errors"
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// result is what has become of a message.
type result struct {
	verdicts []runtime.Verdict // one for each subscription that chose it
	waits    string            // why it was not tried
	decided  bool              // it is done
}

// worst is the first verdict with an outcome.
func (r result) worst(outcome runtime.Outcome) (runtime.Verdict, bool) {
	for _, v := range r.verdicts {
		if v.Outcome == outcome {
			return v, true
		}
	}
	return runtime.Verdict{}, false
}

// verdict is the one that stands for all: the worst.
func (r result) verdict() runtime.Verdict {
	if !r.decided && r.waits != "" {
		return runtime.Verdict{Outcome: runtime.Retry, Status: 503, Reason: r.waits}
	}
	for _, outcome := range []runtime.Outcome{runtime.Retry, runtime.Refused, runtime.Delivered, runtime.Skipped} {
		if v, ok := r.worst(outcome); ok {
			return v
		}
	}
	return runtime.Verdict{Outcome: runtime.Retry, Status: 503, Reason: "not tried"}
}

// err is what stands against a result, nil where it is done.
func (r result) err() error {
	v := r.verdict()
	switch {
	case v.Outcome != runtime.Retry && v.Outcome != runtime.Refused:
		return nil
	case v.Instance == "":
		return errors.New(v.Reason)
	}
	return fmt.Errorf("%s %s: %s (%s, status %d)", v.Instance, v.Subscription, v.Reason, v.Outcome, v.Status)
}

// describe writes a result into a message's metadata.
func (r result) describe(m *service.Message) {
	v := r.verdict()
	m.MetaSetMut("landfall_outcome", string(v.Outcome))
	m.MetaSetMut("landfall_status", v.Status)
	m.MetaSetMut("landfall_reason", v.Reason)
	var list []event.Value
	for _, v := range r.verdicts {
		text := event.NewString
		list = append(list, event.NewObject([]event.Member{
			{Key: "instance", Value: text(v.Instance)}, {Key: "subscription", Value: text(v.Subscription)},
			{Key: "outcome", Value: text(string(v.Outcome))}, {Key: "status", Value: event.NewInt(int64(v.Status))},
			{Key: "code", Value: text(v.Code)}, {Key: "reason", Value: text(v.Reason)},
		}))
	}
	m.MetaSetMut("landfall_verdicts", event.NewArray(list).JSON())
}
