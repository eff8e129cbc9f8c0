package destination

import (
	"context"
	"fmt"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

// The hooks. Both run when a subscription is saved; RETLOnMappingSave is for reverse ETL sources.
const (
	OnMappingSave     = "onMappingSave"
	RETLOnMappingSave = "retlOnMappingSave"
)

// HookNames returns the names of the hooks in execution order.
func HookNames() []string { return []string{OnMappingSave, RETLOnMappingSave} }

// Hook describes a hook of an action, which runs when a subscription is saved.
type Hook struct {
	Name        string
	Label       string
	Description string
	Inputs      fieldschema.Fields // filled in by users in the subscription
	Outputs     fieldschema.Fields // stored for the action's handlers
	Call        *request.Call      // the declared request, whose result are the outputs; nil if a handler runs the hook
}

// HookInput is the input of a hook.
type HookInput struct {
	Deps
	Origin    // HookOutputs holds the outputs of earlier runs
	Settings  event.Value
	Inputs    event.Value // checked against the hook's input fields
	LastInput event.Value // Inputs of the previous run; absent if there was none
}

// HookOutput is the result of a hook.
type HookOutput struct {
	Message string      // for users
	Outputs event.Value // stored with the subscription if they pass the hook's output fields
}

// HookFunc runs a hook. Its error is shown to users, and the outputs of an earlier run are kept.
type HookFunc func(ctx context.Context, in HookInput) (HookOutput, error)

// Hook returns the action's hook with a name, or nil.
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
		inputs := p.parseFields(h.Get("inputFields"), at+"/inputFields")
		hooks = append(hooks, Hook{
			Name: name, Label: h.Get("label").Str(), Description: h.Get("description").Str(),
			Inputs: inputs, Outputs: p.parseFields(h.Get("outputTypes"), at+"/outputTypes"), Call: p.compileHook(h, inputs, at),
		})
	}
	return hooks
}

// hookInputs returns the inputs of the hook if key is the key of one, such as onMappingSave.list_id; nil otherwise.
func (a *ActionDefinition) hookInputs(key string) fieldschema.Fields {
	name, input, _ := strings.Cut(key, ".")
	if h := a.Hook(name); h != nil && h.Inputs.Find(input) != nil {
		return h.Inputs
	}
	return nil
}

// compileHook compiles the request of a hook and its outputs; nil if a handler runs it.
func (p *parser) compileHook(h event.Value, inputs fieldschema.Fields, place string) *request.Call {
	if h.Get("outputs").Exists() && !h.Get("request").Exists() {
		p.problems.Add(place+"/outputs", "need request: they are read from its responses")
	}
	names := p.requestNames()
	addFieldNames(names, request.Inputs, inputs)
	if p.isUnknown(h.Get("inputFields"), place, "inputFields") {
		names[request.Inputs] = nil
	}
	return p.compileCall(h, "outputs", place, names)
}

// checkHooks refuses hooks that are declared without a handler, and handlers of undeclared hooks.
func (p Plugin) checkHooks(d *Definition) error {
	for action, hooks := range p.Hooks {
		for name := range hooks {
			if a := d.Action(action); a == nil || a.Hook(name) == nil {
				return fmt.Errorf("%s: Plugin.Hooks has a handler for the hook %q of %s, which %s does not declare", d.Slug, name, action, DefinitionFile)
			}
		}
	}
	for _, a := range d.Actions {
		for _, h := range a.Hooks {
			switch given := p.Hooks[a.Key][h.Name] != nil; {
			case !given && h.Call == nil:
				return d.problemAt("/actions"+fault.PointerKey(a.Key)+"/hooks/"+h.Name, "has neither a request nor a handler")
			case given && h.Call != nil:
				return d.problemAt("/actions"+fault.PointerKey(a.Key)+"/hooks/"+h.Name+"/request", "is not allowed: the plugin also has a handler for it")
			}
		}
	}
	return nil
}
