package harness

import (
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// resultsLike are the results, each with the keys that the wanted one at its place has.
func (o outcome) resultsLike(want event.Value) event.Value {
	items := make([]event.Value, len(o.results))
	for i, v := range o.results {
		whole := result(v)
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

// result is a verdict as Segment's multistatus has it, with the outcome and the reason beside.
func result(v runtime.Verdict) event.Value {
	members := []event.Member{{Key: "outcome", Value: event.NewString(string(v.Outcome))}}
	if v.Reason != "" {
		members = append(members, event.Member{Key: "reason", Value: event.NewString(v.Reason)})
	}
	for key, value := range v.Multistatus().Members() {
		members = append(members, event.Member{Key: key, Value: value})
	}
	return event.NewObject(members).WithoutHoles()
}

// requestsLike are the requests made, whole, save that each shows only the headers that the wanted one at its place has.
func (o outcome) requestsLike(want event.Value) event.Value {
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
			members = append(members, event.Member{Key: "headers", Value: headersLike(r.Get("headers"), headers)})
		}
		items[i] = event.NewObject(members)
	}
	return event.NewArray(items)
}

// headersLike are the headers that wanted has, under its spelling.
func headersLike(headers, wanted event.Value) event.Value {
	var members []event.Member
	for name := range wanted.Members() {
		members = append(members, event.Member{Key: name, Value: headers.Get(canonical(name))})
	}
	return event.NewObject(members).WithoutHoles()
}
