package destinationtest

import (
	"context"
	"slices"

	"github.com/landfall-dev/landfall/framework/author/harness"
	"github.com/landfall-dev/landfall/framework/destination"
)

// baseContext is that of a check which nobody cancels.
func (s *subject) baseContext() context.Context { return context.Background() }

// checkActionsHaveCases: somebody has written down what each action does.
func checkActionsHaveCases(s *subject) {
	var shown []string
	for _, c := range s.cases {
		if in, err := c.Instance(s.definition); err == nil {
			for _, sub := range in.Subscriptions {
				shown = append(shown, sub.Action)
			}
		}
	}
	for _, action := range s.definition.ActionKeys() {
		if !slices.Contains(shown, action) {
			s.addFinding(action, "no file in testdata/cases shows what the action does")
		}
	}
}

// checkCasesPass: what is written down holds.
func checkCasesPass(s *subject) {
	registry, err := destination.NewRegistry([]destination.Plugin{s.plugin})
	if err != nil {
		s.addFinding("", "%v", err)
		return
	}
	suite := harness.Suite{Registry: registry}
	for _, c := range s.cases {
		for _, problem := range suite.Run(s.baseContext(), c).Problems {
			s.addFinding(c.Name, "%s", problem)
		}
	}
}

// checkSandboxAccepts: there is a sandbox, and for each action a case whose event it takes without answers that the case brings along.
// The checks of what a handler does begin with these cases.
func checkSandboxAccepts(s *subject) {
	if s.plugin.Sandbox == nil {
		s.addFinding("", "there is no sandbox")
		return
	}
	for _, action := range s.definition.ActionKeys() {
		if len(s.samplesOf(action)) == 0 {
			s.addFinding(action, "no case shows an event that the sandbox takes: one without responses and state, with one subscription")
		}
	}
}
