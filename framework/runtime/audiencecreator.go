package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

const (
	audienceState = "landfall/audience/" // the state's key of an audience's external id, or of the claim of who creates it
	claimPrefix   = "claim "             // of a claim, before the Unix time at which it ends
	claimFor      = 2 * time.Minute      // longer than a request takes
)

// Audience is one that the destination creates.
type Audience struct {
	Key        string // what its events call it
	ID         string // context.personas.computation_id; "" where it is not known
	Name       string
	ExternalID string // at the remote; "" before it is created
}

// pendingAudience is the audience of an event, with the settings that its event has.
type pendingAudience struct {
	Audience
	settings event.Value
}

// audienceCreator creates audiences, each once.
type audienceCreator struct {
	plan        *Plan
	create, get func(context.Context, destination.AudienceInput) (string, error)
	schema      *fieldschema.Schema
	fields      fieldschema.Fields
	configured  event.Value // audiences of the config by their key
	known       sync.Map    // external ids by key
}

// compileAudienceCreator is nil where the destination creates no audiences. What the config says of audiences is checked.
func (c *compiler) compileAudienceCreator(p *Plan) *audienceCreator {
	place := c.instance.Pointer + "/audiences"
	if c.plugin.CreateAudience == nil {
		if c.instance.Audiences.Len() > 0 {
			c.problems.Add(place, "are of no use: %s creates no audiences", c.definition.Name)
		}
		return nil
	}
	a := &audienceCreator{
		plan: p, create: c.plugin.CreateAudience, get: c.plugin.GetAudience, configured: c.instance.Audiences, fields: c.definition.AudienceFields,
	}
	var err error
	if a.schema, err = fieldschema.Compile(a.fields); err != nil {
		c.problems.AddUnder(place, err)
		return nil
	}
	for key, v := range a.configured.Members() {
		at := place + fault.PointerKey(key) + "/settings"
		for name := range v.Get("settings").Members() {
			if a.fields.Get(name) == nil {
				c.problems.Add(at+fault.PointerKey(name), "is no setting of an audience of %s%s", c.definition.Name, fault.DidYouMean(name, a.fields.Keys()))
			}
		}
		if _, err := a.settings(key, event.Value{}); err != nil {
			c.problems.AddUnder(at, fieldschema.ProblemsOf(err))
		}
	}
	return a
}

// settings are those of an audience: the defaults, the config's over them, and its event's over these.
func (a *audienceCreator) settings(key string, said event.Value) (event.Value, error) {
	configured := a.configured.Get(key).Get("settings")
	return a.schema.Process(destination.Overlay(withDefaults(configured, a.fields), said))
}

// enrich puts the external id and the settings of an event's audience into the event. Where the audience is yet to be created, it
// is given, and its key stands for the id until then.
func (a *audienceCreator) enrich(v event.Value) (event.Value, *pendingAudience) {
	personas := v.Get("context").Get("personas")
	class, key := personas.Get("computation_class").Str(), personas.Get("computation_key").Str()
	if class != "audience" && class != "journey_step" || key == "" || personas.Get("external_audience_id").Exists() {
		return v, nil
	}
	e := &pendingAudience{settings: destination.Overlay(a.configured.Get(key).Get("settings"), personas.Get("audience_settings"))}
	e.Key, e.ID, e.Name = key, personas.Get("computation_id").Str(), a.name(key, "")
	if id, ok := a.known.Load(key); ok {
		e.ExternalID = id.(string)
		return e.within(v), nil
	}
	return e.within(v), e
}

func (a *audienceCreator) name(key, given string) string {
	return cmp.Or(given, a.configured.Get(key).Get("name").Str(), key)
}

// within is the event with the audience's external id and settings.
func (e *pendingAudience) within(v event.Value) event.Value {
	known := []event.Member{{Key: "external_audience_id", Value: event.NewString(cmp.Or(e.ExternalID, e.Key))}}
	if e.settings.Len() > 0 {
		known = append(known, event.Member{Key: "audience_settings", Value: e.settings})
	}
	personas := destination.Overlay(v.Get("context").Get("personas"), event.NewObject(known))
	around := destination.Overlay(v.Get("context"), event.NewObject([]event.Member{{Key: "personas", Value: personas}}))
	return destination.Overlay(v, event.NewObject([]event.Member{{Key: "context", Value: around}}))
}

// deliverAudiences delivers items behind the creation of their audiences. What belongs to one that cannot be created gets that as
// its verdict.
func (p *Plan) deliverAudiences(ctx context.Context, items []Item, slot func(i int) *Verdict) {
	var ready []Item
	var at []int
	failed := map[string]*fault.Error{}
	for i, item := range items {
		if e := item.audience; e != nil {
			if failed[e.Key] == nil {
				_, err := p.audienceCreator.ensure(ctx, e)
				failed[e.Key] = fault.As(err)
			}
			err := failed[e.Key]
			if err == nil {
				var refused *Verdict
				if item, refused = p.again(item); refused != nil {
					*slot(i) = *refused
					continue
				}
			} else {
				*slot(i) = p.failed(item.Subscription, err, fault.ReporterDestination)
				continue
			}
		}
		ready, at = append(ready, item), append(at, i)
	}
	if len(ready) > 0 {
		divisions := maxDivisions
		p.isolate(ctx, ready, func(i int) *Verdict { return slot(at[i]) }, &divisions)
	}
}

// again maps the event of an item once more, now that its audience is there.
func (p *Plan) again(item Item) (Item, *Verdict) {
	what, _ := p.audienceCreator.enrich(item.Event.Value())
	payload, err := item.Subscription.mapping.Resolve(what)
	if err == nil {
		payload, err = item.Subscription.schema.Process(payload)
	}
	if err != nil {
		v := p.failed(item.Subscription, fault.As(err), fault.ReporterIntegrations)
		return item, &v
	}
	item.Payload, item.audience = payload, nil
	return item, nil
}

// ensure is the external id of an audience, which is created where there is none. One process does that at a time.
func (a *audienceCreator) ensure(ctx context.Context, e *pendingAudience) (created bool, err error) {
	release, err := a.plan.deps.Locks.Lock(ctx, audienceState+e.Key)
	if err != nil {
		return false, fault.ConnectionFailed(err)
	}
	defer release()
	state, key := a.plan.deps.State, audienceState+e.Key
	value, _, err := state.Get(ctx, key)
	if err != nil {
		return false, err
	}
	if id, ok := externalOf(value); ok {
		e.ExternalID = id
		a.known.Store(e.Key, id)
		return false, nil
	}
	settings, err := a.settings(e.Key, e.settings)
	if err != nil {
		return false, fault.Invalid("the settings of the audience %s: %v", e.Key, err)
	}
	now := a.plan.deps.Now()
	if ends, _ := strconv.ParseInt(strings.TrimPrefix(value, claimPrefix), 10, 64); now.Unix() < ends {
		return false, elsewhere(e.Key)
	}
	claim := claimPrefix + strconv.FormatInt(now.Add(claimFor).Unix(), 10)
	switch ok, err := state.Swap(ctx, key, value, claim); {
	case err != nil:
		return false, err
	case !ok:
		return false, elsewhere(e.Key)
	}
	id, err := a.call(ctx, a.create, e, settings)
	if err == nil && id == "" {
		err = fault.As(fmt.Errorf("the destination gave the audience %s no id", e.Key))
	}
	if err != nil {
		_, _ = state.Swap(context.WithoutCancel(ctx), key, claim, "") // where that fails, the claim ends by itself
		return false, err
	}
	if err := state.Put(context.WithoutCancel(ctx), key, id); err != nil {
		return false, err
	}
	e.ExternalID = id
	a.known.Store(e.Key, id)
	return true, nil
}

// externalOf is the external id that a value of the state is; ok is false for none and for a claim.
func externalOf(value string) (id string, ok bool) {
	return value, value != "" && !strings.HasPrefix(value, claimPrefix)
}

func elsewhere(key string) error {
	e := fault.FromStatus(423, fmt.Sprintf("another process is creating the audience %s", key))
	e.RetryAfter = time.Second
	return e
}

func (a *audienceCreator) call(ctx context.Context, f func(context.Context, destination.AudienceInput) (string, error), e *pendingAudience, settings event.Value) (id string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &fault.Error{Code: fault.CodeInternal, Status: 500, Message: fmt.Sprintf("the handler panicked: %v", r)}
		}
	}()
	return f(ctx, destination.AudienceInput{
		Deps: a.plan.deps, Settings: a.plan.settings, AudienceSettings: settings,
		Key: e.Key, ID: e.ID, Name: e.Name, ExternalID: e.ExternalID,
	})
}

// CreatesAudiences tells whether the destination creates audiences.
func (p *Plan) CreatesAudiences() bool { return p.audienceCreator != nil }

// CreateAudience creates an audience at the remote where it has not been, and gives it with its external id.
func (p *Plan) CreateAudience(ctx context.Context, in Audience) (out Audience, created bool, err error) {
	e := &pendingAudience{Audience: in}
	e.Name = p.audienceCreator.name(in.Key, in.Name)
	created, err = p.audienceCreator.ensure(ctx, e)
	return e.Audience, created, err
}

// errNoAudience is of an audience that has not been created.
var errNoAudience = errors.New("it has not been created: no event of it has been delivered, and nobody has called landfall audience create")

// GetAudience finds an audience that has been created, or that has the external id given, and asks the remote whether it is there,
// where the destination can.
func (p *Plan) GetAudience(ctx context.Context, in Audience) (Audience, error) {
	a := p.audienceCreator
	value, _, err := p.deps.State.Get(ctx, audienceState+in.Key)
	if err != nil {
		return in, err
	}
	id, ok := externalOf(cmp.Or(in.ExternalID, value))
	if !ok {
		return in, errNoAudience
	}
	e := &pendingAudience{Audience: in}
	e.ExternalID, e.Name = id, a.name(in.Key, in.Name)
	if a.get == nil {
		return e.Audience, nil
	}
	settings, err := a.settings(in.Key, event.Value{})
	if err != nil {
		return e.Audience, err
	}
	_, err = a.call(ctx, a.get, e, settings)
	return e.Audience, err
}
