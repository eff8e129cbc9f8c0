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

// call is one request on its way.
type call struct {
	ctx         context.Context
	handler     *Handler
	destination *Destination
	body        event.Value

	mu        sync.Mutex
	exchanges []httpx.Exchange // the requests that were made
}

func (c *call) observe(x httpx.Exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.exchanges = append(c.exchanges, x)
}

// plan is an instance with the settings and the token of the body, and with subscriptions.
func (c *call) plan(settings event.Value, subscriptions ...event.Value) (*runtime.Plan, error) {
	if !settings.Exists() {
		settings = event.NewObject(nil)
	}
	instance := config.InstanceOf(object(
		"id", event.NewString(c.destination.Definition.Slug), "settings", settings, "features", c.body.Get("features"),
		"subscriptions", event.NewArray(subscriptions),
	))
	token := c.body.Get("auth").Get("accessToken").Str()
	host := runtime.Host{
		Transport: c.destination.Transport, Observe: c.observe, Env: c.handler.config.Env, Log: c.handler.config.Log, Secrets: []string{token},
	}
	if c.destination.Definition.TakesToken {
		host.Token = func(context.Context, string, string) (string, error) { return token, nil }
	}
	plan, err := runtime.New(c.destination.Plugin, c.destination.Definition, instance, host)
	var wrong fault.Problems
	if errors.As(err, &wrong) { // with pointers into the body
		for i := range wrong {
			wrong[i].Pointer = strings.TrimPrefix(wrong[i].Pointer, "/subscriptions/0")
		}
	}
	return plan, err
}

// perform takes the payload of the body, an event or a list of them, through an action.
func (c *call) perform(action string) any {
	payload := c.body.Get("payload")
	events, problem := c.events(payload)
	if problem != "" {
		return failed(http.StatusBadRequest, problem, nil)
	}
	plan, err := c.plan(c.body.Get("settings"), c.subscription(action, payload))
	if err != nil {
		return refusal(err)
	}
	verdicts := plan.RunBatch(c.ctx, events)
	if payload.Kind() == event.Array {
		nodes := make([]event.Value, len(verdicts))
		for i, of := range verdicts {
			nodes[i] = of[0].Multistatus()
		}
		return event.NewArray(nodes)
	}
	if v := verdicts[0][0]; v.Outcome == runtime.Refused || v.Outcome == runtime.Retry {
		return failed(v.Status, v.Reason, c.fields(plan, events[0]))
	}
	return c.summaries()
}

func (c *call) events(payload event.Value) (events []event.Event, problem string) {
	list := []event.Value{payload}
	switch payload.Kind() {
	case event.Absent:
		list[0] = event.NewObject(nil)
	case event.Array:
		if list = list[:0]; payload.Len() > c.handler.config.MaxEvents {
			return nil, fmt.Sprintf("the payload has %d events, and %d may go at once", payload.Len(), c.handler.config.MaxEvents)
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

// subscription takes every event to an action. The mapping lies over the fields' defaults; where there is neither, the payload, or
// the first of several, is its own mapping.
func (c *call) subscription(action string, payload event.Value) event.Value {
	mapping := c.body.Get("mapping")
	if mapping.Len() == 0 && c.destination.Definition.Action(action).DefaultMapping().Len() == 0 {
		if mapping = payload; payload.Kind() == event.Array {
			mapping = payload.Index(0)
		}
	}
	if mapping.Kind() != event.Object {
		mapping = event.NewObject(nil)
	}
	return object("name", event.NewString(action), "action", event.NewString(action), "subscribe", event.NewString(fql.MatchAll), "mapping", mapping)
}

// fields are what is wrong with the payload of an event, by field.
func (c *call) fields(plan *runtime.Plan, e event.Event) map[string]string {
	s := plan.Subscriptions()[0]
	payload, err := s.Mapping().Resolve(e.Value())
	if err == nil {
		_, err = s.Schema().Process(payload)
	}
	return byField(fieldschema.ProblemsOf(err), "/")
}

// byField are problems by what stands in their pointers behind a place.
func byField(problems fault.Problems, place string) map[string]string {
	fields := map[string]string{}
	for _, p := range problems {
		if _, name, ok := strings.Cut(p.Pointer, place); ok && name != "" && fields[name] == "" {
			fields[name] = p.Message
		}
	}
	return fields
}

// authenticate asks the remote whether settings are good: the body's, or the body itself.
func (c *call) authenticate() any {
	settings := c.body.Get("settings")
	if settings.Kind() != event.Object {
		settings = c.body
	}
	plan, err := c.plan(settings)
	if err == nil {
		err = plan.Test(c.ctx)
	}
	if err == nil {
		return map[string]any{"ok": true}
	}
	return map[string]any{"ok": false, "error": err.Error(), "fields": byField(fault.ProblemsOf(err), "/settings/")}
}

// remove deletes the user of the payload.
func (c *call) remove() any {
	plan, err := c.plan(c.body.Get("settings"))
	if err != nil {
		return refusal(err)
	}
	payload := c.body.Get("payload")
	e, err := event.Parse([]byte(object("type", event.NewString("delete"), "userId", payload.Get("userId"), "anonymousId", payload.Get("anonymousId")).JSON()))
	if err != nil {
		return refusal(err)
	}
	if v := plan.Run(c.ctx, e)[0]; v.Outcome == runtime.Refused || v.Outcome == runtime.Retry {
		return failed(v.Status, v.Reason, nil)
	}
	return c.summaries()
}

// choices fetches the values of a dynamic field.
func (c *call) choices(action, field string) (any, error) {
	plan, err := c.plan(c.body.Get("settings"))
	if err != nil {
		return nil, err
	}
	page := c.body.Get("page").Text()
	if page == "1" { // how Segment asks for the first
		page = ""
	}
	return plan.Choices(c.ctx, action, field, c.body.Get("query").Text(), page, c.body.Get("payload"))
}

// audience creates an audience, or asks for one.
func (c *call) audience(create bool) (any, error) {
	plan, err := c.plan(c.body.Get("settings"))
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

// object is an object of keys and values in turn; absent values are left out.
func object(pairs ...any) event.Value {
	var members []event.Member
	for i := 0; i < len(pairs); i += 2 {
		key, _ := pairs[i].(string)
		if v, _ := pairs[i+1].(event.Value); v.Exists() {
			members = append(members, event.Member{Key: key, Value: v})
		}
	}
	return event.NewObject(members)
}
