package runtime

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// MaxChoices is the maximum number of choices of a page. Further ones are dropped.
const MaxChoices = 1000

// DynamicFields returns the keys of an action's fields whose values Choices can fetch, sorted.
func (p *Plan) DynamicFields(action string) []string {
	return slices.Sorted(maps.Keys(p.choices[action]))
}

// Choices fetches a page of the values of a dynamic field from the remote. payload has the values
// of other fields so far; it is not validated.
func (p *Plan) Choices(ctx context.Context, action, field, query, page string, payload event.Value) (choices destination.Choices, err error) {
	if p.definition.Action(action) == nil {
		return choices, fmt.Errorf("%s has no action %q%s", p.definition.Name, action, fault.DidYouMean(action, p.definition.ActionKeys()))
	}
	fetch := p.choices[action][field]
	if fetch == nil {
		return choices, fmt.Errorf("the field %q of %s has no choices to fetch%s", field, action, fault.DidYouMean(field, p.DynamicFields(action)))
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("fetching the choices of %s: the handler panicked: %v", field, r)
		}
	}()
	deps, release, err := p.openDeps(ctx)
	if err != nil {
		return choices, err
	}
	defer release()
	choices, err = fetch(ctx, destination.ChoicesInput{
		Deps: deps, Settings: p.settings, Action: action, Field: field, Query: query, Page: page, Payload: payload,
	})
	if err != nil {
		return destination.Choices{}, fmt.Errorf("fetching the choices of %s: %w", field, err)
	}
	choices.Choices = choices.Choices[:min(len(choices.Choices), MaxChoices)]
	return choices, nil
}

// ConstantsOf returns the parts of a mapping that do not depend on the event, as a payload: choices may depend on them.
func ConstantsOf(m event.Value) event.Value {
	switch {
	case !isDynamic(m):
		return constantOf(m)
	case m.Kind() != event.Object || mapping.IsDirective(m):
		return event.Value{}
	}
	var members []event.Member
	for key, part := range m.Members() {
		if v := ConstantsOf(part); v.Exists() {
			members = append(members, event.Member{Key: key, Value: v})
		}
	}
	return event.NewObject(members)
}
