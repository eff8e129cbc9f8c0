package stream

import (
	"cmp"
	"slices"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// Summary counts the verdicts of events: one for each subscription that an event matches, and one for an event without a match. The zero
// Summary is empty. It is not safe for concurrent use.
type Summary struct {
	Events    int
	Matched   int // events that match at least one subscription
	Delivered int
	Skipped   int
	Refused   int
	Failed    int // failed after all retries; a later attempt may succeed

	Unreadable int // refused lines that are not valid events
	reasons    map[reasonKey]*Reason
}

// Reason is a reason for which events were not delivered, with their number.
type Reason struct {
	Outcome runtime.Outcome
	Cause   fault.Cause
	Reason  string
	Count   int
	Line    int // line of the first event with this reason
}

type reasonKey struct {
	outcome runtime.Outcome
	cause   fault.Cause
	reason  string
}

// maxReasons is the number of reasons that are counted separately. Further reasons are counted together.
const maxReasons = 200

// Add counts one event.
func (s *Summary) Add(e Event) {
	s.Events++
	if e.Matched {
		s.Matched++
	}
	for _, v := range e.Verdicts {
		switch v.Outcome {
		case runtime.Delivered:
			s.Delivered++
			continue
		case runtime.Skipped:
			s.Skipped++
		case runtime.Refused:
			s.Refused++
			if v.Cause == fault.CauseInvalidEvent {
				s.Unreadable++
			}
		default:
			s.Failed++
		}
		s.countReason(v, e.Line)
	}
}

// countReason counts a verdict that is not Delivered.
func (s *Summary) countReason(v runtime.Verdict, line int) {
	if s.reasons == nil {
		s.reasons = map[reasonKey]*Reason{}
	}
	key := reasonKey{v.Outcome, v.Cause, v.Reason}
	if s.reasons[key] == nil && len(s.reasons) >= maxReasons {
		key.cause, key.reason = "", "other reasons"
	}
	if s.reasons[key] == nil {
		s.reasons[key] = &Reason{Outcome: v.Outcome, Cause: key.cause, Reason: key.reason, Line: line}
	}
	s.reasons[key].Count++
}

// Reasons returns why events were not delivered: skipped, refused, then failed ones, and the most frequent first within each.
func (s *Summary) Reasons() []Reason {
	var list []Reason
	for _, r := range s.reasons {
		list = append(list, *r)
	}
	order := map[runtime.Outcome]int{runtime.Skipped: 1, runtime.Refused: 2, runtime.Retry: 3}
	slices.SortFunc(list, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(order[a.Outcome], order[b.Outcome]), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Reason, b.Reason))
	})
	return list
}
