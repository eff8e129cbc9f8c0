package console

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// credentialsPlan returns a plan for the form. It uses the credentials typed for the test, or those from the environment. The typed
// values are not stored.
func (c *Console) credentialsPlan(form *setupForm, q url.Values, to Target) (*runtime.Plan, error) {
	instance, typed := form.instanceWithTyped(q)
	lookup := c.lookupEnv
	if to == Sandbox {
		lookup = c.lookupOrPlaceholder
	}
	cfg, problems := c.parseInstance(form, instance, form.Added, func(name string) (string, bool) {
		if v, ok := typed[name]; ok {
			return v, true
		}
		return lookup(name)
	})
	instances, err := c.BuildPlans(cfg, problems, to, nil)
	if err != nil {
		return nil, err
	}
	for _, in := range instances {
		if in.Plan.ID() == form.ID {
			return in.Plan, nil
		}
	}
	return nil, errors.New("enter an id for the instance first")
}

// instanceWithTyped returns the instance of a form, enabled, in which the credentials that were typed for a test are variables, and their
// values by the names of the variables.
func (form *setupForm) instanceWithTyped(q url.Values) (instance event.Value, typed map[string]string) {
	typed = map[string]string{}
	instance = form.instanceValue()
	settings := membersOf(instance.Get("settings"))
	auth := membersOf(instance.Get("auth"))
	for i, s := range append(form.Settings, form.Auth...) {
		v := q.Get(s.TestInput)
		if s.TestInput == "" || v == "" {
			continue
		}
		name := "LANDFALL_TRIED_" + strconv.Itoa(i)
		typed[name] = v
		if i < len(form.Settings) {
			settings = setMember(settings, s.Field.Key, event.NewString("${"+name+"}"))
		} else {
			auth = setMember(auth, s.Field.Key, event.NewString("${"+name+"}"))
		}
	}
	list := setMember(setMember(membersOf(instance), "settings", event.NewObject(settings)), "enabled", event.Value{})
	if len(auth) > 0 {
		list = setMember(list, "auth", event.NewObject(auth))
	}
	return event.NewObject(list), typed
}

// remoteTimeout bounds requests to the destination.
const remoteTimeout = 30 * time.Second

// testCredentials checks the credentials with the destination's API.
func (c *Console) testCredentials(ctx context.Context, form *setupForm, q url.Values, to Target) *credentialsView {
	plan, err := c.credentialsPlan(form, q, to)
	if err != nil {
		return &credentialsView{Message: "Fix the errors in the form before you test the credentials.", Detail: err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, remoteTimeout)
	defer cancel()
	switch err := plan.Test(ctx); {
	case errors.Is(err, runtime.ErrNotTested):
		return &credentialsView{Untested: true, Message: "The credentials were not tested.", Detail: "This destination has no request that tests them."}
	case err != nil:
		return &credentialsView{Message: "The credentials are not valid.", Detail: capitalize(err.Error())}
	}
	return &credentialsView{Valid: true, Message: "The credentials are valid."}
}

// fetchChoices loads the choices of the field with the given form parameter from the destination.
func (c *Console) fetchChoices(ctx context.Context, form *setupForm, q url.Values, name string, to Target) {
	for _, s := range form.Subscriptions {
		for _, in := range s.allFields() {
			if in.Name != name || !in.Dynamic() {
				continue
			}
			plan, err := c.credentialsPlan(form, q, to)
			if err != nil {
				in.ChoicesStatus = "Fix the errors in the form before you load choices: " + err.Error()
				return
			}
			ctx, cancel := context.WithTimeout(ctx, remoteTimeout)
			defer cancel()
			found, err := plan.Choices(ctx, s.ActionKey, in.Field.Key, "", "", runtime.ConstantsOf(s.subscriptionValue().Get("mapping")))
			if err != nil {
				in.ChoicesStatus = capitalize(err.Error())
				return
			}
			in.Choices, in.ChoicesStatus = found.Choices, "The destination has no choices for this field."
			switch {
			case found.NextPage != "":
				in.ChoicesStatus = "Loaded the first " + formatCount(len(found.Choices)) + " choices. They are suggested as you type."
			case len(found.Choices) > 0:
				in.ChoicesStatus = "Loaded " + formatCount(len(found.Choices)) + " choices. They are suggested as you type."
			}
			return
		}
	}
}
