package suite

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// finalStatuses and retryableStatuses are statuses with a fixed class. A destination may treat others, such as 404 and 409, as
// it likes.
func finalStatuses() []int { return []int{400, 401, 403, 413, 422, 501} }
func retryableStatuses() []int {
	return []int{0, 408, 423, 429, 500, 502, 503, 504}
}

// checkStatusClasses checks that an error response leads to the verdict of its status, whichever request of the handler it
// answers.
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
					s.addFinding(fmt.Sprintf("%s.%d", action, status), "the remote's Retry-After of 7 s became %v", v.RetryAfter)
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

// checkLaterResponses leaves each request of a delivery unanswered in turn. The event must not be delivered.
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

// checkStrangeResponses checks that the handler fulfils its contract for any body of a 200 response.
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
					s.addFinding(action, "the handler breaks its contract if the response is %q: %s", body, v.Reason)
				}
			}
		}
	})
}

// endsWithin is how long a handler may run after its context has ended.
const endsWithin = 30 * time.Second

// checkCancellation checks that a handler ends with its context, before and during a request, and that undelivered events are
// retried.
func checkCancellation(s *subject) {
	s.eachSample(func(action string, sm sample) {
		_ = s.checkCancelledDelivery(action, sm, true) && s.checkCancelledDelivery(action, sm, false)
	})
}

// checkCancelledDelivery cancels a delivery before it begins, or during its first request, and reports whether it ended.
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
		s.addFinding(action, "the handler does not stop when its context ends: pass the context to every request")
	}
	close(late)
	<-done
	return false
}
