package devicemode

import (
	"encoding/json"
	"fmt"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// mapping is the answer to a page that asks for the payloads of an event.
type mapping struct {
	Results []mappedAction `json:"results"`
}

// mappedAction is the payload of one action, or why it has none.
type mappedAction struct {
	Instance string          `json:"instance"`
	Action   string          `json:"action"`
	Payload  json.RawMessage `json:"payload,omitempty"`
	Error    string          `json:"error,omitempty"`
}

// Map returns the payloads of an event for the actions that run in the browser, as JSON. raw is an event of a source as incoming has
// normalized it. Subscriptions, consent and the event's integrations count as they do for other destinations.
func (h *Handler) Map(source string, raw []byte) ([]byte, error) {
	e, err := event.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("the event: %w", err)
	}
	out := mapping{Results: []mappedAction{}}
	for _, plan := range h.current.Load().bySource[source] {
		out.Results = appendMapped(out.Results, plan, e)
	}
	return json.Marshal(out)
}

// appendMapped appends the payloads of one instance, in the order of its subscriptions. Datetimes have one form, whatever form the event has.
func appendMapped(results []mappedAction, plan *runtime.Plan, e event.Event) []mappedAction {
	for _, s := range plan.Candidates(e, nil) {
		item, verdict := plan.Prepare(s, e, 0)
		one := mappedAction{Instance: plan.ID(), Action: s.Action().Key}
		switch {
		case verdict == nil:
			one.Payload = s.Action().Fields.FormatTimes(item.Payload).AppendJSON(nil)
		case verdict.Outcome == runtime.Skipped:
			continue
		case verdict.Cause == fault.CauseHandlerFailed:
			one.Error = "the server cannot map the event"
		default:
			one.Error = verdict.Reason
		}
		results = append(results, one)
	}
	return results
}
