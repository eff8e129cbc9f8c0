package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// hookState returns the state's key for the outputs of a subscription's hook.
func hookState(subscription, hook string) string {
	return "landfall/hook/" + hook + "/" + subscription
}

// hook is a compiled hook of a subscription.
type hook struct {
	*destination.Hook
	run      destination.HookFunc
	inputs   event.Value // of the config, with defaults; absent if the subscription does not use the hook
	exported event.Value // outputs in an exported config
	checked  *fieldschema.Schema
}

// compileHooks compiles the hooks of a subscription's action and checks their inputs.
func (c *compiler) compileHooks(in config.Subscription, s *Subscription) (list []*hook) {
	for key := range in.Hooks.Members() {
		if s.action.Hook(key) == nil {
			var names []string
			for _, h := range s.action.Hooks {
				names = append(names, h.Name)
			}
			c.problems.Add(in.Pointer+"/hooks"+fault.PointerKey(key), "is not a hook of %s%s", s.action.Key, fault.DidYouMean(key, names))
		}
	}
	for i := range s.action.Hooks {
		declared := &s.action.Hooks[i]
		h := &hook{Hook: declared, run: c.plugin.Hooks[s.action.Key][declared.Name]}
		place, given := in.Pointer+"/hooks/"+declared.Name, in.Hooks.Get(declared.Name)
		saved := in.Mapping.Get(declared.Name) // an exported mapping has both inputs and outputs
		if h.exported = saved.Get("outputs"); !given.Exists() && saved.Get("inputs").Exists() {
			place, given = in.Pointer+"/mapping/"+declared.Name+"/inputs", saved.Get("inputs")
		}
		var err error
		if h.checked, err = fieldschema.Compile(declared.Outputs); err != nil {
			c.problems.AddUnder(place, err)
		}
		if given.Exists() {
			h.inputs = c.hookInputs(declared, given, place)
		}
		list = append(list, h)
	}
	return list
}

func (c *compiler) hookInputs(h *destination.Hook, given event.Value, place string) event.Value {
	for key := range given.Members() {
		if h.Inputs.Get(key) == nil {
			c.problems.Add(place+fault.PointerKey(key), "is not an input of %s%s", h.Name, fault.DidYouMean(key, h.Inputs.Keys()))
		}
	}
	fields, err := fieldschema.Compile(h.Inputs)
	if err == nil {
		given, err = fields.Process(withDefaults(given, h.Inputs))
	}
	if err != nil {
		c.problems.AddUnder(place, fieldschema.ProblemsOf(err))
	}
	return given
}

// HookReport is the result of RunHooks for one hook.
type HookReport struct {
	Hook    string
	Ran     bool        // false if its inputs have not changed since the last run
	Message string      // a message of the destination for people
	Outputs event.Value // the stored outputs
}

// storedHook returns the state's value of a hook: {"inputs", "outputs", "print"}.
func (p *Plan) storedHook(ctx context.Context, s *Subscription, h *hook) (event.Value, error) {
	text, ok, err := p.deps.State.Get(ctx, hookState(s.name, h.Name))
	if err != nil || !ok {
		return event.Value{}, err
	}
	return event.ParseValue([]byte(text))
}

// fingerprint returns a hash of the action and the inputs of a hook.
func (s *Subscription) fingerprint(h *hook) string {
	sum := sha256.Sum256([]byte(s.action.Key + "\x00" + h.inputs.JSON()))
	return hex.EncodeToString(sum[:8])
}

// RunHooks runs the hooks that a subscription uses. It skips a hook whose inputs have not changed since its last run, unless again is
// set. The outputs are stored in the state and passed to handlers from then on. RunHooks stops at the first error.
func (p *Plan) RunHooks(ctx context.Context, s *Subscription, again bool) (reports []HookReport, err error) {
	release, err := p.deps.Locks.Lock(ctx, hookState(s.name, ""))
	if err != nil {
		return nil, err
	}
	defer release()
	for _, h := range s.hooks {
		if !h.inputs.Exists() {
			continue
		}
		kept, err := p.storedHook(ctx, s, h)
		if err != nil {
			return reports, err
		}
		if !again && kept.Get("print").Str() == s.fingerprint(h) {
			reports = append(reports, HookReport{Hook: h.Name, Outputs: kept.Get("outputs")})
			continue
		}
		report, err := p.runHook(ctx, s, h, kept)
		if err != nil {
			return reports, fmt.Errorf("the hook %s of %s: %w", h.Name, s.name, err)
		}
		reports = append(reports, report)
	}
	return reports, nil
}

func (p *Plan) runHook(ctx context.Context, s *Subscription, h *hook, kept event.Value) (report HookReport, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the handler panicked: %v", r)
		}
	}()
	origin := p.baseOrigin(s)
	if origin.HookOutputs, err = p.hookOutputs(ctx, s); err != nil {
		return report, err
	}
	deps, release, err := p.openDeps(ctx)
	if err != nil {
		return report, err
	}
	defer release()
	out, err := h.run(ctx, destination.HookInput{
		Deps: deps, Origin: origin, Settings: p.settings, Inputs: h.inputs, LastInput: kept.Get("inputs"),
	})
	if err != nil {
		return report, err
	}
	if out.Outputs.Kind() == event.Absent {
		out.Outputs = event.NewObject(nil)
	}
	outputs, err := h.checked.Process(out.Outputs)
	if err != nil {
		return report, fmt.Errorf("its outputs are invalid: %w", err)
	}
	record := event.NewObject([]event.Member{
		{Key: "print", Value: event.NewString(s.fingerprint(h))}, {Key: "inputs", Value: h.inputs}, {Key: "outputs", Value: outputs},
	})
	if err := p.deps.State.Put(context.WithoutCancel(ctx), hookState(s.name, h.Name), record.JSON()); err != nil {
		return report, err
	}
	return HookReport{Hook: h.Name, Ran: true, Message: out.Message, Outputs: outputs}, nil
}

// hookOutputs returns the outputs of a subscription's hooks by their names: from the state, or else from an exported config.
func (p *Plan) hookOutputs(ctx context.Context, s *Subscription) (event.Value, error) {
	var members []event.Member
	for _, h := range s.hooks {
		kept, err := p.storedHook(ctx, s, h)
		if err != nil {
			return event.Value{}, err
		}
		outputs := kept.Get("outputs")
		if outputs.Kind() == event.Absent {
			outputs = h.exported
		}
		if outputs.Exists() {
			members = append(members, event.Member{Key: h.Name, Value: outputs})
		}
	}
	return event.NewObject(members), nil
}

// HookedSubscriptions returns the subscriptions that have hooks.
func (p *Plan) HookedSubscriptions() (list []*Subscription) {
	for _, s := range p.Subscriptions() {
		if s.HasHooks() {
			list = append(list, s)
		}
	}
	return list
}

// DueHooks returns the names of the hooks that have not run with their present inputs.
func (p *Plan) DueHooks(ctx context.Context, s *Subscription) (names []string, err error) {
	for _, h := range s.hooks {
		if !h.inputs.Exists() {
			continue
		}
		kept, err := p.storedHook(ctx, s, h)
		if err != nil {
			return nil, err
		}
		if kept.Get("print").Str() != s.fingerprint(h) {
			names = append(names, h.Name)
		}
	}
	return names, nil
}

// HasHooks reports whether a subscription uses hooks.
func (s *Subscription) HasHooks() bool {
	for _, h := range s.hooks {
		if h.inputs.Exists() {
			return true
		}
	}
	return false
}
