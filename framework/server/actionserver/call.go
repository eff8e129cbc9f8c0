package actionserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// call is the state of one request.
type call struct {
	ctx         context.Context
	handler     *Handler
	destination *Destination
	body        event.Value

	mu        sync.Mutex
	exchanges []httpx.Exchange // requests that were sent
}

// recordExchange records a request that was sent.
func (c *call) recordExchange(x httpx.Exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.exchanges = append(c.exchanges, x)
}

// newPlan returns a plan with the settings and the token from the body, and with the given subscriptions.
func (c *call) newPlan(settings event.Value, subscriptions ...event.Value) (*runtime.Plan, error) {
	if !settings.Exists() {
		settings = event.NewObject(nil)
	}
	instance := config.InstanceOf(newObject(
		"id", event.NewString(c.destination.Definition.Slug), "settings", settings, "features", c.body.Get("features"),
		"subscriptions", event.NewArray(subscriptions),
	))
	token := c.body.Get("auth").Get("accessToken").Str()
	host := runtime.Host{
		Transport: c.destination.Transport, Observe: c.recordExchange, Env: c.handler.config.Env, Log: c.handler.config.Log, Secrets: []string{token},
	}
	if c.destination.Definition.TakesToken {
		host.Token = func(context.Context, string, string) (string, error) { return token, nil }
	}
	plan, err := runtime.New(c.destination.Plugin, c.destination.Definition, instance, host)
	if err == nil {
		err = plan.Close(c.ctx) // nothing is open yet: each call closes what it opens
	}
	var problems fault.Problems
	if errors.As(err, &problems) { // make the pointers relative to the body
		for i := range problems {
			problems[i].Pointer = strings.TrimPrefix(problems[i].Pointer, "/subscriptions/0")
		}
	}
	return plan, err
}

// performAction runs an action on the payload of the body, which is an event or a list of events.
func (c *call) performAction(action string) any {
	payload := c.body.Get("payload")
	events, problem := c.parseEvents(payload)
	if problem != "" {
		return failureList(http.StatusBadRequest, problem, nil)
	}
	plan, err := c.newPlan(c.body.Get("settings"), c.subscriptionFor(action, payload))
	if err != nil {
		return failureOf(err)
	}
	verdicts := plan.RunBatch(c.ctx, events)
	if payload.Kind() == event.Array {
		nodes := make([]event.Value, len(verdicts))
		for i, list := range verdicts {
			nodes[i] = list[0].Multistatus()
		}
		return event.NewArray(nodes)
	}
	if v := verdicts[0][0]; v.Outcome == runtime.Refused || v.Outcome == runtime.Retry {
		return failureList(v.Status, v.Reason, c.fieldErrors(plan, events[0]))
	}
	return c.exchangeSummaries()
}

// parseEvents returns the events of a payload. problem is the error message; "" if all are valid.
func (c *call) parseEvents(payload event.Value) (events []event.Event, problem string) {
	list := []event.Value{payload}
	switch payload.Kind() {
	case event.Absent:
		list[0] = event.NewObject(nil)
	case event.Array:
		if list = list[:0]; payload.Len() > c.handler.config.MaxEvents {
			return nil, fmt.Sprintf("the payload has %d events, and the maximum is %d", payload.Len(), c.handler.config.MaxEvents)
		}
		for _, item := range payload.Items() {
			list = append(list, item)
		}
	}
	for i, v := range list {
		e, err := event.Parse([]byte(v.JSON()))
		if err != nil {
			return nil, fmt.Sprintf("event %d of the payload: %v", i, err)
		}
		events = append(events, e)
	}
	return events, ""
}

// subscriptionFor returns a subscription that sends every event to an action. The body's mapping is merged over the fields' defaults. If
// there is neither, the payload, or the first of several, is used as the mapping.
func (c *call) subscriptionFor(action string, payload event.Value) event.Value {
	mapping := c.body.Get("mapping")
	if mapping.Len() == 0 && c.destination.Definition.Action(action).DefaultMapping().Len() == 0 {
		if mapping = payload; payload.Kind() == event.Array {
			mapping = payload.Index(0)
		}
	}
	if mapping.Kind() != event.Object {
		mapping = event.NewObject(nil)
	}
	return newObject("name", event.NewString(action), "action", event.NewString(action), "subscribe", event.NewString(fql.MatchAll), "mapping", mapping)
}

// fieldErrors returns the errors in the payload of an event, by field.
func (c *call) fieldErrors(plan *runtime.Plan, e event.Event) map[string]string {
	s := plan.Subscriptions()[0]
	payload, err := s.Mapping().Resolve(e.Value())
	if err == nil {
		_, err = s.Schema().Process(payload)
	}
	return byField(fieldschema.ProblemsOf(err), "/")
}

// byField returns the messages of problems by field: the part of their pointer after prefix.
func byField(problems fault.Problems, prefix string) map[string]string {
	fields := map[string]string{}
	for _, p := range problems {
		if _, name, _ := strings.Cut(p.Pointer, prefix); name != "" && fields[name] == "" {
			fields[name] = p.Message
		}
	}
	return fields
}

// testCredentials tests the settings in the body with the destination's API. If the body has no member settings, it is the settings.
func (c *call) testCredentials() any {
	settings := c.body.Get("settings")
	if settings.Kind() != event.Object {
		settings = c.body
	}
	plan, err := c.newPlan(settings)
	if err == nil {
		err = plan.Test(c.ctx)
	}
	switch {
	case errors.Is(err, runtime.ErrNotTested):
		return map[string]any{"ok": true, "message": err.Error()}
	case err == nil:
		return map[string]any{"ok": true}
	}
	return map[string]any{"ok": false, "error": err.Error(), "fields": byField(fault.ProblemsOf(err), "/settings/")}
}

// deleteUser deletes the user of the payload.
func (c *call) deleteUser() any {
	plan, err := c.newPlan(c.body.Get("settings"))
	if err != nil {
		return failureOf(err)
	}
	payload := c.body.Get("payload")
	e, err := event.Parse([]byte(newObject("type", event.NewString("delete"), "userId", payload.Get("userId"), "anonymousId", payload.Get("anonymousId")).JSON()))
	if err != nil {
		return failureOf(err)
	}
	if v := plan.Run(c.ctx, e)[0]; v.Outcome == runtime.Refused || v.Outcome == runtime.Retry {
		return failureList(v.Status, v.Reason, nil)
	}
	return c.exchangeSummaries()
}

// fetchChoices returns the choices of a dynamic field.
func (c *call) fetchChoices(action, field string) (any, error) {
	plan, err := c.newPlan(c.body.Get("settings"))
	if err != nil {
		return nil, err
	}
	page := c.body.Get("page").Text()
	if page == "1" { // Segment's first page
		page = ""
	}
	return plan.Choices(c.ctx, action, field, c.body.Get("query").Text(), page, c.body.Get("payload"))
}

// resolveAudience creates an audience, or looks one up.
func (c *call) resolveAudience(create bool) (any, error) {
	plan, err := c.newPlan(c.body.Get("settings"))
	if err != nil {
		return nil, err
	}
	personas := c.body.Get("personas")
	in := runtime.Audience{
		Key: personas.Get("computation_key").Str(), ID: personas.Get("computation_id").Str(),
		Name: c.body.Get("audienceName").Str(), ExternalID: c.body.Get("externalId").Str(),
	}
	if in.Key == "" {
		in.Key = in.Name
	}
	if create {
		in, _, err = plan.CreateAudience(c.ctx, in)
	} else {
		in, err = plan.GetAudience(c.ctx, in)
	}
	return map[string]string{"externalId": in.ExternalID}, err
}

// newObject returns an object from alternating keys and values, without absent values.
func newObject(pairs ...any) event.Value {
	var members []event.Member
	for i := 0; i < len(pairs); i += 2 {
		key, _ := pairs[i].(string)
		if v, _ := pairs[i+1].(event.Value); v.Exists() {
			members = append(members, event.Member{Key: key, Value: v})
		}
	}
	return event.NewObject(members)
}
