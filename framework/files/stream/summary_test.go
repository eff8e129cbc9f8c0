package stream_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/stream"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// TestSummaryCountsEveryVerdict checks the counts of events with several verdicts, and the order of the reasons.
func TestSummaryCountsEveryVerdict(t *testing.T) {
	var s stream.Summary
	assert.Empty(t, s.Reasons())
	verdict := func(outcome runtime.Outcome, cause fault.Cause, reason string) runtime.Verdict {
		return runtime.Verdict{Outcome: outcome, Cause: cause, Reason: reason}
	}
	s.Add(stream.Event{Line: 1, Matched: true, Verdicts: []runtime.Verdict{verdict(runtime.Delivered, "", ""), verdict(runtime.Refused, fault.CauseRefused, "bad")}})
	s.Add(stream.Event{Line: 2, Verdicts: []runtime.Verdict{verdict(runtime.Refused, fault.CauseInvalidEvent, "no JSON")}})
	s.Add(stream.Event{Line: 3, Verdicts: []runtime.Verdict{verdict(runtime.Skipped, fault.CauseNotSubscribed, "no match")}})
	s.Add(stream.Event{Line: 4, Matched: true, Verdicts: []runtime.Verdict{verdict(runtime.Retry, fault.CauseRateLimited, "later"), verdict(runtime.Retry, fault.CauseRateLimited, "later")}})
	s.Add(stream.Event{Line: 5, Matched: true, Verdicts: []runtime.Verdict{verdict(runtime.Refused, fault.CauseRefused, "worse")}})
	s.Add(stream.Event{Line: 6, Matched: true, Verdicts: []runtime.Verdict{verdict(runtime.Refused, fault.CauseRefused, "worse")}})
	s.Add(stream.Event{Line: 7, Matched: true, Verdicts: []runtime.Verdict{verdict(runtime.Refused, fault.CauseSuperseded, "worse")}})
	assert.Equal(t, []int{7, 5, 1, 1, 5, 2, 1}, []int{s.Events, s.Matched, s.Delivered, s.Skipped, s.Refused, s.Failed, s.Unreadable})
	assert.Equal(t, []stream.Reason{
		{Outcome: runtime.Skipped, Cause: fault.CauseNotSubscribed, Reason: "no match", Count: 1, Line: 3},
		{Outcome: runtime.Refused, Cause: fault.CauseRefused, Reason: "worse", Count: 2, Line: 5},
		{Outcome: runtime.Refused, Cause: fault.CauseRefused, Reason: "bad", Count: 1, Line: 1},
		{Outcome: runtime.Refused, Cause: fault.CauseInvalidEvent, Reason: "no JSON", Count: 1, Line: 2},
		{Outcome: runtime.Refused, Cause: fault.CauseSuperseded, Reason: "worse", Count: 1, Line: 7},
		{Outcome: runtime.Retry, Cause: fault.CauseRateLimited, Reason: "later", Count: 2, Line: 4},
	}, s.Reasons())
}

// TestSummaryLimitsReasons checks that further reasons are counted together, those of each outcome apart.
func TestSummaryLimitsReasons(t *testing.T) {
	var s stream.Summary
	for i := range 250 {
		for range 2 {
			s.Add(stream.Event{Line: i, Verdicts: []runtime.Verdict{{Outcome: runtime.Refused, Cause: fault.CauseRefused, Reason: fmt.Sprint(i)}}})
		}
	}
	s.Add(stream.Event{Line: 999, Verdicts: []runtime.Verdict{{Outcome: runtime.Skipped, Cause: fault.CauseRefused, Reason: "skipped"}}})
	reasons := s.Reasons()
	assert.Len(t, reasons, 202)
	assert.Equal(t, stream.Reason{Outcome: runtime.Skipped, Reason: "other reasons", Count: 1, Line: 999}, reasons[0])
	assert.Equal(t, stream.Reason{Outcome: runtime.Refused, Reason: "other reasons", Count: 100, Line: 200}, reasons[1])
	total := 0
	for _, r := range reasons {
		total += r.Count
	}
	assert.Equal(t, 501, total)
}
