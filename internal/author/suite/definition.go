package suite

import (
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// lintCheck returns a check that reports the findings of Definition.Lint with the same name.
func lintCheck(name string) check {
	return check{name, func(s *subject) {
		for _, f := range s.definition.Lint(destination.LintOptions{Directory: s.dir}) {
			if f.Check == name {
				s.addFindingAt(s.definitionPlace(f.Pointer), f.Of, "%s", f.Message)
			}
		}
	}}
}

// checkPresets checks that a preset selects an event of a case of its action, and that the sandbox accepts its payload.
func checkPresets(s *subject) {
	for _, p := range s.definition.Presets {
		if p.Type != "automatic" {
			continue
		}
		taken, reason := false, "the action has no case that the sandbox accepts"
		for _, sm := range s.samplesOf(p.Action) {
			sm.instance.Subscriptions = []config.Subscription{{
				Name: p.Name, Action: p.Action, ActionKey: "action", Subscribe: p.Subscribe, Mapping: p.Mapping, UseDefaultMappings: true,
				Enabled: true, SampleRate: 1, SyncMode: sm.instance.Subscriptions[0].SyncMode,
			}}
			r, err := s.newRig(sm, nil)
			if err != nil {
				reason = err.Error()
				break
			}
			v := r.plan.Run(s.baseContext(), sm.event)[0]
			if taken = isAccepted(v); taken {
				break
			}
			reason = v.Reason
		}
		if !taken {
			s.addFinding("presets."+p.Name, "it delivers no event of a case of %s: %s", p.Action, reason)
		}
	}
}
