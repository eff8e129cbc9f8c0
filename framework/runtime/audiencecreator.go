package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/internal/storedtime"
)

const (
	audienceState = "landfall/audience/" // prefix of the state's keys; a value is the audience's external id, or the claim of the process that creates it
	claimPrefix   = "claim "             // precedes the Unix time at which a claim expires
	claimFor      = 2 * time.Minute      // longer than a request takes
)

// Audience is an audience that the destination creates.
type Audience struct {
	Key        string // context.personas.computation_key
	ID         string // context.personas.computation_id; "" if unknown
	Name       string
	ExternalID string // at the remote; "" before it is created
}

// pendingAudience is the audience of an event with the settings from that event.
type pendingAudience struct {
	Audience
	settings event.Value
}

// audienceCreator creates each audience once.
type audienceCreator struct {
	plan        *Plan
	create, get func(context.Context, destination.AudienceInput) (string, error)
	schema      *fieldschema.Schema
	fields      fieldschema.Fields
	configured  event.Value // the config's audiences by key
	known       sync.Map    // external ids by key; see remember
	remembered  atomic.Int64
}

// maxKnownAudiences is the number of external ids in memory at which all are forgotten, and read from the state when they are needed.
const maxKnownAudiences = 10_000

// remember keeps an external id in memory.
func (a *audienceCreator) remember(key, id string) {
	if _, exists := a.known.Swap(key, id); !exists && a.remembered.Add(1) > maxKnownAudiences {
		a.remembered.Store(0)
		a.known.Clear()
	}
}

// compileAudienceCreator checks the config's audiences. It returns nil if the destination creates no audiences.
func (c *compiler) compileAudienceCreator(p *Plan) *audienceCreator {
	place := c.instance.Pointer + "/audiences"
	if c.plugin.CreateAudience == nil {
		if c.instance.Audiences.Len() > 0 {
			c.problems.Add(place, "have no effect: %s creates no audiences", c.definition.Name)
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
				c.problems.Add(at+fault.PointerKey(name), "is not a setting of audiences of %s%s", c.definition.Name, fault.DidYouMean(name, a.fields.Keys()))
			}
		}
		if _, err := a.resolveSettings(key, event.Value{}); err != nil {
			c.problems.AddUnder(at, fieldschema.ProblemsOf(err))
		}
	}
	return a
}

// resolveSettings returns the settings of an audience: the defaults, overridden by the config's, overridden by the event's.
func (a *audienceCreator) resolveSettings(key string, said event.Value) (event.Value, error) {
	configured := a.configured.Get(key).Get("settings")
	return a.schema.Process(destination.Overlay(withDefaults(configured, a.fields), said))
}

// addAudience returns an event with the external id and the settings of its audience. If the audience may not exist yet, it is returned
// too, and the event has the audience's key in place of the id.
func (a *audienceCreator) addAudience(v event.Value) (event.Value, *pendingAudience) {
	personas := v.Get("context").Get("personas")
	class, key := personas.Get("computation_class").Str(), personas.Get("computation_key").Str()
	if class != "audience" && class != "journey_step" || key == "" || personas.Get("external_audience_id").Exists() {
		return v, nil
	}
	e := &pendingAudience{settings: destination.Overlay(a.configured.Get(key).Get("settings"), personas.Get("audience_settings"))}
	e.Key, e.ID, e.Name = key, personas.Get("computation_id").Str(), a.displayName(key, "")
	if id, ok := a.known.Load(key); ok {
		e.ExternalID = id.(string)
		return e.addTo(v), nil
	}
	return e.addTo(v), e
}

func (a *audienceCreator) displayName(key, given string) string {
	return cmp.Or(given, a.configured.Get(key).Get("name").Str(), key)
}

// addTo returns an event with the audience's external id and settings.
func (e *pendingAudience) addTo(v event.Value) event.Value {
	known := []event.Member{{Key: "external_audience_id", Value: event.NewString(cmp.Or(e.ExternalID, e.Key))}}
	if e.settings.Len() > 0 {
		known = append(known, event.Member{Key: "audience_settings", Value: e.settings})
	}
	personas := destination.Overlay(v.Get("context").Get("personas"), event.NewObject(known))
	around := destination.Overlay(v.Get("context"), event.NewObject([]event.Member{{Key: "personas", Value: personas}}))
	return destination.Overlay(v, event.NewObject([]event.Member{{Key: "context", Value: around}}))
}

// deliverAudiences creates the audiences of items and then delivers the items. If an audience cannot be created, its items get that
// error as their verdict.
func (p *Plan) deliverAudiences(ctx context.Context, items []Item, slot func(i int) *Verdict) {
	var ready []Item
	var at []int
	failed := map[string]*fault.Error{}
	for i, item := range items {
		if e := item.audience; e != nil {
			if failed[e.Key] == nil {
				_, err := p.audienceCreator.ensureCreated(ctx, e)
				failed[e.Key] = fault.As(err)
			}
			err := failed[e.Key]
			if err == nil {
				var refused *Verdict
				if item, refused = p.remapItem(item); refused != nil {
					*slot(i) = *refused
					continue
				}
			} else {
				*slot(i) = p.failedVerdict(item.Subscription, err, fault.ReporterDestination)
				continue
			}
		}
		ready, at = append(ready, item), append(at, i)
	}
	if len(ready) > 0 {
		p.sendIsolating(ctx, ready, func(i int) *Verdict { return slot(at[i]) })
	}
}

// remapItem maps the event of an item again, after its audience was created.
func (p *Plan) remapItem(item Item) (Item, *Verdict) {
	what := item.audience.addTo(item.Event.Value())
	payload, err := item.Subscription.mapping.Resolve(what)
	if err == nil {
		payload, err = item.Subscription.schema.Process(payload)
	}
	if err != nil {
		v := p.failedVerdict(item.Subscription, fault.As(err), fault.ReporterIntegrations)
		return item, &v
	}
	item.Payload, item.audience = payload, nil
	return item, nil
}

// ensureCreated sets the external id of an audience, and creates the audience if it has none. A claim in the state lets one process
// at a time create it.
func (a *audienceCreator) ensureCreated(ctx context.Context, e *pendingAudience) (created bool, err error) {
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
	if id, ok := parseExternalID(value); ok {
		e.ExternalID = id
		a.remember(e.Key, id)
		return false, nil
	}
	settings, err := a.resolveSettings(e.Key, e.settings)
	if err != nil {
		return false, fault.Invalid("the settings of the audience %s: %v", e.Key, err)
	}
	claim, err := a.claim(ctx, e.Key, value)
	if err != nil {
		return false, err
	}
	id, err := a.callHandler(ctx, a.create, e, settings)
	if err == nil && id == "" {
		err = fault.As(fmt.Errorf("the destination returned no id for the audience %s", e.Key))
	}
	if err != nil {
		_, _ = state.Swap(context.WithoutCancel(ctx), key, claim, "") // if that fails, the claim expires
		return false, err
	}
	if err := state.Put(context.WithoutCancel(ctx), key, id); err != nil {
		return false, err
	}
	e.ExternalID = id
	a.remember(e.Key, id)
	return true, nil
}

// claim claims the creation of an audience, whose value in the state is empty or an earlier claim, and returns the claim.
func (a *audienceCreator) claim(ctx context.Context, audience, value string) (claim string, err error) {
	now := a.plan.deps.Now()
	if isClaimed(value, now) {
		return "", errCreatedElsewhere(audience)
	}
	claim = claimPrefix + strconv.FormatInt(now.Add(claimFor).Unix(), 10)
	switch ok, err := a.plan.deps.State.Swap(ctx, audienceState+audience, value, claim); {
	case err != nil:
		return "", err
	case !ok:
		return "", errCreatedElsewhere(audience)
	}
	return claim, nil
}

// isClaimed reports whether a value of the state is a claim that holds. One that ends much later than a claim can was made while the clock of a
// process was ahead.
func isClaimed(value string, now time.Time) bool {
	ends, _ := strconv.ParseInt(strings.TrimPrefix(value, claimPrefix), 10, 64)
	return storedtime.Holds(time.Unix(ends, 0), now, claimFor+storedtime.MaxLead)
}

// parseExternalID returns the external id in a value of the state. ok is false if the value is empty or a claim.
func parseExternalID(value string) (id string, ok bool) {
	return value, value != "" && !strings.HasPrefix(value, claimPrefix)
}

func errCreatedElsewhere(key string) error {
	e := fault.FromStatus(423, fmt.Sprintf("another process is creating the audience %s", key))
	e.RetryAfter = time.Second
	return e
}

func (a *audienceCreator) callHandler(ctx context.Context, f func(context.Context, destination.AudienceInput) (string, error), e *pendingAudience, settings event.Value) (id string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &fault.Error{Code: fault.CodeInternal, Status: 500, Message: fmt.Sprintf("the handler panicked: %v", r)}
		}
	}()
	deps, release, err := a.plan.openDeps(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	return f(ctx, destination.AudienceInput{
		Deps: deps, Settings: a.plan.settings, AudienceSettings: settings,
		Key: e.Key, ID: e.ID, Name: e.Name, ExternalID: e.ExternalID,
	})
}

// CreatesAudiences reports whether the destination creates audiences.
func (p *Plan) CreatesAudiences() bool { return p.audienceCreator != nil }

// CreateAudience creates an audience at the remote unless it was created before. It returns the audience with its external id.
func (p *Plan) CreateAudience(ctx context.Context, in Audience) (out Audience, created bool, err error) {
	e := &pendingAudience{Audience: in}
	e.Name = p.audienceCreator.displayName(in.Key, in.Name)
	created, err = p.audienceCreator.ensureCreated(ctx, e)
	return e.Audience, created, err
}

// errNoAudience means that an audience has not been created.
var errNoAudience = errors.New("it has not been created: that happens with its first event, or with landfall audience create")

// GetAudience returns an audience that was created before, or the one with in.ExternalID. If the destination can look up audiences,
// GetAudience checks that the remote has it.
func (p *Plan) GetAudience(ctx context.Context, in Audience) (Audience, error) {
	a := p.audienceCreator
	value, _, err := p.deps.State.Get(ctx, audienceState+in.Key)
	if err != nil {
		return in, err
	}
	id, ok := parseExternalID(cmp.Or(in.ExternalID, value))
	if !ok {
		return in, errNoAudience
	}
	e := &pendingAudience{Audience: in}
	e.ExternalID, e.Name = id, a.displayName(in.Key, in.Name)
	if a.get == nil {
		return e.Audience, nil
	}
	settings, err := a.resolveSettings(in.Key, event.Value{})
	if err != nil {
		return e.Audience, err
	}
	_, err = a.callHandler(ctx, a.get, e, settings)
	return e.Audience, err
}
