package destination

import (
	"context"
	"fmt"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

// The hooks: both run when a subscription is saved, the second for sources of reverse ETL.
const (
	OnMappingSave     = "onMappingSave"
	RETLOnMappingSave = "retlOnMappingSave"
)

// HookNames are the hooks in the order in which they run.
func HookNames() []string { return []string{OnMappingSave, RETLOnMappingSave} }

// Hook is what an action does when a subscription to it is saved.
type Hook struct {
	Name        string
	Label       string
	Description string
	Inputs      fieldschema.Fields // what people fill in, in the subscription
	Outputs     fieldschema.Fields // what is kept for the handlers of the action
}

// HookInput is what a hook may use.
type HookInput struct {
	Deps
	Origin    // HookOutputs are those of earlier runs
	Settings  event.Value
	Inputs    event.Value // they have passed the hook's fields
	LastInput event.Value // that of the run before; absent where there was none
}

// HookOutput is what came of a hook.
type HookOutput struct {
	Message string      // for people
	Outputs event.Value // kept with the subscription, where they pass the hook's fields
}

// HookFunc runs a hook. Its errors are for people; then what an earlier run gave stays.
type HookFunc func(ctx context.Context, in HookInput) (HookOutput, error)

// Hook is the action's hook with a name, nil where there is none.
func (a *ActionDefinition) Hook(name string) *Hook {
	for i := range a.Hooks {
		if a.Hooks[i].Name == name {
			return &a.Hooks[i]
		}
	}
	return nil
}

// parseHooks reads the hooks of an action.
func (p *parser) parseHooks(v event.Value, place string) (hooks []Hook) {
	for _, name := range HookNames() {
		h, at := v.Get(name), place+"/"+name
		if !h.Exists() {
			continue
		}
		hooks = append(hooks, Hook{
			Name: name, Label: h.Get("label").Str(), Description: h.Get("description").Str(),
			Inputs: p.parseFields(h.Get("inputFields"), at+"/inputFields"), Outputs: p.parseFields(h.Get("outputTypes"), at+"/outputTypes"),
		})
	}
	return hooks
}

// checkHooks refuses hooks that are declared or handled alone.
func (p Plugin) checkHooks(d *Definition) error {
	for action, hooks := range p.Hooks {
		for name := range hooks {
			if a := d.Action(action); a == nil || a.Hook(name) == nil {
				return fmt.Errorf("%s: there is a handler for the hook %q of %s, which %s does not declare", d.Slug, name, action, DefinitionFile)
			}
		}
	}
	for _, a := range d.Actions {
		for _, h := range a.Hooks {
			if p.Hooks[a.Key][h.Name] == nil {
				return d.problemAt("/actions"+fault.PointerKey(a.Key)+"/hooks/"+h.Name, "has no handler")
			}
		}
	}
	return nil
}
