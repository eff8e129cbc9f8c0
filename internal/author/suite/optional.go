package suite

import (
	"fmt"
	"net/http"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// deletion is an event that asks to delete a user.
const deletion = `{"type":"delete","userId":"u1","timestamp":"2026-01-02T03:04:05Z"}`

// checkDeletions checks that the sandbox accepts a deletion, if the destination deletes users, and that an error response leads
// to the verdict of its status.
func checkDeletions(s *subject) {
	if s.plugin.OnDelete == nil || len(s.samples) == 0 {
		return
	}
	e, err := event.Parse([]byte(deletion))
	if err != nil {
		s.addFinding("", "%v", err)
		return
	}
	sm := s.samples[0]
	if r, err := s.newRig(sm, nil); err == nil {
		if v := r.plan.Run(s.baseContext(), e)[0]; v.Outcome != runtime.Delivered && v.Outcome != runtime.Skipped {
			s.addFinding(runtime.OnDelete, "the sandbox does not accept a deletion: %s", v.Reason)
		}
	}
	for _, status := range append(finalStatuses(), retryableStatuses()...) {
		r, err := s.newRig(sm, respondWith(status, `{"message":"no"}`))
		if err != nil {
			s.addFinding(runtime.OnDelete, "%v", err)
			return
		}
		want := runtime.Refused
		if fault.Retryable(status) || status == 0 {
			want = runtime.Retry
		}
		v := r.plan.Run(s.baseContext(), e)[0]
		s.checkVerdict(fmt.Sprintf("%s.%d", runtime.OnDelete, status), v, want)
		s.checkNoSecret(runtime.OnDelete, "the verdict of a deletion", v.Reason)
	}
}

// checkChoices checks that the sandbox returns the choices of dynamic fields, and that a failing remote leads to an error
// without secrets.
func checkChoices(s *subject) {
	for _, action := range s.definition.ActionKeys() {
		samples := s.samplesOf(action)
		if len(samples) == 0 {
			continue
		}
		r, err := s.newRig(samples[0], nil)
		if err != nil {
			s.addFinding(action, "%v", err)
			continue
		}
		for _, field := range r.plan.DynamicFields(action) {
			of := action + "." + field
			if _, err := r.plan.Choices(s.baseContext(), action, field, "", "", samples[0].payload); err != nil {
				s.addFinding(of, "the sandbox does not return the choices of the field: %v", err)
			}
			failing, err := s.newRig(samples[0], echoRemote(http.StatusUnauthorized))
			if err != nil {
				continue
			}
			if _, err = failing.plan.Choices(s.baseContext(), action, field, "x", "", samples[0].payload); err == nil {
				s.addFinding(of, "no error although the remote answers 401")
			} else {
				s.checkNoSecret(of, "the error of its choices", err.Error())
			}
		}
	}
}

// isDeletion reports whether an event goes to OnDelete.
func (s *subject) isDeletion(e event.Event) bool {
	return s.plugin.OnDelete != nil && e.Value().Get("type").Str() == "delete"
}
