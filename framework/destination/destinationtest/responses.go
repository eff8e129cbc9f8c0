package destinationtest

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// finalStatuses are statuses that stay as they are, passing those that may be gone the next time. Of others, such as 404 and 409, a
// destination may make what it likes.
func finalStatuses() []int { return []int{400, 401, 403, 413, 422, 501} }
func retryableStatuses() []int {
	return []int{0, 408, 423, 429, 500, 502, 503, 504}
}

// checkStatusClasses: an answer that is an error makes the verdict that its status asks for, whichever request of the handler it answers.
func checkStatusClasses(s *subject) {
	s.eachSample(func(action string, sm sample) {
		for _, status := range append(finalStatuses(), retryableStatuses()...) {
			want := runtime.Refused
			if fault.Retryable(status) || status == 0 {
				want = runtime.Retry
			}
			r, err := s.newRig(sm, respondWith(status, `{"message":"no"}`, "Retry-After", "7"))
			if err != nil {
				s.addFinding(action, "%v", err)
				return
			}
			for _, v := range r.deliverPayloads(s.baseContext(), sm.event, sm.payload) {
				s.checkVerdict(fmt.Sprintf("%s.%d", action, status), v, want)
				if status == http.StatusTooManyRequests && v.RetryAfter < time.Second {
					s.addFinding(fmt.Sprintf("%s.%d", action, status), "the wait that the remote asks for is lost: 7 s became %v", v.RetryAfter)
				}
			}
		}
		s.checkLaterResponses(action, sm)
	})
}

func (s *subject) checkVerdict(of string, v runtime.Verdict, want runtime.Outcome) {
	switch {
	case v.Code == fault.CodeInternal:
		s.addFinding(of, "the handler broke its contract: %s", v.Reason)
	case v.Outcome != want:
		s.addFinding(of, "the event is %s and not %s (%s)", v.Outcome, want, v.Reason)
	case v.Code == "" || v.Status == 0 || v.Reason == "":
		s.addFinding(of, "the error is without a code, a status or a reason: %q %d %q", v.Code, v.Status, v.Reason)
	}
}

// checkLaterResponses lets each request of a delivery go unanswered in turn: what is not known to have arrived is not delivered.
func (s *subject) checkLaterResponses(action string, sm sample) {
	const most = 6
	good, err := s.newRig(sm, nil)
	if err != nil {
		return
	}
	good.deliverPayloads(s.baseContext(), sm.event, sm.payload)
	for n := range min(len(good.sentRequests()), most) {
		r, err := s.newRig(sm, nil)
		if err != nil {
			return
		}
		behind := r.recorder.remote
		asked := 0
		r.recorder.remote = remoteFunc(func(request *http.Request) (*http.Response, error) {
			if asked++; asked > n {
				return nil, errNoAnswer
			}
			return behind.RoundTrip(request)
		})
		s.checkVerdict(fmt.Sprintf("%s.request %d", action, n+1), r.deliverPayloads(s.baseContext(), sm.event, sm.payload)[0], runtime.Retry)
	}
}

// checkStrangeResponses: whatever a remote says with a 200, the handler keeps its contract.
func checkStrangeResponses(s *subject) {
	bodies := []string{
		"", "null", "{}", "[]", `"ok"`, "<html>", `{"errors":"no"}`, `{"errors":[{"index":99},{"index":-1},{"index":"x"}]}`,
		`{"results":[],"data":{},"items":null,"id":7}`, `[null,{"status":"?"},[]]`,
	}
	s.eachSample(func(action string, sm sample) {
		for _, body := range bodies {
			r, err := s.newRig(sm, respondWith(http.StatusOK, body))
			if err != nil {
				s.addFinding(action, "%v", err)
				return
			}
			for _, v := range r.deliverPayloads(s.baseContext(), sm.event, sm.payload, sm.payload) {
				if v.Code == fault.CodeInternal {
					s.addFinding(action, "the handler breaks its contract where the answer is %q: %s", body, v.Reason)
				}
			}
		}
	})
}

// endsWithin is how long a handler may go on after its context has ended.
const endsWithin = 30 * time.Second

// checkCancellation: a handler ends with its context, before and while it waits for an answer, and what it has not delivered is tried
// again.
func checkCancellation(s *subject) {
	s.eachSample(func(action string, sm sample) {
		_ = s.checkCancelledDelivery(action, sm, true) && s.checkCancelledDelivery(action, sm, false)
	})
}

// checkCancelledDelivery cancels a delivery before it begins, or once its first request is under way, and tells whether it ended.
func (s *subject) checkCancelledDelivery(action string, sm sample, early bool) bool {
	ctx, cancel := context.WithCancel(s.baseContext())
	defer cancel()
	late := make(chan struct{})
	r, err := s.newRig(sm, remoteFunc(func(request *http.Request) (*http.Response, error) {
		cancel()
		select {
		case <-request.Context().Done():
			return nil, request.Context().Err()
		case <-late:
			return nil, errNoAnswer
		}
	}))
	if err != nil {
		s.addFinding(action, "%v", err)
		return false
	}
	if early {
		cancel()
	}
	done := make(chan runtime.Verdict, 1)
	go func() { done <- r.deliverPayloads(ctx, sm.event, sm.payload)[0] }()
	select {
	case verdict := <-done:
		s.checkVerdict(action, verdict, runtime.Retry)
		return true
	case <-time.After(s.endsWithin):
		s.addFinding(action, "the handler goes on after its context has ended: does each request have it?")
	}
	close(late)
	<-done
	return false
}
