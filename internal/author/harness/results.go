package harness

import (
	"fmt"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// selectResults returns the results, each reduced to the keys of the expected result with the same index.
func (o outcome) selectResults(want event.Value) event.Value {
	items := make([]event.Value, len(o.results))
	for i, v := range o.results {
		whole := resultValue(v)
		wanted := want.Index(i)
		if wanted.Kind() != event.Object {
			items[i] = whole
			continue
		}
		var members []event.Member
		for key := range wanted.Members() {
			members = append(members, event.Member{Key: key, Value: whole.Get(key)})
		}
		items[i] = event.NewObject(members).WithoutHoles()
	}
	return event.NewArray(items)
}

// surprises returns a line with the reason of each result whose outcome is another than expected, unless the comparison shows the reason.
func (o outcome) surprises(want event.Value) (lines []string) {
	for i, v := range o.results {
		wanted := want.Index(i)
		expected := wanted.Get("outcome")
		isShown := wanted.Get("reason").Exists() || wanted.Get("errormessage").Exists()
		if expected.Exists() && expected.Str() != string(v.Outcome) && v.Reason != "" && !isShown {
			lines = append(lines, fmt.Sprintf("/%d is %s because: %s", i, v.Outcome, v.Reason))
		}
	}
	return lines
}

// resultValue returns a verdict in the form of Segment's multistatus, with the outcome and the reason added.
func resultValue(v runtime.Verdict) event.Value {
	members := []event.Member{{Key: "outcome", Value: event.NewString(string(v.Outcome))}}
	if v.Reason != "" {
		members = append(members, event.Member{Key: "reason", Value: event.NewString(v.Reason)})
	}
	for key, value := range v.Multistatus().Members() {
		members = append(members, event.Member{Key: key, Value: value})
	}
	return event.NewObject(members).WithoutHoles()
}

// selectRequests returns the requests, each with only the headers that the expected request with the same index has.
func (o outcome) selectRequests(want event.Value) event.Value {
	items := make([]event.Value, len(o.requests))
	for i, r := range o.requests {
		headers := want.Index(i).Get("headers")
		var members []event.Member
		for key, v := range r.Members() {
			if key != "headers" {
				members = append(members, event.Member{Key: key, Value: v})
			}
		}
		if headers.Exists() {
			members = append(members, event.Member{Key: "headers", Value: selectHeaders(r.Get("headers"), headers)})
		}
		items[i] = event.NewObject(members)
	}
	return event.NewArray(items)
}

// selectHeaders returns the headers that wanted has, spelled as wanted spells them.
func selectHeaders(headers, wanted event.Value) event.Value {
	var members []event.Member
	for name := range wanted.Members() {
		members = append(members, event.Member{Key: name, Value: headers.Get(canonicalName(name))})
	}
	return event.NewObject(members).WithoutHoles()
}
