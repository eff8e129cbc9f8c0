package suite

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// expectedVerdict is an event with the verdict that it gets alone.
type expectedVerdict struct {
	event event.Event
	alone runtime.Verdict
}

// checkBatches runs random batches of the cases' events, some of which are invalid, and checks that each event gets the verdict
// that it gets alone. An event that is delivered alone may be skipped in a batch.
func checkBatches(s *subject) {
	s.eachSample(func(action string, sm sample) {
		fates := s.eventVerdicts(sm)
		random := rand.New(rand.NewPCG(1, 2))
		for range 20 {
			picked := make([]expectedVerdict, 1+random.IntN(12))
			events := make([]event.Event, len(picked))
			for i := range picked {
				picked[i] = fates[random.IntN(len(fates))]
				events[i] = picked[i].event
			}
			r, err := s.newRig(sm, nil)
			if err != nil {
				s.addFinding(action, "%v", err)
				return
			}
			for i, verdicts := range r.plan.RunBatch(s.baseContext(), events) {
				if got, want := verdicts[0], picked[i].alone; !sameVerdict(got, want) {
					s.addFinding(action, "event %d of %d is %s in a batch, but %s alone: %s",
						i+1, len(events), describeVerdict(got), describeVerdict(want), fault.Shorten(events[i].Raw(), 200))
					return
				}
			}
		}
	})
}

// describeVerdict describes a verdict, such as "refused (UNPROCESSABLE_ENTITY: Email is required)".
func describeVerdict(v runtime.Verdict) string {
	text := fmt.Sprint(v.Outcome)
	switch why := strings.TrimPrefix(string(v.Code)+": "+v.Reason, ": "); {
	case v.Reason != "":
		return text + " (" + why + ")"
	case v.Code != "":
		return text + " (" + string(v.Code) + ")"
	}
	return text
}

func sameVerdict(got, alone runtime.Verdict) bool {
	if alone.Outcome == runtime.Refused {
		return got.Outcome == runtime.Refused && got.Code == alone.Code
	}
	return got.Outcome == runtime.Delivered || got.Outcome == runtime.Skipped
}

// eventVerdicts returns an empty event and the events of all cases that configure the instance like a sample, with the verdict
// that each gets alone.
func (s *subject) eventVerdicts(sm sample) []expectedVerdict {
	empty, err := event.Parse([]byte(`{}`))
	if err != nil {
		return nil
	}
	events := []event.Event{sm.event, empty}
	for _, c := range s.cases {
		in, err := c.Instance(s.definition)
		if err != nil || c.Body().Get("responses").Exists() || s.withCanaries(in).Settings.JSON() != sm.instance.Settings.JSON() {
			continue
		}
		if len(in.Subscriptions) == 1 && in.Subscriptions[0].Mapping.JSON() == sm.instance.Subscriptions[0].Mapping.JSON() && in.Subscriptions[0].Action == sm.action {
			more, err := c.Events()
			if err == nil {
				events = append(events, more...)
			}
		}
	}
	var fates []expectedVerdict
	for _, e := range events {
		if r, err := s.newRig(sm, nil); err == nil && !s.isDeletion(e) {
			fates = append(fates, expectedVerdict{e, r.plan.Run(s.baseContext(), e)[0]})
		}
	}
	return fates
}

// checkConcurrentPlans runs several plans of one plugin concurrently against one remote. With the race detector this finds
// shared state.
func checkConcurrentPlans(s *subject) {
	s.eachSample(func(action string, sm sample) {
		remote := sandbox.Transport(s.plugin.Sandbox.New(nil))
		const plans = 4
		verdicts := make([][]runtime.Verdict, plans)
		var group sync.WaitGroup
		for i := range plans {
			r, err := s.newRig(sm, remote)
			if err != nil {
				s.addFinding(action, "%v", err)
				return
			}
			group.Go(func() {
				for range 5 {
					verdicts[i] = append(verdicts[i], r.deliverDecided(s.baseContext(), sm)...)
				}
			})
		}
		group.Wait()
		for i, list := range verdicts {
			for _, v := range list {
				if v.Outcome != runtime.Delivered && v.Outcome != runtime.Skipped {
					s.addFinding(action, "plan %d: %s", i+1, fmt.Sprint(v.Outcome, ": ", v.Reason))
					return
				}
			}
		}
	})
}
