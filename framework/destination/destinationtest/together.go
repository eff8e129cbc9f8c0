package destinationtest

import (
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// fate is an event and what becomes of it alone.
type fate struct {
	event event.Event
	alone runtime.Verdict
}

// batches: of random batches of the cases' events, some of which a schema refuses, each event has the result that it has alone,
// at its own place. One that goes well may be skipped beside others.
func batches(s *subject) {
	s.each(func(action string, sm sample) {
		fates := s.fates(sm)
		random := rand.New(rand.NewPCG(1, 2))
		for range 20 {
			picked := make([]fate, 1+random.IntN(12))
			events := make([]event.Event, len(picked))
			for i := range picked {
				picked[i] = fates[random.IntN(len(fates))]
				events[i] = picked[i].event
			}
			r, err := s.rig(sm, nil)
			if err != nil {
				s.find(action, "%v", err)
				return
			}
			for i, verdicts := range r.plan.RunBatch(s.context(), events) {
				if got, want := verdicts[0], picked[i].alone; !sameFate(got, want) {
					s.find(action, "event %d of %d is %s %s (%s), but alone it is %s %s (%s): %s",
						i+1, len(events), got.Outcome, got.Code, got.Reason, want.Outcome, want.Code, want.Reason, around(events[i].Raw(), ""))
					return
				}
			}
		}
	})
}

func sameFate(got, alone runtime.Verdict) bool {
	if alone.Outcome == runtime.Refused {
		return got.Outcome == runtime.Refused && got.Code == alone.Code
	}
	return got.Outcome == runtime.Delivered || got.Outcome == runtime.Skipped
}

// fates are the events of all cases that configure the instance like a sample, each on its own, and an event that is empty.
func (s *subject) fates(sm sample) []fate {
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
	var fates []fate
	for _, e := range events {
		if r, err := s.rig(sm, nil); err == nil && !s.isDeletion(e) {
			fates = append(fates, fate{e, r.plan.Run(s.context(), e)[0]})
		}
	}
	return fates
}

// besideEachOther: plans of one plugin run at once against one remote without knowing of each other. Under the race detector this
// finds what they share.
func besideEachOther(s *subject) {
	s.each(func(action string, sm sample) {
		remote := sandbox.Transport(s.plugin.Sandbox.New(nil))
		const plans = 4
		verdicts := make([][]runtime.Verdict, plans)
		var group sync.WaitGroup
		for i := range plans {
			r, err := s.rig(sm, remote)
			if err != nil {
				s.find(action, "%v", err)
				return
			}
			group.Go(func() {
				for range 5 {
					verdicts[i] = append(verdicts[i], r.deliver(s.context(), sm.event, sm.payload)...)
				}
			})
		}
		group.Wait()
		for i, list := range verdicts {
			for _, v := range list {
				if v.Outcome != runtime.Delivered && v.Outcome != runtime.Skipped {
					s.find(action, "plan %d: %s", i+1, fmt.Sprint(v.Outcome, ": ", v.Reason))
					return
				}
			}
		}
	})
}
