package suite

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// checkSandboxAccepts checks that the destination has a sandbox, which accepts the event of a case for each action without
// responses of the case. These events are the samples of the other checks. A sandbox with declared rules also has to accept a full batch, and
// an item that it refuses must not count as delivered.
func checkSandboxAccepts(s *subject) {
	if s.plugin.Sandbox == nil {
		s.addFinding("", "the plugin has no sandbox: set Plugin.Sandbox")
		return
	}
	for _, action := range s.definition.ActionKeys() {
		if len(s.samplesOf(action)) > 0 {
			continue
		}
		if reason := s.refusals[action]; reason != "" {
			s.addFinding(action, "the sandbox accepts no event of a case: %s", fault.Shorten(reason, 300))
			continue
		}
		s.addFinding(action, "no case has an event that the sandbox accepts: add one without responses and state, and with one subscription")
	}
	isDeclared := slices.ContainsFunc(s.plugin.Sandbox.Options, func(o destination.SandboxOption) bool { return o.Name == destination.RefuseItemOption })
	if !isDeclared || s.definition.Browser != "" {
		return
	}
	for _, action := range s.definition.ActionKeys() {
		if samples := s.samplesOf(action); len(samples) > 0 {
			s.checkFullBatch(action, samples[0])
			s.checkRefusedItem(action, samples[0])
		}
	}
}

// checkFullBatch sends as many payloads as a batch of the action may have.
func (s *subject) checkFullBatch(action string, sm sample) {
	r, err := s.newRig(sm, nil)
	if err != nil {
		s.addFinding(action, "%v", err)
		return
	}
	payload := s.withLargestBatch(sm)
	item, refused := r.plan.NewItem(r.firstSubscription(), payload, 0)
	if refused != nil || item.BatchSize < 2 {
		return
	}
	for _, v := range r.deliverPayloads(s.baseContext(), sm.event, slices.Repeat([]event.Value{payload}, item.BatchSize)...) {
		if v.Outcome == runtime.Refused || v.Outcome == runtime.Retry {
			s.addFinding(action, "a batch of %d payloads, the most that the action allows, is %s: lower request.batch.size, or the maximum of batch_size",
				item.BatchSize, describeVerdict(v))
			return
		}
	}
}

// withLargestBatch returns the payload of a sample with the largest size of its batches, if the action has a field for it.
func (s *subject) withLargestBatch(sm sample) event.Value {
	fields := s.definition.Action(sm.action).Fields
	var over []event.Member
	if f := fields.Get(destination.BatchSize); f != nil && f.Maximum.Exists() {
		over = append(over, event.Member{Key: destination.BatchSize, Value: f.Maximum})
	}
	if fields.Get(destination.EnableBatching) != nil {
		over = append(over, event.Member{Key: destination.EnableBatching, Value: event.NewBool(true)})
	}
	return destination.Overlay(sm.payload, event.NewObject(over))
}

// checkRefusedItem sends two payloads to a sandbox that refuses the first item of each request. If its responses differ from those
// without the refusal, the first payload must not count as delivered.
func (s *subject) checkRefusedItem(action string, sm sample) {
	usual, _ := s.deliverTwice(sm, nil)
	refusing, first := s.deliverTwice(sm, map[string][]string{destination.RefuseItemOption: {"0"}})
	if usual != refusing && first.Outcome == runtime.Delivered {
		s.addFinding(action, "the sandbox refused the first item of the request, but its event is delivered: response.errors should read the refusal "+
			"(compare its path with the list in the response of the route in %s)", destination.SandboxFile)
	}
}

// deliverTwice delivers the payload of a sample twice to a new sandbox with these options. It returns all responses, and the verdict of the
// first payload.
func (s *subject) deliverTwice(sm sample, options map[string][]string) (responses string, first runtime.Verdict) {
	remote := &responseRecorder{remote: sandbox.Transport(s.plugin.Sandbox.New(options))}
	r, err := s.newRig(sm, remote)
	if err != nil {
		return "", first
	}
	first = r.deliverPayloads(s.baseContext(), sm.event, sm.payload, sm.payload)[0]
	return remote.text.String(), first
}

// responseRecorder is a transport that records responses. Its requests must not be concurrent.
type responseRecorder struct {
	remote http.RoundTripper
	text   strings.Builder
}

func (w *responseRecorder) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := w.remote.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return nil, err
	}
	w.text.WriteString(response.Status)
	w.text.Write(body)
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}
