package stream

import (
	"cmp"
	"slices"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// Summary counts what became of events. An event counts once for each subscription that it matches, and once where it
// matches none. The zero Summary is empty.
type Summary struct {
	Events    int
	Matched   int // events that match a subscription
	Delivered int
	Skipped   int
	Refused   int
	Failed    int // tried to the end, though trying later may help

	Unreadable int // of the refused ones, those that are no events
	reasons    map[reasonKey]*Reason
}

// Reason is why some events were not delivered.
type Reason struct {
	Outcome runtime.Outcome
	Reason  string
	Count   int
	Line    int // of the first one
}

type reasonKey struct {
	outcome runtime.Outcome
	reason  string
}

// maxReasons bounds the reasons that are counted apart; reasons beyond it are counted under one name.
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
			if v.Code == fault.CodeInvalidEvent {
				s.Unreadable++
			}
		default:
			s.Failed++
		}
		s.count(v, e.Line)
	}
}

func (s *Summary) count(v runtime.Verdict, line int) {
	if s.reasons == nil {
		s.reasons = map[reasonKey]*Reason{}
	}
	key := reasonKey{v.Outcome, v.Reason}
	if s.reasons[key] == nil && len(s.reasons) >= maxReasons {
		key.reason = "other reasons"
	}
	if s.reasons[key] == nil {
		s.reasons[key] = &Reason{Outcome: v.Outcome, Reason: key.reason, Line: line}
	}
	s.reasons[key].Count++
}

// Reasons are why events were not delivered, the skipped ones first, the most frequent first among equals.
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
