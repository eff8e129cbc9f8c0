package request

import (
	"fmt"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// MaxEach is the maximum number of requests that one step with each sends for one payload or batch.
const MaxEach = 1000

// Step is one of several requests that an action sends in order.
type Step struct {
	*Request
	Name string           // under which later steps read the response; "" if none does
	when *mapping.Mapping // the step is left out unless this is true in JavaScript; nil means always
	each *mapping.Mapping // a list: one request for each item; nil for one request
	// refuse is the reason for which the step refuses the payloads that are left, in place of a request; nil if it sends one.
	refuse   *mapping.Mapping
	remember *remembering // nil if no answer is used again
}

// Steps returns the requests that are sent in order instead of this one; nil if there is just this one.
func (r *Request) Steps() []*Step { return r.steps }

// compileSteps compiles the steps of a request, which replace its url and body.
func (c *compiler) compileSteps(r *Request, list event.Value, place string) {
	if list.Kind() == event.Absent {
		return
	}
	if !c.isCall && (c.hasName(Page) || !c.hasName(Payload)) {
		c.problems.Add(place, "are only allowed in requests of actions, audiences and hooks")
	}
	c.names[Answers] = []string{}
	for i, v := range list.Items() {
		place := fmt.Sprintf("%s/%d", place, i)
		switch url, refuse := v.Get("url").Exists(), v.Get("refuse").Exists(); {
		case !url && !refuse:
			c.problems.Add(place, "needs url, or refuse")
		case url && refuse:
			c.problems.Add(place+"/refuse", "cannot go with url: the step either sends a request or refuses the payloads")
		}
		s := &Step{Name: v.Get("name").Str(), when: c.compileMapping(v.Get("when"), place+"/when"), refuse: c.compileMapping(v.Get("refuse"), place+"/refuse")}
		if s.each = c.compileMapping(v.Get("each"), place+"/each"); s.each != nil {
			c.names[Item], c.names[Index] = nil, nil
		}
		s.Request = c.compileParts(v, place)
		s.remember = c.compileRemembering(v.Get("remember"), place+"/remember")
		switch {
		case s.remember == nil:
		case s.Name == "":
			c.problems.Add(place+"/remember", "needs name: only answers that later steps read are remembered")
		case i == list.Len()-1:
			c.problems.Add(place+"/remember", "is not allowed in the last step, which sends the payloads")
		}
		delete(c.names, Item)
		delete(c.names, Index)
		if s.Name != "" {
			c.names[Answers] = append(c.names[Answers], s.Name)
			c.names[Answers+"."+s.Name] = answerKeys(s)
		}
		r.steps = append(r.steps, s)
	}
}

// answerKeys returns the keys of the answer of a step.
func answerKeys(s *Step) []string {
	keys := []string{"status", "body", "headers"}
	if s.each != nil {
		keys = append(keys, "all")
	}
	return keys
}

// Refusal returns the reason why the step refuses the payloads that are left; nil if it sends a request.
func (s *Step) Refusal(scope event.Value) error {
	if s.refuse == nil {
		return nil
	}
	message, err := resolveText(s.refuse, scope)
	if err != nil {
		return err
	}
	return fault.Invalid("%s", message)
}

func (c *compiler) hasName(name string) bool {
	_, ok := c.names[name]
	return ok
}

// Scopes returns the scopes of the requests that the step sends, after the answers of earlier steps: one, or for each item of its list
// one with item and index, or none if the step does not apply.
func (s *Step) Scopes(scope event.Value, answers []event.Member) ([]event.Value, error) {
	scope = withMembers(scope, event.Member{Key: Answers, Value: event.NewObject(answers)})
	if s.when != nil {
		if v, err := s.when.Resolve(scope); err != nil || v.Falsy() {
			return nil, err
		}
	}
	if s.each == nil {
		return []event.Value{scope}, nil
	}
	list, err := s.each.Resolve(scope)
	switch {
	case err != nil:
		return nil, err
	case list.Len() > MaxEach:
		return nil, fault.Invalid("there are %d items to send one by one, but the limit is %d", list.Len(), MaxEach)
	case list.Exists() && list.Kind() != event.Array:
		return nil, fault.Invalid("the items to send one by one should be a list, but are %s", list.Kind().WithArticle())
	}
	var scopes []event.Value
	for i, item := range list.Items() {
		scopes = append(scopes, withMembers(scope, event.Member{Key: Item, Value: item}, event.Member{Key: Index, Value: event.NewInt(int64(i))}))
	}
	return scopes, nil
}

// Answer returns what later steps read of the responses to the requests of the step, which have these scopes: the last one. If the step
// has a list, it has all of them at "all", each with the item that it is for.
func (s *Step) Answer(responses, scopes []event.Value) event.Value {
	last := responses[len(responses)-1]
	if s.each == nil {
		return last
	}
	all := make([]event.Value, len(responses))
	for i, response := range responses {
		all[i] = withMembers(response, event.Member{Key: Item, Value: scopes[i].Get(Item)})
	}
	return withMembers(last, event.Member{Key: "all", Value: event.NewArray(all)})
}

// withMembers returns an object with further members.
func withMembers(v event.Value, more ...event.Member) event.Value {
	members := make([]event.Member, 0, v.Len()+len(more))
	for key, m := range v.Members() {
		members = append(members, event.Member{Key: key, Value: m})
	}
	return event.NewObject(append(members, more...))
}

// refusal refuses payloads that the remote would not take, or would take wrongly.
type refusal struct {
	when, message *mapping.Mapping
}

// compileRefusals compiles the rules that refuse payloads.
func (c *compiler) compileRefusals(list event.Value, place string) []refusal {
	var rules []refusal
	for i, v := range list.Items() {
		of, place := c.subCompiler(Settings, Payload, SyncMode, Hooks, Audience), fmt.Sprintf("%s/%d", place, i)
		rules = append(rules, refusal{of.compileMapping(v.Get("when"), place+"/when"), of.compileMapping(v.Get("message"), place+"/message")})
		c.mergeFrom(of)
	}
	return rules
}

// Refusal returns the reason why a payload must not be sent, for a scope with settings and the payload; nil if it may.
func (r *Request) Refusal(scope event.Value) error {
	for _, rule := range r.refusals {
		v, err := rule.when.Resolve(scope)
		if err != nil {
			return err
		}
		if v.Falsy() {
			continue
		}
		message, err := resolveText(rule.message, scope)
		if err != nil {
			return err
		}
		return fault.Invalid("%s", message)
	}
	return nil
}
